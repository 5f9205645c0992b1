"""What one sample puts through a model, without torch: every possibility with its probability, and its FLOP.

A mixture of losses or a random length has several: FLOP are not linear in lengths, so a mean length would not do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import floor
from typing import Any

from keel.model.shapes import Shape, Shapes, Use

# Probabilities add to 1. Padding to the longest sample of a micro-batch is execution and is not counted.
Work = tuple[tuple[float, Use], ...]


def flop(shapes: Shapes, shape: Shape, work: Work, head: str = "tokens") -> float:
    """Expected training FLOP of one sample: sum of probability x FLOP.

    Example:
        >>> from keel.model.shapes import SHAPES, Size
        >>> bert = SHAPES["bert"]
        >>> shape = bert.shape(Size(width=64, layers=2, vocabulary=4096, context=128, head_width=16))
        >>> flop(bert, shape, ((1.0, Use(128, 0, 19)),)) == bert.flop(shape, Use(128, 0, 19))
        True
    """
    return sum(probability * shapes.flop(shape, use, head) for probability, use in work)


def between(expected: float) -> tuple[tuple[float, int], ...]:
    """Whole numbers next to an expected one, with the odds that give it.

    Example:
        >>> between(2.25), between(3)
        (((0.75, 2), (0.25, 3)), ((1.0, 3),))
    """
    low = floor(expected)
    over = expected - low
    return ((1.0 - over, low), (over, low + 1)) if over else ((1.0, low),)


def mixed(parts: Iterable[tuple[float, Work]]) -> Work:
    """Work of a mixture, each part drawn with the odds of its weight.

    Example:
        >>> mixed([(3, ((1.0, Use(8)),)), (1, ((0.5, Use(6)), (0.5, Use(7))))])
        ((0.75, Use(encoder=8, decoder=0, head=0, batch=1)), (0.125, Use(encoder=6, decoder=0, head=0, batch=1)), \
(0.125, Use(encoder=7, decoder=0, head=0, batch=1)))
    """
    given = list(parts)
    total = sum(weight for weight, _ in given)
    return tuple((weight / total * odds, use) for weight, work in given for odds, use in work)


def every_position(options: Mapping[str, Any], context: int) -> Work:
    """One stack, and a target at every position: causal language modelling."""
    return ((1.0, Use(context, 0, context)),)


def masked(options: Mapping[str, Any], context: int) -> Work:
    """One stack, the head on a share `rate` of the context - 1 tokens behind the start token, .15 unless said.

    An exact count is round(rate tokens), one at least; with whole words the nearest that they can give. Separators are
    never masked: a window with s of them has rate s fewer, which is not counted.
    """
    tokens, rate = context - 1, float(options.get("rate", 0.15))
    if options.get("count", "exact") == "exact":
        return ((1.0, Use(context, 0, max(1, round(rate * tokens)))),)
    return tuple((odds, Use(context, 0, rows)) for odds, rows in between(rate * tokens))
