"""What MLM has learnt of a Markov source against the exact posterior of its hidden words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from keel import model
from keel.corpus.markov import chain
from keel.corpus.vocabulary import BEGINS, SPECIAL, Vocabulary
from keel.model.shapes import Size
from keel.objective import mlm
from keel.objective.base import Example, Key, Sample
from keel.objective.mlm import MLM
from keel.run.parts import ids_of

pytestmark = pytest.mark.proof
WORDS, LENGTH, OFFSET = 6, 8, 4
SOURCE = chain(WORDS, WORDS, 0)
STEPS, BATCH, RATE, POOL = 280, 256, 0.006, 16384


def known() -> Vocabulary:
    kind = np.array([SPECIAL] * OFFSET + [BEGINS] * WORDS, np.uint8)
    special = {"pad": 0, "start": 1, "separator": 2, "mask": 3}
    return Vocabulary(OFFSET + WORDS, special, kind, np.zeros(OFFSET + WORDS, bool))


def walks(number: int, rng: np.random.Generator) -> np.ndarray:
    """Words drawn from the source (number, LENGTH)."""
    cumulative = SOURCE.transitions.cumsum(axis=1)
    now, made = rng.choice(WORDS, number, p=SOURCE.stationary()), np.empty((number, LENGTH), np.int64)
    for step in range(LENGTH):
        made[:, step] = now
        now = np.minimum((cumulative[now] < rng.random(number)[:, None]).sum(axis=1), WORDS - 1)
    return made


def posterior(words_nt: np.ndarray, hidden_nt: np.ndarray) -> np.ndarray:
    """p(word | all words that are not hidden) by the forward-backward recursion: (n, T, WORDS)."""
    fits = np.where(hidden_nt[:, :, None], 1.0, words_nt[:, :, None] == np.arange(WORDS))
    before, after = np.empty(fits.shape), np.ones(fits.shape)
    before[:, 0] = SOURCE.stationary() * fits[:, 0]
    for step in range(1, LENGTH):
        before[:, step] = (before[:, step - 1] @ SOURCE.transitions) * fits[:, step]
    for step in range(LENGTH - 2, -1, -1):
        after[:, step] = (after[:, step + 1] * fits[:, step + 1]) @ SOURCE.transitions.T
    joint = before * after
    return np.asarray(joint / joint.sum(axis=2, keepdims=True))


def exact(examples: Sequence[Example]) -> float:
    """Mean of -ln p(word | shown words) over the hidden words: no model is better in the long run."""
    words = np.stack([example["tokens"][1:] for example in examples]) - OFFSET
    hidden = np.stack([example["chosen"][1:] for example in examples])
    p = posterior(words, hidden)
    return float(-np.log(np.take_along_axis(p, words[:, :, None], 2)[:, :, 0][hidden]).mean())


def drawn(loss: MLM, number: int, rng: np.random.Generator) -> list[Example]:
    return [loss.example(Sample(place, walk + OFFSET), rng) for place, walk in enumerate(walks(number, rng))]


def learnt(steps: int) -> tuple[float, float]:
    """(held-out loss, exact) after `steps` steps on windows of a pool, the rate falling over the second half."""
    loss = MLM({"rate": 0.25, "mask": 1.0, "random": 0.0}, known())
    family = model.load("modernbert")
    size = Size(width=32, layers=2, vocabulary=OFFSET + WORDS, context=LENGTH + 1, head_width=16)
    trunk: Any = family.build(family.shape(size), {"body": "fp32", "head": "fp32"}, 0, ids_of(known()))
    adam = torch.optim.AdamW(trunk.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    rng = np.random.default_rng(1)
    pool = drawn(loss, min(POOL, steps * BATCH), rng)
    for step in range(steps):
        adam.param_groups[0]["lr"] = RATE * min((step + 1) / 20, 2 * (1 - step / steps), 1)
        batch = loss.collate([pool[place] for place in rng.integers(0, len(pool), BATCH)], range(BATCH))
        (loss.losses({"model": trunk}, batch, {}, Key(0, step, batch.ids))[0]["mlm"] / batch.counts["mlm"]).backward()
        adam.step()
        adam.zero_grad()
    held = drawn(loss, 1024, np.random.default_rng(99))
    batch = loss.collate(held, range(1024))
    with torch.no_grad():
        total = loss.losses({"model": trunk}, batch, {}, Key(0, 0, batch.ids))[0]["mlm"].item()
    return total / batch.counts["mlm"], exact(held)


def test_the_posterior_is_that_of_all_texts_that_fit() -> None:
    """By enumeration: 6^3 texts for three hidden words."""
    words, hidden = walks(1, np.random.default_rng(3)), np.zeros((1, LENGTH), bool)
    hidden[0, [0, 3, 4]] = True
    found = np.zeros((LENGTH, WORDS))
    for fill in np.ndindex(WORDS, WORDS, WORDS):
        text = words[0].copy()
        text[[0, 3, 4]] = fill
        odds = SOURCE.stationary()[text[0]] * SOURCE.transitions[text[:-1], text[1:]].prod()
        found[np.arange(LENGTH), text] += odds
    np.testing.assert_allclose(posterior(words, hidden)[0], found / found.sum(axis=1, keepdims=True), rtol=1e-9)


def test_the_loss_reaches_the_exact_posterior() -> None:
    held, bound = learnt(STEPS)
    assert 0.98 * bound <= held <= 1.02 * bound, (held, bound)


def test_a_mask_that_hides_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual leak, put into the product: the model sees the words that it is asked for."""
    monkeypatch.setattr(mlm, "corrupt", lambda tokens, *_, **__: tokens)
    held, bound = learnt(60)
    assert held < 0.9 * bound, (held, bound)


def test_targets_off_by_one_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words at places beside the hidden ones: no training brings the loss down to the posterior."""
    choose = mlm.choose
    monkeypatch.setattr(mlm, "choose", lambda *given, **options: np.roll(choose(*given, **options), -1))
    monkeypatch.setattr(mlm, "corrupt", lambda tokens, chosen, *_, **__: np.where(np.roll(chosen, 1), 3, tokens))
    held, bound = learnt(60)
    assert not 0.98 * bound <= held <= 1.02 * bound, (held, bound)
