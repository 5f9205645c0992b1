"""Documents from which pairs are cut: text from elsewhere is never the own one, and every token has its chance."""

from __future__ import annotations

import numpy as np
import pytest
from test_samples import Text

from keel.corpus.shards import Shards
from keel.objective.nsp import NSP
from keel.run.samples import Pairs, samples_of

pytestmark = pytest.mark.tensor
# Documents are told by their tokens: 10, 20, ...
SIZES = (5, 1, 12, 4, 0, 8)


def documents() -> list[list[int]]:
    return [[10 * (place + 1)] * size for place, size in enumerate(SIZES)]


def pairs(most: int = 4) -> Pairs:
    return Pairs(Text(documents(), (7, 9)), most)  # type: ignore[arg-type]


def test_elsewhere_is_another_document_and_each_token_as_likely() -> None:
    read, rng = pairs(), np.random.default_rng(0)
    for place in range(len(read)):
        sample = read[place]
        assert sample.elsewhere is not None
        seen = np.zeros(len(SIZES))
        for _ in range(600):
            text = sample.elsewhere(rng)
            assert 1 <= len(text) <= 4
            assert len(set(text.tolist())) == 1
            seen[int(text[0]) // 10 - 1] += 1
        own = int(sample.tokens[0]) // 10 - 1
        assert seen[own] == 0
        odds = np.array([size if number != own else 0 for number, size in enumerate(SIZES)]) / (sum(SIZES) - SIZES[own])
        sigma = np.sqrt(600 * odds * (1 - odds))
        assert (abs(seen - 600 * odds) <= 5 * sigma).all()


def test_a_piece_of_a_long_document_is_as_likely_as_its_tokens() -> None:
    read = Pairs(Text([[1] * 3, list(range(10, 20))]), 4)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    elsewhere = read[0].elsewhere
    assert elsewhere is not None
    firsts = [tuple(elsewhere(rng)) for _ in range(2000)]
    counts = [firsts.count(piece) for piece in ((10, 11, 12, 13), (14, 15, 16, 17), (18, 19))]
    assert sum(counts) == 2000
    assert np.allclose(counts, [800, 800, 400], atol=5 * 22)


def test_the_same_generator_gives_the_same_text() -> None:
    for place in range(5):
        one, two = (pairs()[place].elsewhere(np.random.default_rng(3)) for _ in range(2))  # type: ignore[misc]
        assert np.array_equal(one, two)


def test_one_document_has_no_elsewhere() -> None:
    for given in ([[1, 2, 3]], [[], [1, 2, 3], []]):
        read = Pairs(Text(given), 2)  # type: ignore[arg-type]
        assert all(read[place].elsewhere is None for place in range(len(read)))


def test_a_loss_on_pairs_reads_them(shards: Shards) -> None:
    read = samples_of(NSP({}, None), shards, 32)
    assert isinstance(read, Pairs)
    assert read.most == 29
    assert read[0].elsewhere is not None
