"""What a model is made of: the free choices (Size), all that follows (Shape), the counts (Params), the work (Use)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol

from keel.errors import Problem

Precision = Mapping[str, str]
BYTES = {"fp32": 4, "bf16": 2}
HEAD_ROWS = 512
OPTIONAL = ("decoder_layers", "embedding_width", "feed_forward", "token_types", "patch", "classes", "queries")


@dataclass(frozen=True, kw_only=True)
class Size:
    """The free choices of one model; all else follows. 0 in an optional field means the family's own rule.

    A model that sees images has no vocabulary (0), but that of captions read beside it; `context` counts the tokens of
    an image, squares of `patch` pixels a side, so that its own side is patch x sqrt(context); `head_width` is 0 where
    nothing attends. `queries`: learned vectors that ask an image, or what they found that a text attends to.

    Example:
        >>> Size(width=64, layers=2, vocabulary=4096, context=128, head_width=8).json()
        {'width': 64, 'layers': 2, 'vocabulary': 4096, 'context': 128, 'head_width': 8}
    """

    width: int
    layers: int
    vocabulary: int
    context: int
    head_width: int
    decoder_layers: int = 0
    embedding_width: int = 0
    feed_forward: int = 0
    token_types: int = 0
    patch: int = 0
    classes: int = 0
    queries: int = 0

    def json(self) -> dict[str, int]:
        """Plain values for spec.json; optional fields are left out while 0, so that older identities stay."""
        return {name: value for name, value in asdict(self).items() if value or name not in OPTIONAL}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Everything a library's config needs. `embedding_width` 0 means the width, `head_width` 0 the width / heads.

    Of images: `image` is the side in pixels, `depths` the blocks of each stage where the width grows by stages.
    """

    width: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    context: int
    tied: bool
    decoder_layers: int = 0
    embedding_width: int = 0
    head_width: int = 0
    token_types: int = 0
    image: int = 0
    patch: int = 0
    classes: int = 0
    depths: tuple[int, ...] = ()
    queries: int = 0

    @property
    def table_width(self) -> int:
        """Width of the token table."""
        return self.embedding_width or self.width

    @property
    def inner_width(self) -> int:
        """Width of all heads together."""
        return self.heads * (self.head_width or self.width // self.heads)


class Params(NamedTuple):
    """Parameter counts, never one N.

    `embedding` counts every lookup table: tokens, positions, token types (Kaplan et al. 2020, section 2.1, leaves both
    tokens and positions out of N). `head` counts what stands behind the last hidden state: transform, bias, pooler,
    classifier, and an output table of its own (0 when tied to the embedding). `body` is the rest.
    """

    body: int
    embedding: int
    head: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.body + self.embedding + self.head


class Use(NamedTuple):
    """How one sample is used: tokens through the only or first stack, tokens through the decoder behind an encoder,
    rows that meet the head; and how many samples share one forward pass."""

    encoder: int
    decoder: int = 0
    head: int = 0
    batch: int = 1


class Shapes(Protocol):
    """The half of a Family that needs no torch; each has a head of its own where none is named."""

    def problems(self, size: Size) -> list[Problem]: ...

    def shape(self, size: Size) -> Shape: ...

    def params(self, shape: Shape, head: str = ...) -> Params: ...

    def flop(self, shape: Shape, use: Use, head: str = ...) -> float: ...

    def full_use(self, shape: Shape) -> Use: ...

    def flop_per_token(self, shape: Shape) -> float: ...

    def memory_bytes(
        self, shape: Shape, micro_tokens: int, precision: Precision, decoder_tokens: int | None = None
    ) -> float: ...


def feed_forward_width(width: int) -> int:
    """8/3 d to the nearest multiple of 2 (d < 128), 8 (d < 512) or 64: a gated block then has about 8 d^2 weights.

    Reference: Shazeer 2020, arXiv:2002.05202, section 2 (the 2/3 of 4 d).

    Example:
        >>> [feed_forward_width(d) for d in (16, 64, 256, 768)]
        [42, 170, 680, 2048]
    """
    step = 2 if width < 128 else 8 if width < 512 else 64
    return step * round(8 * width / 3 / step)


def four_widths(width: int) -> int:
    """4 d. Reference: Vaswani et al. 2017, arXiv:1706.03762, table 3."""
    return 4 * width


def half_more(width: int) -> int:
    """3/2 d, gated. Source: the released ModernBERT-base, 768 and 1152."""
    return 3 * width // 2


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
