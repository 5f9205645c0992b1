"""The judge: every token of the held-out text once, separators only as context."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from keel.evaluate.bits_per_byte import SEPARATOR, judge, unigram_bits_per_byte

pytestmark = pytest.mark.tensor
VOCABULARY = 50


def stream(length: int, separators: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = rng.integers(1, VOCABULARY, length)
    made[rng.choice(length, min(separators, length), replace=False)] = SEPARATOR
    return made


def uniform(tokens: Tensor) -> Tensor:
    return torch.zeros(tokens.numel(), VOCABULARY)


class Bigram:
    """A model that looks at the token before alone, so that no window can change its score."""

    def __init__(self) -> None:
        self.table = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(0))
        self.seen: list[Tensor] = []

    def __call__(self, tokens: Tensor) -> Tensor:
        self.seen.append(tokens)
        return self.table[tokens.reshape(-1)]


@pytest.mark.parametrize("length", [2, 15, 16, 17, 18, 33, 1000])
@pytest.mark.parametrize("context", [1, 16, 2048])
def test_equal_odds_cost_log2_of_the_vocabulary_a_token(length: int, context: int) -> None:
    text = stream(length, separators=1)
    found = judge(uniform, text, 3 * length, context)
    tokens = int((text != SEPARATOR).sum())
    assert found.tokens == tokens
    assert found.bytes == 3 * length
    assert found.nats_per_token == pytest.approx(math.log(VOCABULARY), rel=1e-6)
    assert found.bits_per_byte == pytest.approx(tokens * math.log2(VOCABULARY) / (3 * length), rel=1e-6)


@pytest.mark.parametrize("context", [1, 7, 32, 511, 512, 5000])
def test_each_token_is_scored_once_whatever_the_window(context: int) -> None:
    text, bigram = stream(1234, separators=20), Bigram()
    found = judge(bigram, text, 4000, context)
    before = np.concatenate([[SEPARATOR], text[:-1]])
    logs = torch.log_softmax(bigram.table.double(), dim=1).numpy()[before, text]
    nats = -logs[text != SEPARATOR].sum()
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / 4000, rel=1e-6)
    assert found.nats_per_token == pytest.approx(nats / (text != SEPARATOR).sum(), rel=1e-6)
    fed = torch.cat([rows.reshape(-1) for rows in bigram.seen])
    assert torch.equal(fed, torch.from_numpy(before))
    assert max(rows.shape[1] for rows in bigram.seen) == min(context, len(text))


def test_the_standard_error_is_that_of_windows() -> None:
    """Parts of a long text differ by about what the error says; a short last window weighs little; one says nothing."""
    text, bigram = stream(32 * 400 + 3, separators=50), Bigram()
    whole = judge(bigram, text, len(text), 32)
    parts = [judge(bigram, text[first : first + 320], 320, 32).bits_per_byte for first in range(0, 32 * 400, 320)]
    assert whole.standard_error == pytest.approx(np.std(parts, ddof=1) / math.sqrt(len(parts)), rel=0.3)
    assert judge(bigram, text[:20], 20, 32).standard_error is None


def test_separators_are_context_but_no_targets() -> None:
    def sure(tokens: Tensor) -> Tensor:
        """Always the separator: infinitely wrong about text."""
        logits = torch.zeros(tokens.numel(), VOCABULARY)
        logits[:, SEPARATOR] = 30.0
        return logits

    only = np.zeros(40, dtype=np.int64)
    assert judge(sure, only, 10, 8)[:3] == (0.0, 0.0, 0)
    mixed = np.concatenate([only, [5]])
    assert judge(sure, mixed, 10, 8).tokens == 1
    assert judge(sure, mixed, 10, 8).bits_per_byte == pytest.approx(30 / math.log(2) / 10, rel=1e-3)


def test_a_good_model_beats_frequencies_and_frequencies_beat_nothing() -> None:
    text = np.tile(np.arange(1, 11), 200)
    counts = np.bincount(text, minlength=VOCABULARY)

    def knows(tokens: Tensor) -> Tensor:
        return 20.0 * torch.nn.functional.one_hot(tokens.reshape(-1) % 10 + 1, VOCABULARY).float()

    best = judge(knows, text, 2000, 32).bits_per_byte
    frequencies = unigram_bits_per_byte(counts, text, 2000)
    guessing = judge(uniform, text, 2000, 32).bits_per_byte
    assert best < 0.01 < frequencies < guessing


def test_frequencies_by_hand() -> None:
    counts, text = np.array([9, 3, 0]), np.array([1, 0, 2, 1])
    expected = -(2 * math.log2(4 / 15) + math.log2(1 / 15)) / 7
    assert unigram_bits_per_byte(counts, text, 7) == pytest.approx(expected, rel=1e-12)
    assert unigram_bits_per_byte(np.zeros(8), np.array([3, 4]), 2) == pytest.approx(3.0)
