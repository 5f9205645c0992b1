"""Learned positions on a grid of patches, carried over to images of another side.

Legend: n patches, G = sqrt(n) patches a side, d width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from keel.errors import StudyError
from keel.model.shapes import Shape

CLS = 1


def resized(positions_1rd: Tensor, grid: int) -> Tensor:
    """(1, 1 + n, d) -> (1, 1 + grid^2, d): the row of CLS as it is, the others bicubic; the same grid: as it is.

    Reference: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.2.
    """
    cls, rows = positions_1rd[:, :CLS], positions_1rd[:, CLS:]
    old = math.isqrt(rows.shape[1])
    assert old * old == rows.shape[1], f"{rows.shape[1]} positions are no square grid"
    if old == grid:
        return positions_1rd
    map_1dgg = rows.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    made = nn.functional.interpolate(map_1dgg, size=(grid, grid), mode="bicubic", align_corners=False)
    return torch.cat([cls, made.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)], dim=1)


@torch.no_grad()
def resize(library: Any, shape: Shape) -> None:
    """Give a ViT of the library the positions and the image side of `shape`, whose patch must be its own.

    Raises:
        StudyError: another patch: its projection would see other pixels.
    """
    config, embeddings = library.config, library.base_model.embeddings
    if shape.patch != config.patch_size:
        raise StudyError(f"patches of {shape.patch} pixels for a model of {config.patch_size}",
                         why="its projection is learned for its own patch", where="patch",
                         fix=f"keep patch {config.patch_size} and change the image alone")  # fmt: skip
    made = resized(embeddings.position_embeddings, math.isqrt(shape.context))
    if made is not embeddings.position_embeddings:
        embeddings.position_embeddings = nn.Parameter(made)
    config.image_size = shape.image
    embeddings.image_size = embeddings.patch_embeddings.image_size = (shape.image, shape.image)
    embeddings.patch_embeddings.num_patches = shape.context
