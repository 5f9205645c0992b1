"""Model, data, compute: fix two and the third follows; fix one and each law says the other two.

C = 6 N D
"""

from __future__ import annotations

import math
from typing import NamedTuple

from keel.errors import Problem
from keel.laws.law import FLOP_PER_PARAM_TOKEN
from keel.laws.published import PUBLISHED
from keel.size.optima import at_flop, at_params, at_tokens
from keel.size.ways import DECODER

HALVINGS = 14  # of four decades: to .1 % of the FLOP
AGREE = 0.05  # three given numbers that miss C = 6 N D by more contradict each other


class Triangle(NamedTuple):
    """The three corners; `follows`: the one that was derived, "" where none or several were."""

    params: float | None
    tokens: float | None
    flop: float | None
    follows: str


class Corner(NamedTuple):
    """What one law says of a triangle: its best run for the one given corner, or the loss of a run that is given.

    `excess`: FLOP of the run over the FLOP that the law needs for the same loss at its best size.
    """

    law: str
    params: float
    tokens: float
    flop: float
    loss: float | None
    excess: float | None


def triangle(params: float | None, tokens: float | None, flop: float | None) -> Triangle:
    """Fill in the third corner where two are given.

    Example:
        >>> triangle(7e9, 1e12, None)
        Triangle(params=7000000000.0, tokens=1000000000000.0, flop=4.2e+22, follows='flop')
    """
    if params and tokens and not flop:
        return Triangle(params, tokens, FLOP_PER_PARAM_TOKEN * params * tokens, "flop")
    if params and flop and not tokens:
        return Triangle(params, flop / (FLOP_PER_PARAM_TOKEN * params), flop, "tokens")
    if tokens and flop and not params:
        return Triangle(flop / (FLOP_PER_PARAM_TOKEN * tokens), tokens, flop, "params")
    return Triangle(params, tokens, flop, "")


def contradiction(params: float | None, tokens: float | None, flop: float | None) -> list[Problem]:
    """What is wrong with three given corners that do not fit together."""
    if not (params and tokens and flop):
        return []
    needed = FLOP_PER_PARAM_TOKEN * params * tokens
    if abs(flop / needed - 1) <= AGREE:
        return []
    return [Problem(
        f"{params:.3g} parameters on {tokens:.3g} tokens are {needed:.3g} flop, not {flop:.3g}",
        "C = 6 N D fixes the third", "leave one of --params, --tokens and --compute out", "size",
    )]  # fmt: skip


def corners(given: Triangle, unique: float | None = None) -> tuple[Corner, ...]:
    """Law by law (decoders): the best run for the corner that is given, or a whole run's loss and what it overspends.

    Example:
        >>> run = corners(triangle(7e9, 1e12, None))[0]
        >>> run.law, f"loss {run.loss:.3f}, {run.excess:.2f} times the least FLOP of that loss"
        ('chinchilla-besiroglu', 'loss 2.083, 1.42 times the least FLOP of that loss')
    """
    whole = None not in (given.params, given.tokens, given.flop)
    found = [_whole(way.law, given, unique) if whole else _one(way.law, given, unique) for way in DECODER]
    return tuple(corner for corner in found if corner is not None)


def _one(name: str, given: Triangle, unique: float | None) -> Corner | None:
    law = PUBLISHED[name]
    if given.flop is not None:
        point = at_flop(law, given.flop, unique)
    elif given.params is not None:
        point = at_params(law, given.params, unique)
    else:
        assert given.tokens is not None
        point = at_tokens(law, given.tokens, unique)
    return None if point is None else Corner(name, point.params, point.tokens, point.flop, point.loss, None)


def _whole(name: str, given: Triangle, unique: float | None) -> Corner | None:
    law = PUBLISHED[name]
    if not {"params", "tokens"} <= set(law.coords):
        return None
    assert given.params is not None
    assert given.tokens is not None
    assert given.flop is not None
    rest = {"unique_tokens": unique or given.tokens} if "unique_tokens" in law.coords else {}
    loss = float(law.at(params=given.params, tokens=given.tokens, **rest))
    return Corner(name, given.params, given.tokens, given.flop, loss, _excess(name, loss, given.flop))


def _excess(name: str, loss: float, flop: float) -> float | None:
    """FLOP over the least FLOP of this loss at the law's best size, by halving."""
    law, low, high = PUBLISHED[name], math.log(flop) - math.log(1e4), math.log(flop)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        point = at_flop(law, math.exp(middle))
        if point is None or point.loss is None:
            return None
        low, high = (middle, high) if point.loss > loss else (low, middle)
    return flop / math.exp((low + high) / 2)
