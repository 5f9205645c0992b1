"""The pieces a model of images is made of: parameters, multiply-adds of an image, values its backward pass needs."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """Counts of one part; `products` and `kept` are of one image."""

    params: int
    products: int = 0
    kept: int = 0


def conv(
    kernel: int, inputs: int, outputs: int, side: int, *, groups: int = 1, bias: bool = False, kept: int = 0
) -> Piece:  # fmt: skip
    """A k x k convolution onto a map of side x side: k^2 C_in C_out / groups weights, each used side^2 times.

    `kept`: how many maps of its outputs the backward pass needs.

    Example:
        >>> conv(3, 64, 128, 28)
        Piece(params=73728, products=57802752, kept=0)
    """
    weights = kernel * kernel * inputs * outputs // groups
    return Piece(weights + bias * outputs, weights * side * side, kept * outputs * side * side)


def norm(width: int) -> Piece:
    """Weight and bias of a norm."""
    return Piece(2 * width)


def total(pieces: list[Piece]) -> Piece:
    """Their sum."""
    return Piece(*(sum(values) for values in zip(*pieces, strict=True)))
