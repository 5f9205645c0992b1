"""Images as rows of patches and back: a projection of them is a convolution whose stride is its kernel.

Legend: B images, H side in pixels, P side of a patch, n = (H / P)^2 patches row by row, C = 3 colours.
"""

from __future__ import annotations

import math

from torch import Tensor


def patchify(pixels_bchh: Tensor, patch: int) -> Tensor:
    """(B, C, H, H) -> (B, n, C P P): the values of a patch in the order of a convolution's weights.

    Example:
        >>> import torch
        >>> patchify(torch.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 1].tolist()
        [2.0, 3.0, 6.0, 7.0]
    """
    images, colours, height, width = pixels_bchh.shape
    assert height % patch == 0, f"{height} pixels are no whole number of patches of {patch}"
    assert width % patch == 0, f"{width} pixels are no whole number of patches of {patch}"
    split = pixels_bchh.reshape(images, colours, height // patch, patch, width // patch, patch)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(images, -1, colours * patch * patch)


def unpatchify(patches_bnk: Tensor, patch: int) -> Tensor:
    """(B, n, C P P) -> (B, C, H, H), a square image: what `patchify` took apart."""
    images, number, values = patches_bnk.shape
    grid = math.isqrt(number)
    assert grid * grid == number, f"{number} patches make no square"
    split = patches_bnk.reshape(images, grid, grid, values // patch**2, patch, patch)
    return split.permute(0, 3, 1, 4, 2, 5).reshape(images, -1, grid * patch, grid * patch)


def project(patches_bnk: Tensor, weight_dcpp: Tensor, bias_d: Tensor | None) -> Tensor:
    """(B, n, C P P) -> (B, n, d), any patches: what a convolution of these weights gives with stride P."""
    made = patches_bnk @ weight_dcpp.flatten(1).T
    return made if bias_d is None else made + bias_d
