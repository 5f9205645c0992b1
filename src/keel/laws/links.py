"""From a measured value to the number whose logarithm the laws fit, and back: perplexity, error, accuracy, losses.

The laws are power laws of a loss z > 0 that is better when lower. A unit says how a value v becomes one:

    identity      z = v                          nats, bits, any other positive loss
    perplexity    z = ln v                       v > 1
    error         z = -c log(1 - v / c)          0 < v < c, ceiling c = 1 (100 for per cent)
    accuracy      z = the error's, of c - v      0 < v < c, better when higher

The bounded form leaves small errors as they are (z = v + v^2 / 2c + ...), and carries any forecast z > 0 back into
(0, c): an error law that is a power of z never leaves its range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keel.laws.law import Floats


class Link(NamedTuple):
    """How one unit meets the laws.

    `to_loss` and `from_loss` are inverse to each other, elementwise and monotone (falling when `rising`, i.e. when a
    higher value is the better one); `valid(value)` is empty, or says what is wrong with a value of this unit.

    Example:
        >>> link = link_of("accuracy_percent")
        >>> [round(float(z), 3) for z in link.to_loss(np.array([90.0, 99.0]))], link.rising
        ([10.536, 1.005], True)
        >>> [round(float(v), 3) for v in link.from_loss(link.to_loss(np.array([90.0, 99.0])))]
        [90.0, 99.0]
        >>> link.valid(104.0)
        'not between 0 and 100'
    """

    unit: str
    equation: str
    to_loss: Callable[[Floats], Floats]
    from_loss: Callable[[Floats], Floats]
    valid: Callable[[float], str]
    rising: bool = False


def link_of(unit: str) -> Link:
    """The link of a unit; a name that is none of `LINKS` is taken as a positive loss, as it stands.

    Example:
        >>> round(float(link_of("perplexity").to_loss(np.array(20.0))), 3), link_of("c4 loss").equation
        (2.996, 'loss = c4 loss')
    """
    return LINKS.get(unit) or _identity(unit)


def _identity(unit: str) -> Link:
    return Link(unit, f"loss = {unit}", _same, _same, _positive)


def _same(values: Floats) -> Floats:
    return np.asarray(values, dtype=float)


def _positive(value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    return "" if value > 0 else "not positive"


def _above_one(value: float) -> str:
    return _positive(value) or ("" if value > 1 else "not above 1, which a perplexity is")


def _bounded(unit: str, top: float, rising: bool) -> Link:
    """Error in (0, top), or accuracy as top minus error."""

    def to_loss(values: Floats) -> Floats:
        error = top - np.asarray(values, dtype=float) if rising else np.asarray(values, dtype=float)
        return np.asarray(-top * np.log1p(-error / top))

    def from_loss(losses: Floats) -> Floats:
        z = np.asarray(losses, dtype=float) / top
        return np.asarray(top * np.exp(-z) if rising else -top * np.expm1(-z))

    def valid(value: float) -> str:
        if not math.isfinite(value):
            return "not finite"
        return "" if 0 < value < top else f"not between 0 and {top:g}"

    error = f"({top:g} - {unit})" if rising else unit
    return Link(unit, f"loss = -{top:g} log(1 - {error} / {top:g})", to_loss, from_loss, valid, rising)


LINKS: dict[str, Link] = {
    "nats_per_token": _identity("nats_per_token"),
    "bits_per_token": _identity("bits_per_token"),
    "nats_per_byte": _identity("nats_per_byte"),
    "bits_per_byte": _identity("bits_per_byte"),
    "class_nats": _identity("class_nats"),
    "retrieval_nats": _identity("retrieval_nats"),
    "probe_nats": _identity("probe_nats"),
    "perplexity": Link(
        "perplexity", "loss = ln(perplexity)", lambda v: np.log(np.asarray(v, dtype=float)),
        lambda z: np.exp(np.asarray(z, dtype=float)), _above_one,
    ),
    "error": _bounded("error", 1.0, rising=False),
    "error_percent": _bounded("error_percent", 100.0, rising=False),
    "accuracy": _bounded("accuracy", 1.0, rising=True),
    "recall": _bounded("recall", 1.0, rising=True),
    "share_right": _bounded("share_right", 1.0, rising=True),
    "accuracy_percent": _bounded("accuracy_percent", 100.0, rising=True),
}  # fmt: skip
