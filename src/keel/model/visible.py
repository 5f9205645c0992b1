"""Some patches of an image through a ViT of the library: those that are hidden are never computed.

Legend: B images, H side in pixels, n patches of an image, m of them seen, d width.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch import cat as joined

from keel.model.patches import patchify, project

CLS = 1


def hidden_of(body: Any, pixels_bchh: Tensor, seen_bm: Tensor) -> Tensor:
    """(B, 3, H, H) and the places (B, m) of what is seen -> states (B, 1 + m, d) behind the last norm, CLS first.

    With all places in order this is the library's own forward pass.
    """
    embeddings = body.embeddings
    layer = embeddings.patch_embeddings.projection
    patches = taken(patchify(pixels_bchh, layer.kernel_size[0]), seen_bm)
    positions = embeddings.position_embeddings
    rows = project(patches, layer.weight, layer.bias) + positions[0, CLS:][seen_bm]
    first = (embeddings.cls_token + positions[:, :CLS]).expand(len(rows), -1, -1)
    hidden: Tensor = embeddings.dropout(joined([first.to(rows.dtype), rows], dim=1))
    for block in body.layers:
        hidden = block(hidden)
    last: Tensor = body.layernorm(hidden)
    return last


def taken(rows_bnk: Tensor, places_bm: Tensor) -> Tensor:
    """(B, n, k) and places (B, m) -> (B, m, k).

    Example:
        >>> import torch
        >>> taken(torch.arange(6.0).reshape(1, 3, 2), torch.tensor([[2, 0]])).tolist()
        [[[4.0, 5.0], [0.0, 1.0]]]
    """
    return rows_bnk.gather(1, places_bm[..., None].expand(-1, -1, rows_bnk.shape[-1]))
