"""A decoder of captions in two halves: the first reads text alone, the second attends to what was found in an image.

Legend: d width, f feed-forward width, L and M layers of the halves, V vocabulary, T positions, q vectors of an image,
m rows of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from keel.errors import Problem
from keel.model.shapes.arithmetic import FLOP_A_PRODUCT
from keel.model.shapes.size import BYTES, HEAD_ROWS, Params, Precision, Shape, Size, Use, four_widths

LEAST = {"width": 1, "layers": 1, "decoder_layers": 1, "vocabulary": 1, "context": 3, "head_width": 1, "queries": 1}


class CaptionerShapes:
    """body = L (4 d^2 + 2 d f + 9 d + f) + M (8 d^2 + 2 d f + 15 d + f) + 2 d; embedding = (V + T) d.

    Heads: the output table is that of the tokens ("tokens", "aligned") or one of its own, V d ("own-tokens",
    "own-aligned"). An "aligned" one has a vector that stands behind each caption, and a norm and a linear layer on its
    state in the first half: d^2 + 3 d. `layers` are the first half's, `decoder_layers` the second's.

    Reference: Yu et al. 2022, arXiv:2205.01917, section 3.2 and table 1.

    Example:
        >>> size = Size(width=8, layers=1, decoder_layers=1, vocabulary=20, context=6, head_width=4, queries=4)
        >>> CaptionerShapes().params(CaptionerShapes().shape(size), "aligned")
        Params(body=2064, embedding=208, head=88)
    """

    heads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "tokens": (), "own-tokens": ("table",), "aligned": ("cls",), "own-aligned": ("table", "cls"),
    }  # fmt: skip

    def problems(self, size: Size) -> list[Problem]:
        """Counts that are missing, and a width without whole heads."""
        return list(_problems(size))

    def shape(self, size: Size) -> Shape:
        """The shape of `size`; `problems` must find nothing."""
        found = self.problems(size)
        assert not found, "; ".join(problem.what for problem in found)
        return Shape(
            width=size.width, layers=size.layers, heads=size.width // size.head_width,
            feed_forward=size.feed_forward or four_widths(size.width), vocabulary=size.vocabulary,
            context=size.context, tied=True, decoder_layers=size.decoder_layers, queries=size.queries,
        )  # fmt: skip

    def params(self, shape: Shape, head: str = "tokens") -> Params:
        """Exact counts."""
        d, f = shape.width, shape.feed_forward
        plain = 2 * d * f + f + d
        body = shape.layers * (4 * d * d + 4 * d + plain + 4 * d)
        body += shape.decoder_layers * (8 * d * d + 8 * d + plain + 6 * d) + 2 * d
        behind = {"table": shape.vocabulary * d, "cls": d * d + 3 * d}
        return Params(body, (shape.vocabulary + shape.context) * d, sum(behind[part] for part in self.heads[head]))

    def products(self, shape: Shape, use: Use, head: str = "tokens") -> int:
        """Multiply-adds of the forward pass of one caption, `use.encoder` rows of text, `use.head` of them predicted.

        Causal attention is counted in full. The vector behind a caption is one row more of the first half.
        """
        d, q, m = shape.width, shape.queries, use.encoder
        layer, aligned = 4 * d * d + 2 * d * shape.feed_forward, "cls" in self.heads[head]
        n = m + aligned
        first = shape.layers * (n * layer + 2 * n * n * d)
        second = shape.decoder_layers * (m * layer + 2 * m * m * d + 2 * d * d * (m + q) + 2 * m * q * d)
        return first + second + use.head * shape.vocabulary * d + aligned * d * d

    def flop(self, shape: Shape, use: Use, head: str = "tokens") -> float:
        """6 x its multiply-adds."""
        return float(FLOP_A_PRODUCT * self.products(shape, use, head))

    def full_use(self, shape: Shape) -> Use:
        """A caption that fills the positions: its end is predicted and never read."""
        return Use(shape.context - 1, 0, shape.context - 1)

    def flop_per_token(self, shape: Shape) -> float:
        """FLOP of a caption that fills the positions, a position."""
        return self.flop(shape, self.full_use(shape)) / shape.context

    def memory_bytes(
        self, shape: Shape, micro_tokens: int, precision: Precision, decoder_tokens: int | None = None
    ) -> float:
        """16 bytes a parameter; 8 d + 2 f and its scores a row and layer, attention to an image 6 d and scores more."""
        d, f, q, rows = shape.width, shape.feed_forward, shape.queries, shape.heads * shape.context
        first = 8 * d + 2 * f + rows
        second = first + 6 * d + shape.heads * q + 2 * q * d / shape.context
        values = micro_tokens * (shape.layers * first + shape.decoder_layers * second)
        logits = 3.0 * 4 * min(micro_tokens, HEAD_ROWS) * shape.vocabulary
        return 16.0 * self.params(shape, "own-aligned").total + values * BYTES[precision["body"]] + logits


def _problems(size: Size) -> Iterator[Problem]:
    for name, least in LEAST.items():
        if getattr(size, name) < least:
            yield Problem(f"{name} is {getattr(size, name)}", f"a decoder of captions has {least} at least",
                          f"raise {name}", name)  # fmt: skip
    if size.head_width > 0 and size.width % size.head_width:
        yield Problem("width is not a multiple of head_width", f"{size.width} / {size.head_width} leaves "
                      f"{size.width % size.head_width}", "set width to a multiple of head_width", "width")  # fmt: skip
