"""What stands behind a masked image and a masked text that read each other: pixels of a patch, and do the two match?

Legend: B pairs, n patches, k = 3 P^2 values of a patch, d width of the image's states, e of the text's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from keel.model.patches import patchify, unpatchify
from keel.model.shapes import Params, Precision, Size
from keel.model.shapes.cross import pair_head_params
from keel.model.shapes.vision_patches import COLOURS
from keel.model.vision_init import BASE_WIDTH, STD, cut_normal


class PairHeads(nn.Module):
    """`hidden` (k,): learned values that stand where a patch is hidden; a tower reads them as it reads pixels."""

    def __init__(self, width: int, other: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.hidden = nn.Parameter(torch.empty(COLOURS * patch * patch))
        self.pixels = nn.Linear(width, COLOURS * patch * patch)
        self.match = nn.Linear(width + other, 2)

    def blank(self, images: Tensor, hidden: Tensor) -> Tensor:
        """(B, 3, H, H) with the patches `hidden` (B, n) replaced."""
        patches = patchify(images.to(self.hidden.dtype), self.patch)
        return unpatchify(torch.where(hidden[..., None], self.hidden, patches), self.patch)

    def forward(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., k), the values of a patch."""
        found: Tensor = self.pixels(states)
        return found

    def matched(self, image: Tensor, text: Tensor) -> Tensor:
        """First states (B, d) and (B, e) -> logits (B, 2): they do not, or do, belong together."""
        found: Tensor = self.match(torch.cat([image, text], dim=-1))
        return found


class PairHeadsFamily:
    """Its family: `width` is d, `embedding_width` e, `patch` P."""

    name = "pair-heads"

    def shape(self, size: Size) -> Size:
        """All follows from the three."""
        return size

    def params(self, shape: Size, head: str = "body") -> Params:
        """k + k (d + 1) + 2 (d + e) + 2."""
        return Params(0, 0, pair_head_params(shape.width, shape.embedding_width, shape.patch))

    @torch.no_grad()
    def build(
        self, shape: Size, precision: Precision, seed: int, ids: Mapping[str, int | None] | None = None,
        head: str = "body",
    ) -> PairHeads:  # fmt: skip
        """Pixels as a ViT's matrices, biases 0; `hidden` N(0, 1), as pixels are; matches 0: their loss is ln 2."""
        made = PairHeads(shape.width, shape.embedding_width, shape.patch)
        generator = torch.Generator().manual_seed(seed)
        made.hidden.normal_(0.0, 1.0, generator=generator)
        cut_normal(made.pixels.weight, generator, STD * math.sqrt(BASE_WIDTH / shape.width))
        for weight in (made.pixels.bias, made.match.weight, made.match.bias):
            weight.zero_()
        return made


FAMILY = PairHeadsFamily()
