"""What a loss that corrupts makes of many samples: the rate of targets, and what is never one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel import objective
from keel.corpus.vocabulary import SPECIAL, Vocabulary
from keel.model.shapes import SHAPES, Size
from keel.objective.base import Batch
from keel.objective.held import TENSOR
from keel.prove import world
from keel.prove.bench import Bench
from keel.prove.randomness import same
from keel.prove.result import Verdict, not_judged, within
from keel.run import parts
from keel.run.batches import Batches
from keel.run.pictures import want_of
from keel.run.samples import samples_of

EPOCHS, CONTEXT, STANDARD_ERRORS = 12, 128, 4.0


class Drawn(NamedTuple):
    """Groups of samples of a longer context, each in every epoch, and the vocabulary with the loss's own tokens."""

    batches: list[Batch]
    known: Vocabulary


def statistics(bench: Bench) -> Verdict:
    """No target is a special token, and as many tokens are targets as were asked for.

    A loss judged on masked text has no special target at all, others no padding and no mask. Its option `rate`, where
    it has one, is held against targets / (ordinary tokens and masks of the inputs): the bound is half a target a sample
    (counts are whole) and four standard errors.
    """
    if bench.vocabulary is None:
        return not_judged("the corpus holds no tokens")
    fresh = zip(bench.draw(bench.samples(), epoch=0), bench.draw(bench.samples(), epoch=1))
    still = bench.objective.variants == 0 and all(same(*pair) for pair in fresh)
    drawn = _draw(bench, 1 if still else EPOCHS)
    targets = [_targets(batch) for batch in drawn.batches]
    if not any(len(found) for found in targets):
        return not_judged("no batch has a tensor `targets` of token ids")
    masked = bench.facts.judge == "masked_bits_per_byte"
    wrong = _specials(np.concatenate(targets), drawn.known, masked)
    if wrong:
        return Verdict(False, float(sum(wrong.values())), 0.0, "targets are special tokens: "
                       + ", ".join(f"{role} {times} times" for role, times in sorted(wrong.items())))  # fmt: skip
    rate = bench.objective.options.get("rate")
    if masked and isinstance(rate, float) and all("inputs" in batch.tensors for batch in drawn.batches):
        return _rate(drawn, targets, rate)
    told = "no special token" if masked else "no padding and no mask"
    how = "samples, the same in every epoch" if still else "draws"
    return Verdict(True, 0.0, 0.0, f"{sum(map(len, targets)):,} targets in {len(targets):,} {how}; {told} among them")


def _draw(bench: Bench, epochs: int) -> Drawn:
    """A copy of the loss at the longer context."""
    spec = world.spec_of(bench.spec.objective, bench.spec.options, bench.folder, CONTEXT)
    corpus = world.corpus_of(bench.facts.reads, bench.folder)
    known = parts.vocabulary_of(spec, corpus)
    assert known is not None, "a corpus without tokens"
    loss = objective.load(spec.objective, spec.options, known)
    shape = SHAPES[spec.family].shape(Size(**spec.size))
    source = samples_of(loss, corpus, want_of(shape, spec.seed))
    group, rng = bench.group, Batches(source, bench.group, bench.spec.seed).rng
    made = []
    for epoch in range(epochs):
        for first in range(0, len(source) - group + 1, group):
            samples = [source[place] for place in range(first, first + group)]
            examples = [loss.example(sample, rng(loss, epoch, sample.id)) for sample in samples]
            made.append(loss.collate(examples, [sample.id for sample in samples]))
    return Drawn(made, known)


def _targets(batch: Batch) -> NDArray[np.int64]:
    """All tensors of that name in one row; those of a held loss stand under its name."""
    return np.concatenate([_ids(batch, name) for name in batch.tensors if name.rpartition(TENSOR)[2] == "targets"]
                          or [np.empty(0, np.int64)])  # fmt: skip


def _ids(batch: Batch, name: str) -> NDArray[np.int64]:
    """A tensor of token ids in one row; what a library ignores (below 0) is left out."""
    if name not in batch.tensors or batch.tensors[name].is_floating_point():
        return np.empty(0, np.int64)
    found = batch.tensors[name].numpy().reshape(-1)
    return found[found >= 0]


def _specials(targets: NDArray[np.int64], known: Vocabulary, masked: bool) -> dict[str, int]:
    """How often each role that may not be a target is one."""
    roles = [role for role in known.special if masked or role in ("pad", "mask")]
    hits = {role: int((targets == known.special[role]).sum()) for role in roles}
    return {role: times for role, times in hits.items() if times}


def _rate(drawn: Drawn, targets: list[NDArray[np.int64]], rate: float) -> Verdict:
    mask = drawn.known.special.get("mask", -1)
    inputs = [_ids(batch, "inputs") for batch in drawn.batches]
    able = np.array([((drawn.known.kind[row] != SPECIAL) | (row == mask)).sum() for row in inputs], dtype=np.float64)
    number = np.array([len(found) for found in targets], dtype=np.float64)
    whole = 0.5 * sum(len(batch.ids) for batch in drawn.batches) / able.sum()
    noise = float((number - rate * able).std()) * len(able) ** 0.5 / able.sum()
    measured = number.sum() / able.sum()
    why = f"{measured:.4f} of {able.sum():,.0f} tokens are targets, asked for {rate}; no special token among them"
    return within(abs(measured - rate), whole + STANDARD_ERRORS * noise, why)
