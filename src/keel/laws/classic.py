"""Fit a law the way the papers do: Huber loss or least squares, L-BFGS from many starts, no prior, no interval.

    minimise over theta:  sum_i w_i Huber_delta(r_i),   r_i = log L_i - log L^(x_i; theta)   (or L_i - L^)

For comparison with published constants and with keel's own fit (`keel.laws.fit`: priors, Student-t, posterior).

Reference: Hoffmann et al. 2022, arXiv:2203.15556, sec. 3.3 and D.2 (Huber, delta 1e-3, a grid of starts); Besiroglu et
al. 2024, arXiv:2404.10102 (the sum of losses, not their mean: else the search stops early); Gadre et al. 2024,
arXiv:2403.08540 (least squares on the loss itself).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from keel.errors import StudyError
from keel.laws.law import COORDS, FLOP_PER_PARAM_TOKEN, Floats, Frame, Law

DELTA = 1e-3
NUM_STARTS = 30
SPREAD = 1.5  # of the starts, in prior SDs


class Classic(NamedTuple):
    """The best of all starts: the printed formula's constants, theta [p] in its frame, and each run's residual [n]."""

    law: Law
    constants: dict[str, float]
    theta: Floats
    frame: Frame
    residual: Floats
    objective: float
    num_at_best: int

    def at(self, **where: Any) -> Floats:
        """The fitted law's value at its coordinates, by name."""
        x = _logs(self.law, where) - self.frame.centre
        value = np.exp(self.law.curve(self.theta[None], x)[0][0] + self.frame.log_value)
        return np.asarray(value.reshape(np.broadcast_shapes(*(np.shape(z) for z in where.values()))))


def classic(
    law: Law,
    values: Any,
    *,
    delta: float | None = DELTA,
    residual: Literal["log", "plain"] = "log",
    weights: Any = None,
    num_starts: int = NUM_STARTS,
    **where: Any,
) -> Classic:
    """Fit `law` to `values` [n] at its axes by name, each [n]; `delta=None` is least squares.

    Raises:
        StudyError: fewer values than constants, or a number that is not positive and finite.

    Example:
        >>> from keel.laws.forms import LAWS
        >>> n, d = np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e11, 5))
        >>> loss = 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> fitted = classic(LAWS["chinchilla"], loss.ravel(), params=n.ravel(), tokens=d.ravel())
        >>> {name: round(constant, 3) for name, constant in fitted.constants.items()}
        {'E': 1.8, 'A': 480.0, 'a': 0.35, 'B': 2100.0, 'b': 0.37}
    """
    from scipy.optimize import minimize

    y = np.log(_positive("values", values))
    x = _logs(law, where)
    if len(y) != len(x):
        raise StudyError(f"{len(y)} values at {len(x)} points", why="each value needs its point",
                         fix="give arrays of one length", where=law.name)  # fmt: skip
    if len(y) < len(law.params):
        raise StudyError(f"{len(y)} values for {len(law.params)} constants", why=f"{law.name} is {law.formula}",
                         fix="add runs, or take a law of fewer constants", where=law.name)  # fmt: skip
    own = law.axes != COORDS  # a published equation, not centred
    frame = Frame(np.zeros(len(law.axes)), 0.0) if own else Frame.of(np.exp(x), np.exp(y))
    x, y = x - frame.centre, y - frame.log_value
    share = np.ones(len(y)) if weights is None else _positive("weights", weights)

    def objective(theta: Floats) -> tuple[float, Floats]:
        guess, by = law.curve(theta[None], x)
        miss, slope = _residual(y, guess[0], residual, frame)
        cost, pull = _huber(miss, delta)
        return float((share * cost).sum()), -((share * pull * slope)[:, None] * by[0]).sum(0)

    mean = np.array([param.mean for param in law.params])
    sd = np.array([param.sd if math.isfinite(param.sd) else 0.3 for param in law.params])
    noise = np.random.default_rng(0).standard_normal((num_starts, len(mean)))
    noise[0] = 0.0
    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20}
    with np.errstate(all="ignore"):  # a wild step is judged by its value, then taken back
        found = [
            minimize(objective, mean + SPREAD * sd * z, jac=True, method="L-BFGS-B", options=options) for z in noise
        ]
    best = min(found, key=lambda one: one.fun if math.isfinite(one.fun) else math.inf)
    theta = np.asarray(best.x)
    constants = {name: float(of[0]) for name, of in law.constants_of(theta[None], frame).items()}
    left = _residual(y, law.curve(theta[None], x)[0][0], residual, frame)[0]
    alike = sum(one.fun <= best.fun * (1 + 1e-4) + 1e-12 for one in found)
    return Classic(law, constants, theta, frame, left, float(best.fun), alike)


def _residual(y: Floats, guess: Floats, kind: str, frame: Frame) -> tuple[Floats, Floats]:
    """The residual in its own unit, and minus its derivative by the log of the guess."""
    if kind == "log":
        return y - guess, np.ones_like(y)
    value = np.exp(guess + frame.log_value)
    return np.exp(y + frame.log_value) - value, value


def _huber(miss: Floats, delta: float | None) -> tuple[Floats, Floats]:
    """Huber's loss over delta^2 (half the square where delta is None), and its derivative."""
    if delta is None:
        return 0.5 * miss**2, miss
    z = miss / delta
    inside = np.abs(z) <= 1
    return np.where(inside, 0.5 * z**2, np.abs(z) - 0.5), np.where(inside, z, np.sign(z)) / delta


def _logs(law: Law, where: Mapping[str, Any]) -> Floats:
    """Logs [n, axes]: every coordinate of the law must be given, its other axes need not; `flop` is else 6 N D."""
    given = {name: _positive(name, z) for name, z in where.items()}
    if {"params", "tokens"} <= set(given):
        given.setdefault("flop", FLOP_PER_PARAM_TOKEN * given["params"] * given["tokens"])
    if not set(law.coords) <= set(given) or not set(where) <= set(law.axes):
        raise StudyError(f"{law.name} was given {', '.join(where) or 'nothing'}", fix="give each of its coordinates",
                         why=f"it is a law of {', '.join(law.coords)}", where=law.name)  # fmt: skip
    return np.stack(np.broadcast_arrays(*(np.log(given.get(axis, np.ones(1))) for axis in law.axes)), 1)


def _positive(name: str, values: Any) -> Floats:
    array = np.atleast_1d(np.asarray(values, dtype=float)).ravel()
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if len(bad):
        raise StudyError(f"{name} is not positive and finite", why=f"entry {bad[0]} is {array[bad[0]]!r}",
                         fix="mend it, or leave the run out")  # fmt: skip
    return array
