"""Randomness on the device, keyed by sample: the same draws however a step is cut into micro-batches and ranks.

Legend: B samples, T draws a sample, n rows, d width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from keel.model.shapes import HEAD_ROWS
from keel.objective.base import Key


def uniforms(key: Key, number: int, device: torch.device) -> Tensor:
    """Draws (B, number) from [0, 1): row b hangs on (seed, step, id of sample b) and on nothing else.

    Example:
        >>> both = uniforms(Key(0, 7, (3, 5)), 4, torch.device("cpu"))
        >>> torch.equal(both[1:], uniforms(Key(0, 7, (5,)), 4, torch.device("cpu")))
        True
    """
    rows = []
    for sample in key.sample_ids:
        seed = int(np.random.SeedSequence((key.seed, key.step, sample)).generate_state(1, np.uint64)[0] >> 1)
        generator = torch.Generator(device).manual_seed(seed)
        rows.append(torch.rand(number, generator=generator, device=device, dtype=torch.float64))
    return torch.stack(rows)


@torch.no_grad()
def categorical(model: Any, hidden_nd: Tensor, uniforms_n: Tensor) -> Tensor:
    """Tokens (n,) drawn from softmax(W h + b) of each row: the first whose cumulative probability exceeds the draw.

    The same law as the argmax of logits + Gumbel noise, which ELECTRA's code takes, for one draw a row in place of V.
    """
    found, hidden_nd = [], hidden_nd.detach()
    for first in range(0, len(hidden_nd), HEAD_ROWS):
        rows = slice(first, first + HEAD_ROWS)
        through_nv = torch.softmax(model.logits(hidden_nd[rows]), -1).cumsum(-1)
        # Rounding leaves the last sum beside 1, so the draw is a share of it; and it may round up to all of it.
        total_n1 = through_nv[:, -1:]
        below_n1 = torch.nextafter(total_n1, torch.zeros_like(total_n1))
        wanted_n1 = torch.minimum(uniforms_n[rows, None].to(through_nv.dtype) * total_n1, below_n1)
        found.append(torch.searchsorted(through_nv, wanted_n1, right=True).squeeze(1))
    return torch.cat(found) if found else torch.empty(0, dtype=torch.long, device=hidden_nd.device)
