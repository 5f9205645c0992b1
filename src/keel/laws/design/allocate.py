"""Where a published law puts a budget: the best size for a training budget, or for training and serving together.

    compute:  min over N of L(N, D),            D = C / (r N)
    serving:  min over N of r N D + s N Dserve,  L(N, D) = the loss wanted

Reference: Hoffmann et al. 2022, arXiv:2203.15556, eq. 4; Sardana et al. 2024, arXiv:2401.00448, eq. 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keel.errors import Refusal, StudyError
from keel.laws.law import FLOP_PER_PARAM_TOKEN, Floats, Law

SERVING_FLOP = 2.0  # a forward pass, per param and token
NUM_SIZES, NUM_NARROWINGS, NUM_HALVINGS = 65, 8, 60
LOG_MOST = math.log(1e30)  # params or tokens beyond any use


class Best(NamedTuple):
    """A size with its training tokens, the law's value there, and the FLOP spent (serving included)."""

    params: float
    tokens: float
    value: float
    flop: float


def compute_optimal(
    law: Law, compute: float, *, flop_per_param_token: float = FLOP_PER_PARAM_TOKEN, **held: Any
) -> Best | Refusal:
    """Params and tokens of least value at `compute` FLOP; `held` fixes the law's other coordinates.

    Raises:
        StudyError: the law is not one of params and tokens, or a number is not positive.

    Example:
        >>> from keel.laws.published import PUBLISHED
        >>> best = compute_optimal(PUBLISHED["chinchilla-besiroglu"], 5.76e23)
        >>> f"{best.params:.3g} params, {best.tokens:.3g} tokens"
        '7.33e+10 params, 1.31e+12 tokens'
    """
    _check(law, "the best size", compute=compute, flop_per_param_token=flop_per_param_token)
    total = math.log(compute / flop_per_param_token)

    def loss(size: Floats) -> Floats:
        return np.log(law.at(params=np.exp(size), tokens=np.exp(total - size), **held))

    size = _least(loss, 0.0, total)
    if size is None:
        return Refusal(f"{law.name} has no best size at {compute:.3g} flop", "its value falls all the way to one end",
                       "ask within the range that the law was seen in")  # fmt: skip
    params, tokens = math.exp(size), math.exp(total - size)
    return Best(params, tokens, float(law.at(params=params, tokens=tokens, **held)), compute)


def serving_optimal(
    law: Law,
    value: float,
    served_tokens: float,
    *,
    flop_per_param_token: float = FLOP_PER_PARAM_TOKEN,
    serving_flop: float = SERVING_FLOP,
    **held: Any,
) -> Best | Refusal:
    """The cheapest model of loss `value` that is trained once and then serves `served_tokens` (0 = training alone).

    Raises:
        StudyError: the law is not one of params and tokens, or a number is not positive.

    Example:
        >>> from keel.laws.published import PUBLISHED
        >>> best = serving_optimal(PUBLISHED["hoffmann"], 2.1, 1e12)
        >>> f"{best.params:.3g} params, {best.tokens:.3g} tokens"
        '4.04e+09 params, 8.16e+11 tokens'
    """
    _check(law, "the cheapest size to serve", value=value, served_tokens=served_tokens or 1.0,
           flop_per_param_token=flop_per_param_token, serving_flop=serving_flop)  # fmt: skip
    smallest = _cross(lambda n: np.log(law.at(params=np.exp(n), tokens=1e30, **held) / value), np.zeros(1))[0]
    if smallest >= LOG_MOST - 1:
        floor = float(law.at(params=1e30, tokens=1e30, **held))
        return Refusal(f"no size reaches {value:g} under {law.name}", f"its floor is {floor:.4g}",
                       f"ask for a value above {floor:.4g}")  # fmt: skip

    def tokens_of(size: Floats) -> Floats:
        return _cross(lambda d: np.log(law.at(params=np.exp(size), tokens=np.exp(d), **held) / value), 0 * size)

    def cost(size: Floats) -> Floats:
        trained = np.log(flop_per_param_token) + tokens_of(size)
        served = np.log(serving_flop * served_tokens) if served_tokens else -np.inf
        return np.asarray(size + np.logaddexp(trained, served))

    size = _least(cost, smallest + 1e-9, min(smallest + 40.0, LOG_MOST))
    if size is None:
        return Refusal(f"{law.name} has no cheapest size at {value:g}", "its cost falls all the way to one end",
                       "ask for a value within the range that the law was seen in")  # fmt: skip
    tokens = math.exp(tokens_of(np.array([size]))[0])
    params = math.exp(size)
    flop = flop_per_param_token * params * tokens + serving_flop * params * served_tokens
    return Best(params, tokens, float(law.at(params=params, tokens=tokens, **held)), flop)


def _check(law: Law, what: str, **numbers: float) -> None:
    if not {"params", "tokens"} <= set(law.coords):
        raise StudyError(
            f"{law.name} does not give {what}", why=f"it is a law of {', '.join(law.coords)}",
            fix="take a law of params and tokens, such as chinchilla-besiroglu", where=law.name,
        )  # fmt: skip
    for name, number in numbers.items():
        if not (math.isfinite(number) and number > 0):
            raise StudyError(f"{name} is {number!r}", why="it must be positive and finite", fix=f"give {name} so",
                             where=law.name)  # fmt: skip


def _least(of: Callable[[Floats], Floats], low: float, high: float) -> float | None:
    """The argument of least value, by narrowing a grid around it; None where that is an end."""
    first, last = low, high
    for _ in range(NUM_NARROWINGS):
        grid = np.linspace(low, high, NUM_SIZES)
        best = int(np.argmin(of(grid)))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, NUM_SIZES - 1)]
    found = float(grid[best])
    width = last - first
    return None if found - first < 1e-6 * width or last - found < 1e-6 * width else found


def _cross(falling: Callable[[Floats], Floats], shape: Floats) -> Floats:
    """Where a falling function of a logarithm crosses zero, by halving; `LOG_MOST` where it stays above."""
    low, high = np.zeros_like(shape), np.full_like(shape, LOG_MOST)
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        above = falling(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray(high)
