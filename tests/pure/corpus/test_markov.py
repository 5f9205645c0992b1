"""Generated text: its entropy is known, and what is written follows the chain."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from keel.corpus.markov import Chain, chain, write


def test_the_entropy_of_a_fair_coin_is_a_bit_a_word() -> None:
    coin = Chain(("ba", "bo"), np.full((2, 2), 0.5))
    assert coin.bits_per_byte() == pytest.approx(1 / 3)
    np.testing.assert_allclose(coin.stationary(), [0.5, 0.5])


def test_a_certain_chain_has_none() -> None:
    assert Chain(("ba", "bo", "bi"), np.roll(np.eye(3), 1, axis=1)).bits_per_byte() == 0.0


def test_an_uneven_chain_by_hand() -> None:
    """P = [[.9, .1], [.5, .5]]: stationary (5/6, 1/6), words of 2 and 4 letters and a space each."""
    uneven = Chain(("ba", "bobo"), np.array([[0.9, 0.1], [0.5, 0.5]]))
    bits = -(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1))
    np.testing.assert_allclose(uneven.stationary(), [5 / 6, 1 / 6], rtol=1e-9)
    assert uneven.bits_per_byte() == pytest.approx((5 / 6 * bits + 1 / 6) / (5 / 6 * 3 + 1 / 6 * 5), rel=1e-9)


@pytest.mark.parametrize(("words", "followers"), [(10, 2), (400, 8)])
def test_chains_are_seeded_distinct_and_stochastic(words: int, followers: int) -> None:
    one, same, other = chain(words, followers, 0), chain(words, followers, 0), chain(words, followers, 1)
    assert one.words == same.words != other.words
    np.testing.assert_array_equal(one.transitions, same.transitions)
    assert len(set(one.words)) == words
    np.testing.assert_allclose(one.transitions.sum(axis=1), 1.0)
    assert set((one.transitions > 0).sum(axis=1)) == {followers}


def test_text_follows_the_chain(tmp_path: Path) -> None:
    made = chain(20, 3, 0)
    write(tmp_path, made, documents=10, words_each=2000, seed=0)
    place = {word: number for number, word in enumerate(made.words)}
    pairs: Counter[tuple[int, int]] = Counter()
    for path in sorted(tmp_path.iterdir()):
        walk = [place[word] for word in path.read_text().split()]
        assert len(walk) == 2000
        pairs.update(itertools.pairwise(walk))
    seen = 0
    for number in range(20):
        total = sum(count for (now, _), count in pairs.items() if now == number)
        assert (total == 0) == (made.stationary()[number] < 1e-6)
        seen += total > 0
        for following in range(20):
            expected = made.transitions[number, following]
            allowed = 5 * math.sqrt(expected * (1 - expected) / max(total, 1))
            assert total == 0 or abs(pairs[number, following] / total - expected) <= allowed
    assert seen > 10


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    made = chain(20, 3, 0)
    for name in ("a", "b"):
        write(tmp_path / name, made, 3, 50, seed=4)
    one, other = ([path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("a", "b"))
    assert one == other
    assert len(set(one)) == 3
