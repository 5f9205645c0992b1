"""A projector with its torch half: pooled states -> points of a space of its own, and scores of prototypes there.

Legend: B states, d their width, e width of the space, K prototypes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, normalize, relu

from keel.model.shapes import SHAPES, Precision, Shape
from keel.model.shapes.projector import ProjectorShapes

# Chen et al. 2020, arXiv:2002.05709, section 2.1; Caron et al. 2021, arXiv:2104.14294, appendix C.
BENDS: Mapping[str, Callable[[Tensor], Tensor]] = {"points": relu, "prototypes": gelu}


class Projector(nn.Module):
    """Linear layers with a bend between; always in fp32 at least. `prototypes` (K, e): read at length 1."""

    prototypes: nn.Parameter | None

    def __init__(self, widths: list[int], prototypes: int, head: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.prototypes = nn.Parameter(torch.empty(prototypes, widths[-1])) if head == "prototypes" else None
        self.bend = BENDS[head]

    def forward(self, states: Tensor) -> Tensor:
        """(B, d) -> (B, e) of length 1."""
        for layer in self.layers[:-1]:
            states = self.bend(layer(states))
        return normalize(self.layers[-1](states), dim=-1)

    def scores(self, points: Tensor) -> Tensor:
        """(B, e) -> (B, K): cosines with the prototypes.

        A weight-normed layer whose lengths stay 1, as that of Caron et al. 2021, section 3.1 and appendix C.
        """
        assert self.prototypes is not None, "a projector without prototypes"
        return linear(points, normalize(self.prototypes, dim=-1))


class Projectors:
    """The family: shape, parameters and FLOP (no torch), and build. It is part of training, never exported."""

    def __init__(self) -> None:
        shapes = SHAPES["projector"]
        assert isinstance(shapes, ProjectorShapes)
        self.name, self._shapes = "projector", shapes
        self.shape, self.params, self.flop_per_token = shapes.shape, shapes.params, shapes.flop_per_token

    @torch.no_grad()
    def build(
        self, shape: Shape, precision: Precision, seed: int, ids: Mapping[str, int | None] | None = None,
        head: str = "points", given: Any = None,
    ) -> Projector:  # fmt: skip
        """Fresh weights from `seed`: N(0, 1 / fan-in), biases 0; a prototype's direction alone counts."""
        made = self.module(shape, head)
        generator = torch.Generator().manual_seed(seed)
        for weight in made.parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, weight.shape[1] ** -0.5, generator=generator)
            else:
                weight.zero_()
        return made

    def module(
        self, shape: Shape, head: str = "points", ids: Mapping[str, int | None] | None = None, given: Any = None
    ) -> Projector:
        """With whatever weights."""
        return Projector(self._shapes.widths(shape), shape.classes, head)


FAMILY = Projectors()
