"""A linear layer without bias between two widths: from a tower's states into a space that it shares with another."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from keel.model.shapes import Params, Precision, Size


class Projection(nn.Module):
    """(m, d) -> (m, e), in fp32 at least."""

    def __init__(self, width: int, onto: int) -> None:
        super().__init__()
        self.onto = nn.Linear(width, onto, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """W h."""
        found: Tensor = self.onto(states)
        return found


class Projections:
    """Its family: `width` is d, `embedding_width` e. It is exported with the tower in front of it."""

    name = "projection"

    def shape(self, size: Size) -> Size:
        """All follows from the two widths."""
        return size

    def params(self, shape: Size, head: str = "joint") -> Params:
        """d e."""
        return Params(0, 0, shape.width * shape.embedding_width)

    def build(
        self, shape: Size, precision: Precision, seed: int, ids: Mapping[str, int | None] | None = None,
        head: str = "joint",
    ) -> Projection:  # fmt: skip
        """N(0, 1 / d) from `seed`."""
        made = Projection(shape.width, shape.embedding_width)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            made.onto.weight.normal_(0.0, shape.width**-0.5, generator=generator)
        return made


FAMILY = Projections()
