"""Positions on a grid that nothing learns: sines and cosines of the row and of the column.

Legend: G patches a side, n = G^2 patches, d width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SLOWEST = 10_000.0
NAMED = "position_embeddings"


def table(grid: int, width: int) -> Tensor:
    """(1, 1 + n, d): zeros for CLS, then a row a patch; half of d tells the column, half the row.

    A half is sin(p w_i), then cos(p w_i), with w_i = 10000^(-i / (d / 4)), i = 0 ... d / 4 - 1.

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.5; He et al. 2021, arXiv:2111.06377, appendix A.1.

    Example:
        >>> table(2, 4)[0, -1].tolist() == table(2, 4)[0, 1:].amax(0).tolist()
        False
        >>> table(3, 8).shape
        torch.Size([1, 10, 8])
    """
    assert width % 4 == 0, f"sines and cosines of two places do not fill a width of {width}"
    rates = SLOWEST ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    places = torch.arange(grid, dtype=torch.float64)
    angles = places[:, None] * rates
    of = torch.cat([angles.sin(), angles.cos()], dim=1)
    columns, rows = of.repeat(grid, 1), of.repeat_interleave(grid, dim=0)
    made = torch.cat([columns, rows], dim=1)
    return torch.cat([torch.zeros(1, width, dtype=torch.float64), made])[None].float()


@torch.no_grad()
def place(library: Any) -> None:
    """Overwrite the learned positions of a ViT of the library."""
    config, embeddings = library.config, library.base_model.embeddings
    made = table(config.image_size // config.patch_size, config.hidden_size)
    embeddings.position_embeddings.copy_(made)
