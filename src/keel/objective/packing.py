"""Texts of unequal length in few rows: which go together, and a mask behind which each is as alone as in its own row.

Legend: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pack(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Rows of at most `most` tokens as lists of places, the longest first, each into the first row with room.

    At most 11/9 of the fewest rows there could be, and one more.
    Reference: Johnson 1973, Near-optimal bin packing algorithms (first-fit decreasing).

    Example:
        >>> pack([3, 9, 2, 5, 4], most=9)
        [[1], [3, 4], [0, 2]]
    """
    assert max(lengths, default=0) <= most, "a text longer than a row"
    rows: list[list[int]] = []
    room: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        found = next((row for row, left in enumerate(room) if left >= lengths[place]), len(rows))
        if found == len(rows):
            rows.append([])
            room.append(most)
        rows[found].append(place)
        room[found] -= lengths[place]
    return rows


def blocks_mask(document_bt: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to attention scores (B, 1, T, T): 0 where a position sees an earlier one of its own document.

    As numbers, not flags, the library's kernels all take it. A position of padding sees its own kind, and so never
    nothing at all.

    Example:
        >>> (blocks_mask(torch.tensor([[0, 0, 1]]), torch.float32) == 0).int().tolist()
        [[[[1, 0, 0], [1, 1, 0], [0, 0, 1]]]]
    """
    place = torch.arange(document_bt.shape[1])
    sees = (place[None, :] <= place[:, None]) & (document_bt[:, :, None] == document_bt[:, None, :])
    return torch.zeros(sees.shape, dtype=dtype).masked_fill_(~sees, torch.finfo(dtype).min)[:, None]
