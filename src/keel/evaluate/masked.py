"""Bits per byte of a model that fills in: every held-out token hidden once, among a seventh of the others.

    masked bits per byte = (1 / bytes) sum_t -log2 p(x_t | the window without t and the others of its seventh)

A pseudo-likelihood, not a likelihood: comparable between sizes, rates and vocabularies of masked models, never with a
decoder's bits per byte. What is hidden together is drawn once and is the same for every model; all hidden tokens become
the mask, whatever a model was trained with. Its noise is given: the standard error over windows.

Legend: B windows (of one fold), T positions, n hidden tokens. Reference: Salazar et al. 2020, arXiv:1910.14659 (one at
a time; seven passes in place of T).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from keel.corpus.vocabulary import SPECIAL, Vocabulary
from keel.evaluate.bits_per_byte import Judgement
from keel.model.shapes import HEAD_ROWS
from keel.model.trunk import Trunk

FOLDS = 7  # 14 % at once: near the rate that masked models are trained at
SEED = 0


def folds_of(tokens: np.ndarray, vocabulary: Vocabulary, number: int) -> np.ndarray:
    """In which pass each token of window `number` is hidden, shape (T,); -1 for special ones. Folds are even by one.

    Example:
        >>> from keel.corpus.tokenizer import train
        >>> from keel.corpus.vocabulary import vocabulary_of
        >>> found = folds_of(np.arange(16), vocabulary_of(train(["a"], 257)), 0)
        >>> found[0].item(), sorted(np.bincount(found[1:]).tolist())
        (-1, [2, 2, 2, 2, 2, 2, 3])
    """
    rng = np.random.Generator(np.random.Philox(key=[SEED, number]))
    places = np.flatnonzero(vocabulary.kinds(tokens) != SPECIAL)
    folds = np.full(len(tokens), -1)
    folds[places] = rng.permutation(len(places)) % FOLDS
    return folds


@torch.inference_mode()
def judge(model: Trunk, vocabulary: Vocabulary, stream: np.ndarray, num_bytes: int, context: int) -> Judgement:
    """Score a token stream in windows of `context` positions, the start token first, in fp32."""
    length = context - 1
    nats, tokens = [], 0
    for number, first in enumerate(range(0, len(stream), length)):
        window = stream[first : first + length].astype(np.int64)
        lost, hidden = _window(model, vocabulary, window, number)
        nats.append(lost)
        tokens += hidden
    total, bits = sum(nats), math.log(2) * num_bytes
    error = float(np.std(nats, ddof=1)) * math.sqrt(len(nats)) if len(nats) > 1 else math.nan
    return Judgement(total / bits, total / max(1, tokens), tokens, num_bytes, error / bits)


def _window(model: Trunk, vocabulary: Vocabulary, window: np.ndarray, number: int) -> tuple[float, int]:
    """Nats of a window's tokens, each hidden once, and how many they are."""
    folds = folds_of(window, vocabulary, number)
    passes = range(int(folds.max()) + 1) if len(folds) else range(0)
    if not passes:
        return 0.0, 0
    hidden_bt = torch.from_numpy(np.stack([folds == fold for fold in passes]))
    tokens_bt = torch.from_numpy(window).expand(len(passes), -1)
    inputs_bt = tokens_bt.masked_fill(hidden_bt, vocabulary.id_of("mask"))
    start = torch.full((len(passes), 1), vocabulary.id_of("start"))
    states = model.plain(input_ids=torch.cat([start, inputs_bt], 1))[:, 1:]
    return nats_of(model, states[hidden_bt], tokens_bt[hidden_bt]), int(hidden_bt.sum())


def nats_of(model: Trunk, states_nd: Tensor, targets_n: Tensor) -> float:
    """Sum of -ln p(target) over rows (n, d), the logits of one chunk at a time."""
    nats = 0.0
    for first in range(0, len(targets_n), HEAD_ROWS):
        rows = slice(first, first + HEAD_ROWS)
        logits = model.logits(states_nd[rows]).float()
        nats += float(torch.nn.functional.cross_entropy(logits, targets_n[rows], reduction="none").double().sum())
    return nats
