"""Bits per byte of filling in a pair of texts: every token hidden once, the others of its pair in sight, both sides.

    masked bits per byte = (1 / bytes) sum_t -log2 p(x_t | the pair without t and the others of its seventh)

As `masked`, with the pair laid out as the loss lays it; bits and bytes of both sides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from keel.evaluate.bits_per_byte import Judgement, unigram_bits_per_byte
from keel.evaluate.intervals import ratio_error
from keel.evaluate.masked import SEED, folds_of, nats_of
from keel.evaluate.modes import plain
from keel.evaluate.targets import piece_bytes
from keel.objective.base import Objective, Sample


@torch.inference_mode()
def judge(
    parts: Mapping[str, Any], loss: Objective, heldout: Iterable[Sample], counts: np.ndarray, scale: float = 1.0
) -> Judgement:
    """Score all pairs, one at a time, in fp32; `counts` and `scale` as in `evaluate.targets.judge`.

    The loss's examples hold `tokens`, which of them are `chosen`, and the `inputs` with these hidden.
    """
    asked, known = {name: plain(part) for name, part in parts.items()}, loss.vocabulary
    model, sizes, mask = asked[loss.fills], piece_bytes(known) * scale, known.id_of("mask")
    nats, stand_for, seen = list[float](), list[float](), list[np.ndarray]()
    for number, sample in enumerate(heldout):
        laid = loss.example(sample, np.random.Generator(np.random.Philox(key=[SEED, number])))
        tokens = laid["tokens"]
        folds = folds_of(tokens, known, number)
        hidden = [folds == fold for fold in range(int(folds.max()) + 1)]
        rows = [{**laid, "inputs": np.where(each, mask, tokens), "chosen": each} for each in hidden]
        batch = loss.collate(rows, [sample.id] * len(rows))
        nats.append(sum(nats_of(model, found.hidden, found.targets) for found in loss.rows(asked, batch).values()))
        seen.append(tokens[folds >= 0])
        stand_for.append(float(sizes[seen[-1]].sum()))
    every, size, total = np.concatenate(seen), sum(stand_for), sum(nats)
    bar = unigram_bits_per_byte(counts, every, round(size))
    error = ratio_error(nats, stand_for) / math.log(2)
    return Judgement(total / math.log(2) / size, total / len(every), len(every), round(size), error, bar)
