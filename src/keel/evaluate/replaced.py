"""Bits per byte of a model that tells replaced tokens: 15 % of the held-out ones give way to draws of their frequency.

    replaced bits per byte = (1 / bytes) sum over ordinary t of -log2 p(y_t | x'),   y_t = 1 where x'_t differs from x_t

The replacements are no generator's, or a better generator would look like a worse discriminator: they are drawn from
the training text's token counts, once for the whole text, so that models of any size, context and generator are asked
the same. A draw that hits the token itself is no replacement.

Legend: B windows of one length, T positions. Reference of the task: Clark et al. 2020, arXiv:2003.10555, section 2.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from keel.corpus.vocabulary import SPECIAL, Vocabulary
from keel.evaluate.bits_per_byte import Judgement
from keel.model.trunk import Trunk

SHARE = 0.15
SEED = 0
BATCH_TOKENS = 8192


def corrupted(stream: NDArray[np.int64], vocabulary: Vocabulary, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The text with 15 % of its ordinary tokens drawn anew in proportion to `counts` (V,), special ones never.

    Example:
        >>> from keel.corpus.tokenizer import train
        >>> from keel.corpus.vocabulary import vocabulary_of
        >>> known = vocabulary_of(train(["a"], 257))
        >>> text = np.append(np.full(100, 7), 0)
        >>> int((corrupted(text, known, np.bincount([9], minlength=257)) == 9).sum())
        15
    """
    rng = np.random.Generator(np.random.Philox(key=[SEED, 0]))
    places = np.flatnonzero(vocabulary.kinds(stream) != SPECIAL)
    chosen = rng.permutation(places)[: round(SHARE * len(places))]
    odds = np.where(vocabulary.kind[: len(counts)] != SPECIAL, counts, 0).astype(np.float64)
    assert odds.sum() > 0, "the training text has no ordinary token"
    shown = stream.copy()
    shown[chosen] = rng.choice(len(odds), len(chosen), p=odds / odds.sum())
    return shown


def judge(
    model: Trunk, vocabulary: Vocabulary, stream: NDArray[np.int64], num_bytes: int, context: int,
    counts: NDArray[np.int64],
) -> Judgement:  # fmt: skip
    """Judge every ordinary token once, in windows of `context` positions, the start token first, in fp32.

    The bar is what the share of replaced tokens alone gives: n H(share) / bytes.
    """
    length, shown = context - 1, corrupted(stream, vocabulary, counts)
    judged, replaced = vocabulary.kinds(stream) != SPECIAL, shown != stream
    nats: list[float] = []
    batch = length * max(1, BATCH_TOKENS // context)
    for first in range(0, len(stream), batch):
        last = min(len(stream), first + batch)
        whole = first + (last - first) // length * length
        for a, b, size in ((first, whole, length), (whole, last, last - whole)):
            if a < b:
                rows = shown[a:b].reshape(-1, size), replaced[a:b].reshape(-1, size), judged[a:b].reshape(-1, size)
                nats += _nats(model, vocabulary.id_of("start"), *rows)
    tokens, total, bits = int(judged.sum()), sum(nats), math.log(2) * num_bytes
    error = float(np.std(nats, ddof=1)) * math.sqrt(len(nats)) if len(nats) > 1 else math.nan
    bar = tokens * _entropy(float(replaced[judged].mean())) / num_bytes if tokens else 0.0
    return Judgement(total / bits, total / max(1, tokens), tokens, num_bytes, error / bits, bar)


@torch.inference_mode()
def _nats(
    model: Trunk, start: int, shown_bt: NDArray[np.int64], replaced_bt: NDArray[np.bool_], judged_bt: NDArray[np.bool_]
) -> list[float]:
    """Nats of each window."""
    first = torch.full((len(shown_bt), 1), start)
    logits = model.replaced(model.plain(input_ids=torch.cat([first, torch.from_numpy(shown_bt)], 1)))[:, 1:]
    labels = torch.from_numpy(replaced_bt).float()
    lost = binary_cross_entropy_with_logits(logits.float(), labels, reduction="none").double()
    return [float(nats) for nats in (lost * torch.from_numpy(judged_bt)).sum(1)]


def _entropy(share: float) -> float:
    """Bits of a label that is 1 with this probability."""
    return -sum(p * math.log2(p) for p in (share, 1.0 - share) if p > 0)
