"""The judge of masked models: every token hidden once, the same for every model, and its noise said."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from keel.corpus.tokenizer import train
from keel.corpus.vocabulary import SPECIAL, Vocabulary, vocabulary_of
from keel.evaluate.masked import FOLDS, folds_of, judge
from keel.objective.facts import masked_roles

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module")
def known() -> Vocabulary:
    return vocabulary_of(train(["the cat sat on the mat"], 270)).with_special(masked_roles({}, 0))


def stream(known: Vocabulary, length: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    made = rng.integers(1, 257, length)
    made[::37] = known.id_of("separator")
    return made


class Unigram:
    """A "model" that gives fixed odds and writes down what was hidden from it."""

    def __init__(self, known: Vocabulary) -> None:
        self.known, self.logs = known, torch.randn(known.size, generator=torch.Generator().manual_seed(0))
        self.hidden: list[torch.Tensor] = []

    def plain(self, input_ids: torch.Tensor) -> torch.Tensor:
        assert (input_ids[:, 0] == self.known.id_of("start")).all()
        self.hidden.append(input_ids[:, 1:] == self.known.id_of("mask"))
        return torch.zeros(*input_ids.shape, 4)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        return self.logs.expand(len(states), -1)


@pytest.mark.parametrize("length", [1, 5, 31, 32, 62, 400])
def test_every_token_is_hidden_once_and_scored_once(known: Vocabulary, length: int) -> None:
    text, model = stream(known, length), Unigram(known)
    found = judge(model, known, text, 3 * length, 32)  # type: ignore[arg-type]
    words = text[known.kind[text] != SPECIAL]
    nats = -torch.log_softmax(model.logs.double(), 0).numpy()[words].sum()
    assert found.tokens == len(words)
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / (3 * length), rel=1e-6)
    shown = torch.cat([part.sum(0) for part in model.hidden]) if model.hidden else torch.zeros(0)
    # A window of separators alone asks nothing.
    assert int(shown.sum()) == len(words)
    assert int(shown.max()) <= 1 if len(words) else True


def test_what_is_hidden_together_is_about_a_seventh_and_never_special(known: Vocabulary) -> None:
    text = stream(known, 200)
    folds = folds_of(text, known, 3)
    assert (folds[known.kind[text] == SPECIAL] == -1).all()
    sizes = np.bincount(folds[folds >= 0])
    assert len(sizes) == FOLDS
    assert sizes.max() - sizes.min() <= 1
    assert (folds_of(text, known, 3) == folds).all()
    assert (folds_of(text, known, 4) != folds).any()


def test_the_standard_error_is_that_of_windows(known: Vocabulary) -> None:
    """Halves of a long text differ by about what the error says."""
    text, model = stream(known, 31 * 400), Unigram(known)
    whole = judge(model, known, text, len(text), 32)  # type: ignore[arg-type]
    parts = [
        judge(model, known, text[first : first + 31 * 10], 310, 32).bits_per_byte  # type: ignore[arg-type]
        for first in range(0, len(text), 310)
    ]
    assert whole.standard_error == pytest.approx(np.std(parts, ddof=1) / math.sqrt(len(parts)), rel=0.3)
