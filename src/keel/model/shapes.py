"""Any size: size -> shape -> exact parameters, FLOP and memory. Arithmetic only, no torch.

Legend: d width, L layers, h heads, f feed-forward width, V vocabulary, T context.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

Precision = Mapping[str, str]
BYTES = {"fp32": 4, "bf16": 2}
HEAD_ROWS = 512


@dataclass(frozen=True, kw_only=True)
class Size:
    """The free choices of one model; all else follows."""

    width: int
    layers: int
    vocabulary: int
    context: int
    head_width: int

    def json(self) -> dict[str, int]:
        """Plain values for spec.json."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Everything a library's config needs."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    context: int
    tied: bool


class Params(NamedTuple):
    """Parameter counts, never one N: `head` counts an output table of its own (0 when tied to the embedding)."""

    body: int
    embedding: int
    head: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.body + self.embedding + self.head


class Shapes(Protocol):
    """The half of a Family that needs no torch."""

    def shape(self, size: Size) -> Shape: ...

    def params(self, shape: Shape) -> Params: ...

    def flop_per_token(self, shape: Shape) -> float: ...

    def memory_bytes(self, shape: Shape, micro_tokens: int, precision: Precision) -> float: ...


def feed_forward_width(width: int) -> int:
    """8/3 d to the nearest multiple of 2 (d < 128), 8 (d < 512) or 64: a gated block then has about 8 d^2 weights.

    Reference: Shazeer 2020, arXiv:2002.05202, section 2 (the 2/3 of 4 d).

    Example:
        >>> [feed_forward_width(d) for d in (16, 64, 256, 768)]
        [42, 170, 680, 2048]
    """
    step = 2 if width < 128 else 8 if width < 512 else 64
    return step * round(8 * width / 3 / step)


class LlamaShapes:
    """Llama-shaped decoders: RMSNorm, rotary positions, gated feed-forward, no biases, tied table."""

    def shape(self, size: Size) -> Shape:
        """The shape of `size`; the width must be a multiple of the head's."""
        assert size.width % size.head_width == 0, "width is not a multiple of head_width"
        return Shape(
            width=size.width, layers=size.layers, heads=size.width // size.head_width,
            feed_forward=feed_forward_width(size.width), vocabulary=size.vocabulary, context=size.context, tied=True,
        )  # fmt: skip

    def params(self, shape: Shape) -> Params:
        """body = L (4 d^2 + 3 d f + 2 d) + d; embedding = V d; head = 0 when tied, else V d.

        Example:
            >>> family = LlamaShapes()
            >>> size = Size(width=64, layers=2, vocabulary=4096, context=128, head_width=8)
            >>> family.params(family.shape(size))
            Params(body=98368, embedding=262144, head=0)
        """
        d, f = shape.width, shape.feed_forward
        body = shape.layers * (4 * d * d + 3 * d * f + 2 * d) + d
        table = shape.vocabulary * d
        return Params(body=body, embedding=table, head=0 if shape.tied else table)

    def flop_per_token(self, shape: Shape) -> float:
        """Training FLOP a token: 6 (L (4 d^2 + 3 d f) + V d) + 12 L T d; causal attention is counted in full.

        Reference: Kaplan et al. 2020, arXiv:2001.08361, section 2.1, with the head and attention added.
        """
        d, f = shape.width, shape.feed_forward
        matmul = shape.layers * (4 * d * d + 3 * d * f) + shape.vocabulary * d
        return 6.0 * matmul + 12.0 * shape.layers * shape.context * d

    def memory_bytes(self, shape: Shape, micro_tokens: int, precision: Precision) -> float:
        """16 bytes a parameter (weights, gradients, two moments) + activations + one chunk of logits.

        Activations: tokens x L x (14 d + 6 f + h T) values in the body's precision; the head keeps 512 rows of V.
        Source: counted from the modules; eager attention backward keeps h T scores a token.
        """
        states = 16.0 * self.params(shape).total
        a_token = shape.layers * (14 * shape.width + 6 * shape.feed_forward + shape.heads * shape.context)
        logits = 3.0 * 4 * min(micro_tokens, HEAD_ROWS) * shape.vocabulary
        return states + micro_tokens * a_token * BYTES[precision["body"]] + logits


SHAPES: Mapping[str, Shapes] = {"llama": LlamaShapes()}


def head_width(widths: tuple[int, ...]) -> int:
    """One head width for a whole ladder: the largest power of two up to 64 that divides every width, two heads least.

    Example:
        >>> head_width((16, 24, 32, 48, 64)), head_width((128, 256))
        (8, 64)
    """
    common = math.gcd(*widths)
    best = 1
    while 2 * best <= min(64, min(widths) // 2) and common % (2 * best) == 0:
        best *= 2
    return best


def facts_of(family: str, size: Mapping[str, Any]) -> tuple[Shape, Params, float]:
    """Shape, parameters and FLOP a token of a size as it stands in spec.json."""
    shapes = SHAPES[family]
    shape = shapes.shape(Size(**size))
    return shape, shapes.params(shape), shapes.flop_per_token(shape)
