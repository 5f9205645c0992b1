"""Bits per byte of the fixed held-out text: comparable across sizes and tokenizers.

Legend: B windows, T context, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from keel.evaluate.intervals import ratio_error
from keel.model.shapes import HEAD_ROWS

SEPARATOR = 0  # of a tokenizer of keel's own


class Judgement(NamedTuple):
    """bits_per_byte = sum of -log2 p over the text's tokens / its bytes; separators are context, not targets.

    `standard_error` of it over windows; None where there is one alone. `bar`: what token frequencies alone reach
    on the same targets, in the same unit; None where nobody knows.
    """

    bits_per_byte: float
    nats_per_token: float
    tokens: int
    bytes: int
    standard_error: float | None = None
    bar: float | None = None

    @property
    def floor(self) -> str:
        """What `bar` is, in words."""
        return "token frequencies alone"

    @property
    def value(self) -> float:
        """What sizes are compared by."""
        return self.bits_per_byte

    def told(self) -> dict[str, Any]:
        """Its part of a result."""
        return {"loss_nats_per_token": self.nats_per_token, "bits_per_byte": self.bits_per_byte,
                "standard_error": self.standard_error}  # fmt: skip


def judge(
    logits_of: Callable[[Tensor], Tensor], stream: np.ndarray, num_bytes: int, context: int, separator: int = SEPARATOR
) -> Judgement:
    """Score a token stream in windows of `context`, each token once, in fp32.

    bits_per_byte = (1 / bytes) sum_t -log2 p(x_t | x_<t within the window). `logits_of` maps (B, T) tokens to
    (B T, V) logits. The stream is put behind one separator, so that its first token is scored too.

    Source: the metric of Gao et al. 2020, arXiv:2101.00027, section 3.1.
    """
    padded = np.concatenate([[separator], stream]).astype(np.int64)
    nats, counts = list[float](), list[float]()
    batch = max(1, 4 * HEAD_ROWS // context)
    starts = list(range(0, len(padded) - 1, context))
    for first in range(0, len(starts), batch):
        for rows in _equal_lengths([padded[s : s + context + 1] for s in starts[first : first + batch]]):
            inputs, targets = torch.from_numpy(rows[:, :-1].copy()), torch.from_numpy(rows[:, 1:].copy()).reshape(-1)
            some, counted = _nats(logits_of, inputs, targets, separator)
            nats += some
            counts += counted
    total, tokens, bits = sum(nats), int(sum(counts)), math.log(2) * num_bytes
    error = ratio_error(nats, counts) * tokens / bits if tokens and len(nats) > 1 else None
    return Judgement(total / bits, total / max(1, tokens), tokens, num_bytes, error)


def _equal_lengths(windows: list[np.ndarray]) -> list[np.ndarray]:
    """Windows stacked; the last one of a stream may be shorter and goes alone."""
    full = [window for window in windows if len(window) == len(windows[0])]
    rest = windows[len(full) :]
    return [np.stack(full), *[window[None] for window in rest if len(window) > 1]]


@torch.inference_mode()
def _nats(
    logits_of: Callable[[Tensor], Tensor], inputs_bt: Tensor, targets_n: Tensor, separator: int
) -> tuple[list[float], list[float]]:
    """Nats of each window, and how many targets it has."""
    logits_nv = logits_of(inputs_bt)
    wanted_n, loss_n = targets_n != separator, torch.empty(len(targets_n), dtype=torch.float64)
    for first in range(0, len(targets_n), HEAD_ROWS):
        rows = slice(first, first + HEAD_ROWS)
        loss_n[rows] = torch.nn.functional.cross_entropy(logits_nv[rows].float(), targets_n[rows], reduction="none")
    wanted_bt = wanted_n.reshape(inputs_bt.shape)
    return (loss_n.reshape(inputs_bt.shape) * wanted_bt).sum(1).tolist(), wanted_bt.sum(1).double().tolist()


def unigram_bits_per_byte(
    train_counts: np.ndarray, stream: np.ndarray, num_bytes: int, separator: int = SEPARATOR
) -> float:
    """What a model that knows only token frequencies reaches: the line a run must pass to have learnt anything.

    p(x) = (n_x + 1) / (sum n + V), over the same targets as `judge`.
    """
    smooth = train_counts.astype(np.float64) + 1.0
    bits = -np.log2(smooth / smooth.sum())
    targets = stream[stream != separator]
    return float(bits[targets].sum() / num_bytes)
