"""Bits per byte of filling in captions, each with its whole image in sight: as `masked_pairs`, which asks.

Comparable between sizes and rates of one kind of model; never with models that see no image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.corpus.images.captions import readable
from keel.corpus.images.store import Store
from keel.corpus.tokenizer import load
from keel.evaluate import masked_pairs
from keel.evaluate.bits_per_byte import Judgement
from keel.objective.base import Objective, Sample

BATCH = 1024


def judge(
    parts: Mapping[str, Any], loss: Objective, heldout: Iterable[Sample], store: Store, tokenizer_json: str
) -> Judgement:  # fmt: skip
    """Score held-out captions, one at a time, in fp32; the bar is what the training captions' token counts reach."""
    return masked_pairs.judge(parts, loss, heldout, token_counts(store, tokenizer_json, loss.vocabulary.size))


def token_counts(store: Store, tokenizer_json: str, rows: int) -> NDArray[np.int64]:
    """How often each token (rows,) stands in the captions of images that are not held out."""
    tokenizer, counts = load(tokenizer_json), np.zeros(rows, np.int64)
    numbers = np.flatnonzero(~store.heldout()).tolist()
    for first in range(0, len(numbers), BATCH):
        texts = [readable(text) for number in numbers[first : first + BATCH] if (text := store.caption(number))]
        for found in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            counts += np.bincount(found.ids, minlength=rows)
    return counts
