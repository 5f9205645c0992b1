"""A small network behind a pooled state, used in training alone: what SimCLR projects with, and what DINO scores with.

Legend: d width of the state, f of the hidden layers, e of the space it maps into, K prototypes, L linear layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

from keel.errors import Problem
from keel.model.shapes.arithmetic import FLOP_A_PRODUCT
from keel.model.shapes.size import Params, Precision, Shape, Size, Use


def projector_size(width: int, layers: int, hidden: int, out: int, prototypes: int = 0) -> Size:
    """The size of one: `width` d, `hidden` f, `out` e, `prototypes` K."""
    return Size(width=width, layers=layers, vocabulary=0, context=1, head_width=0, feed_forward=hidden,
                embedding_width=out, classes=prototypes)  # fmt: skip


class ProjectorShapes:
    """d f + f, (L - 2) (f^2 + f), f e + e; under the head "prototypes" K e beside, vectors of length 1.

    Of a Use only `encoder` counts: states that go through it.

    Example:
        >>> size = projector_size(8, 2, 16, 4)
        >>> ProjectorShapes().params(ProjectorShapes().shape(size)).total  # 8 x 16 + 16 + 16 x 4 + 4
        212
    """

    heads: ClassVar[Mapping[str, bool]] = {"points": False, "prototypes": True}

    def problems(self, size: Size) -> list[Problem]:
        """Counts that are missing."""
        least = {"width": 1, "layers": 2, "feed_forward": 1, "embedding_width": 1}
        return [
            Problem(f"{name} is {getattr(size, name)}", f"a projector has {low}", f"set it to {low} or more", name)
            for name, low in least.items() if getattr(size, name) < low
        ]  # fmt: skip

    def shape(self, size: Size) -> Shape:
        """All is said already."""
        found = self.problems(size)
        assert not found, "; ".join(problem.what for problem in found)
        return Shape(
            width=size.width, layers=size.layers, heads=0, feed_forward=size.feed_forward, vocabulary=0, context=1,
            tied=False, embedding_width=size.embedding_width, classes=size.classes,
        )  # fmt: skip

    def widths(self, shape: Shape) -> list[int]:
        """Widths before, between and behind the linear layers."""
        return [shape.width, *[shape.feed_forward] * (shape.layers - 1), shape.embedding_width]

    def params(self, shape: Shape, head: str = "points") -> Params:
        """Exact counts."""
        widths = self.widths(shape)
        body = sum(before * behind + behind for before, behind in pairwise(widths))
        return Params(body, 0, self._prototypes(shape, head))

    def flop(self, shape: Shape, use: Use, head: str = "points") -> float:
        """6 x its multiply-adds."""
        widths = self.widths(shape)
        products = sum(before * behind for before, behind in pairwise(widths)) + self._prototypes(shape, head)
        return float(FLOP_A_PRODUCT * use.encoder * products)

    def full_use(self, shape: Shape) -> Use:
        """One state."""
        return Use(1)

    def flop_per_token(self, shape: Shape) -> float:
        """Of one state."""
        return self.flop(shape, self.full_use(shape))

    def memory_bytes(
        self, shape: Shape, micro_tokens: int, precision: Precision, decoder_tokens: int | None = None
    ) -> float:
        """16 bytes a parameter, and what each layer gives in fp32."""
        kept = 4.0 * micro_tokens * (sum(self.widths(shape)) + 3 * shape.classes)
        return 16.0 * self.params(shape, "prototypes").total + kept

    def _prototypes(self, shape: Shape, head: str) -> int:
        return shape.classes * shape.embedding_width if self.heads[head] else 0
