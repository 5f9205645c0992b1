"""Hard negatives: of every pair another caption and another image, drawn within its group by how near they are.

A group stays together however a step is cut, so that what is drawn hangs on the pairs alone, never on the cut.

Legend: B pairs of a micro-batch, G of a group.
"""

from __future__ import annotations

import torch
from torch import Tensor


def others(captions: Tensor, group: int) -> Tensor:
    """(B, B): which pairs can be a negative of which: those of its group that have another caption (B, 2).

    Example:
        >>> others(torch.tensor([[1, 1], [2, 2], [1, 1], [3, 3]]), 3).int().tolist()
        [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    """
    places = torch.arange(len(captions), device=captions.device) // group
    alike = (captions[:, None] == captions).all(-1)
    return (places[:, None] == places) & ~alike


@torch.no_grad()
def drawn(logits: Tensor, allowed: Tensor, uniforms: Tensor) -> Tensor:
    """(B,): for each row of logits (B, B) the place that a draw from [0, 1) picks from its softmax over `allowed`.

    The first whose cumulative probability exceeds the draw. Rows without any that is allowed must not be asked.

    Example:
        >>> logits, allowed = torch.zeros(2, 3), torch.tensor([[False, True, True], [True, False, False]])
        >>> drawn(logits, allowed, torch.tensor([0.6, 0.9])).tolist()
        [2, 0]
    """
    through = torch.softmax(logits.double().masked_fill(~allowed, -torch.inf), 1).cumsum(1)
    # Rounding may leave the last sum below a draw: the last that is allowed then has it.
    last = allowed.shape[1] - 1 - allowed.flip(1).int().argmax(1)
    asked = uniforms[:, None].double().contiguous()
    found = torch.searchsorted(through.contiguous(), asked, right=True).squeeze(1)
    return torch.minimum(found, last)
