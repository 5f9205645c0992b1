"""Baselines of the forecast benchmark: copy the nearest run, and Chinchilla's law by the published fit.

    minimise sum_i huber(log L_i - log(E + A N_i^-alpha + B D_i^-beta)),  delta 1e-3

L-BFGS with the exact gradient from a grid of starts, best end kept (Hoffmann et al. 2022, app. D.2). No intervals.
"""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
from forecast_task import Guess, Task
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

DELTA = 1e-3
FLOOR_SHARES, EXPONENTS = (0.3, 0.6, 0.9), (0.2, 0.35, 0.6)
Floats = NDArray[np.float64]


def nearest(task: Task) -> Guess:
    """The loss of the seen run nearest in log compute."""
    start = time.process_time()
    near = [min(task.seen, key=lambda r: (abs(math.log(r.flop / run.flop)), r.value)).value for run in task.held]
    return Guess("nearest run", value=tuple(near), cpu_s=time.process_time() - start)


def chinchilla_huber(task: Task) -> Guess:
    """E + A N^-alpha + B D^-beta by log-Huber and L-BFGS."""
    start = time.process_time()
    x = np.log([[r.params, r.tokens] for r in task.seen])
    centre, y = x.mean(0), np.log([r.value for r in task.seen])
    ends = [
        minimize(_objective, first, args=(x - centre, y), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
        for first in _starts(y)
    ]
    best = min(ends, key=lambda end: float(end.fun)).x
    terms = _terms(best, np.log([[r.params, r.tokens] for r in task.held]) - centre)
    value = tuple(map(float, np.exp(logsumexp(terms, axis=0))))
    return Guess("Chinchilla, log-Huber", value=value, cpu_s=time.process_time() - start)


def _starts(y: Floats) -> list[Floats]:
    """log E, log A and log B at the centre, alpha, beta."""
    least, middle = math.exp(y.min()), math.exp(y.mean())
    grid = itertools.product(FLOOR_SHARES, EXPONENTS, EXPONENTS)
    return [
        np.array([math.log(share * least), *[math.log((middle - share * least) / 2)] * 2, alpha, beta])
        for share, alpha, beta in grid
    ]


def _terms(theta: Floats, x: Floats) -> Floats:
    """Logs of the three terms [3, n]."""
    e, a, b, alpha, beta = theta
    return np.stack([np.full(len(x), e), a - alpha * x[:, 0], b - beta * x[:, 1]])


def _objective(theta: Floats, x: Floats, y: Floats) -> tuple[float, Floats]:
    terms = _terms(theta, x)
    guess = logsumexp(terms, axis=0)
    miss, share = guess - y, np.exp(terms - guess)
    size = np.abs(miss)
    cost = np.where(size < DELTA, miss**2 / 2, DELTA * (size - DELTA / 2)).sum()
    pull = np.clip(miss, -DELTA, DELTA)
    slopes = [share[0], share[1], share[2], -share[1] * x[:, 0], -share[2] * x[:, 1]]
    return 1e3 * float(cost), 1e3 * np.array([(pull * slope).sum() for slope in slopes])
