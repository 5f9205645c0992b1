"""Each published law by itself: which size it puts a budget at, and which size an amount of data.

    budget:  min over N of L(N, D),  6 N D = C              data:  the N whose best tokens are D

The second is where the data end first. A law's answer is never mixed with another's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from keel.errors import Refusal
from keel.laws.design.allocate import compute_optimal
from keel.laws.law import FLOP_PER_PARAM_TOKEN, Floats, Law
from keel.laws.published import PUBLISHED

PLENTY = 1e18  # unique tokens, where nothing is said of repeats
SIZES = np.log(np.geomspace(1e3, 1e15, 61))
NUDGE = 0.02  # of log N, for slopes along equal FLOP
ROUNDS = 6
LOG_TOKENS = math.log(1e18)


class Point(NamedTuple):
    """A run that a law calls best: `loss` None where the law gives sizes alone. `data_bound`: the tokens ran out."""

    params: float
    tokens: float
    flop: float
    loss: float | None
    data_bound: bool = False


class Power(NamedTuple):
    """Best size (times `scale`) as a power of FLOP; tokens from a law of their own, else D = C / (6 N)."""

    scale: float = 1.0
    tokens: str = ""


POWERS: Mapping[str, Power] = {
    "hoffmann-1-size": Power(), "hoffmann-2-size": Power(), "hoffmann-3-size": Power(),
    "kaplan-optimal-size": Power(), "dit-size": Power(tokens="dit-tokens"),
    "deepseek-flop-per-token": Power(scale=1.0 / FLOP_PER_PARAM_TOKEN, tokens="deepseek-tokens"),
}  # fmt: skip


def best(law: Law, flop: float | None, cap: float = math.inf, unique: float | None = None) -> Point | None:
    """The law's run at `flop` (None: no budget) with at most `cap` tokens; None where it has no best size there.

    Example:
        >>> law = PUBLISHED["chinchilla-besiroglu"]
        >>> free, bound = best(law, 1e21), best(law, 1e21, cap=17.2e9)
        >>> f"{free.params:.3g} {free.tokens:.3g}; {bound.params:.3g} {bound.tokens:.3g} {bound.flop:.2g}"
        '2.79e+09 5.96e+10; 7.5e+08 1.72e+10 7.7e+19'
    """
    found = None if flop is None else at_flop(law, flop, unique)
    if found is not None and found.tokens <= cap:
        return found
    if not math.isfinite(cap):
        return None
    bound = at_tokens(law, cap, unique)
    if bound is None or (flop is not None and bound.flop > flop):
        return found
    return bound


def at_flop(law: Law, flop: float, unique: float | None = None) -> Point | None:
    """The size and tokens of least loss at a budget."""
    if law.name in POWERS:
        power = POWERS[law.name]
        size = power.scale * float(law.at(flop=flop))
        tokens = float(PUBLISHED[power.tokens].at(flop=flop)) if power.tokens else flop / (FLOP_PER_PARAM_TOKEN * size)
        return Point(size, tokens, flop, None)
    found = compute_optimal(law, flop, **held(law, unique))
    return None if isinstance(found, Refusal) else Point(found.params, found.tokens, flop, found.value)


def at_tokens(law: Law, tokens: float, unique: float | None = None) -> Point | None:
    """The size whose best tokens these are: along equal FLOP the loss stops falling there."""
    if law.name in POWERS:
        return _power_at_tokens(law, tokens)
    rest, low, high = held(law, unique), SIZES[0], SIZES[-1]
    for number in range(ROUNDS):
        grid = np.linspace(low, high, len(SIZES))
        slope = _slope(law, grid, tokens, rest)
        at = int(np.argmin(np.cumsum(slope)))
        if number == 0 and at in (0, len(grid) - 1):
            return None
        at = min(at, len(grid) - 2)  # within the bracket found, the first step may hold it
        low, high = grid[at], grid[at + 1]
    params = math.exp(float((low + high) / 2))
    loss = float(law.at(params=params, tokens=tokens, **rest))
    return Point(params, tokens, FLOP_PER_PARAM_TOKEN * params * tokens, loss, data_bound=True)


def at_params(law: Law, params: float, unique: float | None = None) -> Point | None:
    """The tokens that are best for a size: those beside which it is the best size of its budget."""
    if law.name in POWERS:
        rate = _rates(law)
        flop = rate.flop * (params / rate.params) ** (1 / rate.by_params)
        return at_flop(law, flop)
    rest, low, high = held(law, unique), SIZES[0], LOG_TOKENS
    for number in range(ROUNDS):
        grid = np.linspace(low, high, len(SIZES))
        # Too many tokens for the size: along equal FLOP a larger one would be better, and the slope is below zero.
        slope = -_slope(law, math.log(params) + 0 * grid, np.exp(grid), rest)
        at = int(np.argmin(np.cumsum(slope)))
        if number == 0 and at in (0, len(grid) - 1):
            return None
        at = min(at, len(grid) - 2)  # within the bracket found, the first step may hold it
        low, high = grid[at], grid[at + 1]
    tokens = math.exp(float((low + high) / 2))
    loss = float(law.at(params=params, tokens=tokens, **rest))
    return Point(params, tokens, FLOP_PER_PARAM_TOKEN * params * tokens, loss)


def least_size(law: Law, point: Point, tolerance: float, unique: float | None = None) -> float | None:
    """The smallest size whose loss at the point's FLOP and tokens cap is within `tolerance` of the point's.

    Smaller models see more tokens at equal FLOP, but never more than the point's where the data bind.

    Example:
        >>> law = PUBLISHED["chinchilla-besiroglu"]
        >>> point = best(law, 1e21)
        >>> f"{least_size(law, point, 0.01) / point.params:.2f}"
        '0.42'
    """
    if point.loss is None:
        return None
    grid = math.log(point.params) + np.linspace(math.log(1e-4), 0.0, 241)
    tokens = point.flop / (FLOP_PER_PARAM_TOKEN * np.exp(grid))
    if point.data_bound:
        tokens = np.minimum(tokens, point.tokens)
    values = law.at(params=np.exp(grid), tokens=tokens, **held(law, unique))
    allowed = point.loss * (1 + tolerance)
    if values[0] <= allowed:
        return math.exp(float(grid[0]))
    # Losses fall with size up to the best: read the curve from its low end.
    return math.exp(float(np.interp(allowed, values[::-1], grid[::-1])))


def held(law: Law, unique: float | None) -> dict[str, float]:
    """The coordinates that are not searched: unique tokens, of a law of repeats."""
    return {"unique_tokens": unique or PLENTY} if "unique_tokens" in law.coords else {}


def _slope(law: Law, log_n: Floats, tokens: float | Floats, rest: Mapping[str, float]) -> Floats:
    """Change of the loss with log N at equal FLOP, for each size beside the same tokens."""
    up, down = math.exp(NUDGE), math.exp(-NUDGE)
    more = law.at(params=np.exp(log_n) * up, tokens=tokens * down, **rest)
    less = law.at(params=np.exp(log_n) * down, tokens=tokens * up, **rest)
    return np.asarray(np.log(more) - np.log(less))


class _Rates(NamedTuple):
    """A power law's run at one budget, and the powers of its size and tokens in FLOP."""

    flop: float
    params: float
    tokens: float
    by_params: float
    by_tokens: float


def _rates(law: Law) -> _Rates:
    first, last = (at_flop(law, end) for end in (1e12, 1e30))
    assert first is not None
    assert last is not None
    decades = math.log(last.flop / first.flop)
    by_params, by_tokens = math.log(last.params / first.params), math.log(last.tokens / first.tokens)
    return _Rates(first.flop, first.params, first.tokens, by_params / decades, by_tokens / decades)


def _power_at_tokens(law: Law, tokens: float) -> Point:
    rate = _rates(law)
    found = at_flop(law, rate.flop * (tokens / rate.tokens) ** (1 / rate.by_tokens))
    assert found is not None
    return found._replace(tokens=tokens, data_bound=True)
