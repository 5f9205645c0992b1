"""Learned queries that attend to the states of an image: as many vectors come out as there are queries.

Legend: q queries, e their width, d width of the states, r states of an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from keel.errors import Problem
from keel.model.shapes.arithmetic import FLOP_A_PRODUCT
from keel.model.shapes.size import BYTES, Params, Precision, Shape, Size, Use


def pooler_size(image: Size, queries: int) -> Size:
    """One that asks all patches of an image and the state of the whole; its vectors are as wide as the shared space.

    Example:
        >>> image = Size(width=768, layers=12, vocabulary=0, context=256, head_width=64, patch=18, embedding_width=512)
        >>> pooler_size(image, 1).json()["context"]
        257
    """
    return Size(width=image.embedding_width, layers=1, vocabulary=0, context=image.context + 1, queries=queries,
                head_width=image.head_width, embedding_width=image.width)  # fmt: skip


class PoolerShapes:
    """body = 2 e^2 + 2 d e + 4 e, norms of states, queries and what comes out 2 d + 4 e; embedding = q e.

    Its head is nothing ("body"), or one linear layer without bias on every vector, e^2 ("joint").
    Reference: Yu et al. 2022, arXiv:2205.01917, section 3.2 (attentional poolers).

    Example:
        >>> image = Size(width=8, layers=1, vocabulary=0, context=4, head_width=4, patch=2, embedding_width=4)
        >>> PoolerShapes().params(PoolerShapes().shape(pooler_size(image, 3)))
        Params(body=144, embedding=12, head=0)
    """

    heads: ClassVar[Mapping[str, bool]] = {"body": False, "joint": True}

    def problems(self, size: Size) -> list[Problem]:
        """Counts that are missing, and a width without whole heads."""
        return list(_problems(size))

    def shape(self, size: Size) -> Shape:
        """All is said already."""
        found = self.problems(size)
        assert not found, "; ".join(problem.what for problem in found)
        return Shape(
            width=size.width, layers=1, heads=size.width // size.head_width, feed_forward=0, vocabulary=0,
            context=size.context, tied=False, embedding_width=size.embedding_width, queries=size.queries,
        )  # fmt: skip

    def params(self, shape: Shape, head: str = "body") -> Params:
        """Exact counts."""
        e, d = shape.width, shape.embedding_width
        return Params(2 * e * e + 2 * d * e + 4 * e + 2 * d + 4 * e, shape.queries * e, e * e * self.heads[head])

    def products(self, shape: Shape, use: Use, head: str = "body") -> int:
        """Multiply-adds of the forward pass of one image, `use.encoder` states of it."""
        e, d, q, r = shape.width, shape.embedding_width, shape.queries, use.encoder
        return 2 * q * e * e + 2 * r * d * e + 2 * q * r * e + q * e * e * self.heads[head]

    def flop(self, shape: Shape, use: Use, head: str = "body") -> float:
        """6 x its multiply-adds."""
        return float(FLOP_A_PRODUCT * self.products(shape, use, head))

    def full_use(self, shape: Shape) -> Use:
        """A whole image."""
        return Use(shape.context)

    def flop_per_token(self, shape: Shape) -> float:
        """FLOP of a whole image over its states."""
        return self.flop(shape, self.full_use(shape)) / shape.context

    def memory_bytes(
        self, shape: Shape, micro_tokens: int, precision: Precision, decoder_tokens: int | None = None
    ) -> float:
        """16 bytes a parameter; normed states, keys and values, scores, and what queries keep."""
        e, d, q = shape.width, shape.embedding_width, shape.queries
        state = 2 * d + 2 * e + q * shape.heads
        kept = micro_tokens * (state + 6 * q * e / shape.context)
        return 16.0 * self.params(shape, "joint").total + kept * BYTES[precision["body"]]


def _problems(size: Size) -> Iterator[Problem]:
    for name in ("width", "embedding_width", "context", "queries", "head_width"):
        if getattr(size, name) < 1:
            yield Problem(f"{name} is {getattr(size, name)}", "a pooler has one at least", f"raise {name}", name)
    if size.head_width > 0 and size.width % size.head_width:
        yield Problem("width is not a multiple of head_width", f"{size.width} / {size.head_width} leaves "
                      f"{size.width % size.head_width}", "set width to a multiple of head_width", "width")  # fmt: skip
