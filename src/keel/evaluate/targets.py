"""Bits per byte of what a model writes that has read the rest: the loss's own questions, drawn once for all models.

    target bits per byte = sum over targets of -log2 p(y_t | y_<t, x) / bytes of the text among the targets

Every held-out sample is corrupted once, by a generator keyed by its place alone, so that models of one loss, vocabulary
and context are asked the same. Sentinels, tags and end tokens are targets, and stand for no bytes. Comparable between
sizes of one loss; of another loss, only where it asks for the same text. Its noise is given: the standard error over
samples, of a ratio of sums.

Legend: n targets of a sample, d width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from keel.corpus.vocabulary import SPECIAL, Vocabulary
from keel.errors import StudyError
from keel.evaluate.bits_per_byte import Judgement
from keel.evaluate.intervals import ratio_error
from keel.evaluate.masked import nats_of
from keel.evaluate.modes import plain
from keel.objective.base import Objective, Sample

SEED = 0


def piece_bytes(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Bytes of text that each token stands for, shape (V,); 0 for special ones.

    Example:
        >>> from keel.corpus.tokenizer import train
        >>> from keel.corpus.vocabulary import vocabulary_of
        >>> piece_bytes(vocabulary_of(train(["aa aa aa"], 258)))[[0, 1, 257]].tolist()
        [0, 1, 2]
    """
    sizes = np.zeros(vocabulary.size, np.int64)
    for index, piece in vocabulary.pieces.items():
        sizes[index] = len(piece)
    return sizes


@torch.inference_mode()
def judge(
    parts: Mapping[str, Any], loss: Objective, heldout: Iterable[Sample], counts: NDArray[np.int64], scale: float = 1.0
) -> Judgement:
    """Score the targets of all samples, one sample at a time, in fp32.

    `counts` (V or fewer,) are those of the training text. `scale`: bytes of the text for one byte of its
    tokens' pieces, where the tokenizer changed the text (lower case, spaces) before it cut it.

    Raises:
        StudyError: the targets hold no text.
    """
    model, sizes = plain(parts["model"]), piece_bytes(loss.vocabulary) * scale
    asked = {**parts, "model": model}
    seen = np.zeros(loss.vocabulary.size, np.int64)
    nats, stand_for = [], []
    for sample in heldout:
        rng = np.random.Generator(np.random.Philox(key=[SEED, sample.id]))
        batch = loss.collate([loss.example(sample, rng)], [sample.id])
        found = list(loss.rows(asked, batch).values())
        nats.append(sum(nats_of(model, rows.hidden, rows.targets) for rows in found))
        counted = sum(np.bincount(rows.targets.numpy(), minlength=len(seen)) for rows in found)
        stand_for.append(float((counted * sizes).sum()))
        seen += counted
    total, size, tokens = sum(nats), sum(stand_for), int(seen.sum())
    if not size:
        raise StudyError("the held-out text cannot judge this loss", why=f"its {len(nats)} samples ask for no text",
                         fix="raise heldout.max_bytes, or bring more documents", where="[set]")  # fmt: skip
    bits = math.log(2) * size
    bar = _frequencies(seen, counts, loss.vocabulary) / bits
    return Judgement(total / bits, total / tokens, tokens, round(size), ratio_error(nats, stand_for) / math.log(2), bar)


def _frequencies(seen: NDArray[np.int64], counts: NDArray[np.int64], vocabulary: Vocabulary) -> float:
    """Nats of the targets under a table of frequencies.

    Text has those of the training text; special targets, which it does not hold, those that they have here.
    """
    special = vocabulary.kind == SPECIAL
    text = np.zeros(vocabulary.size)
    text[: len(counts)] = counts
    text = np.where(special, 0.0, text + 1.0)
    marks = np.where(special, seen, 0.0)
    share = marks.sum() / seen.sum()
    odds = marks / seen.sum() + (1.0 - share) * text / text.sum()
    asked = seen > 0
    return float(-(seen[asked] * np.log(odds[asked])).sum())
