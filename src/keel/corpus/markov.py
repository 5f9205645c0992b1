"""Generated text whose entropy is known exactly: a first-order Markov chain over made-up words."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from keel.files import write_text

CONSONANTS, VOWELS = "bcdfghklmnprstvz", "aeiou"


class Chain(NamedTuple):
    """Words and their transition matrix P[i, j] = p(next is j | now is i)."""

    words: tuple[str, ...]
    transitions: np.ndarray

    def stationary(self) -> np.ndarray:
        """The distribution that P leaves unchanged, by power iteration."""
        share = np.full(len(self.words), 1.0 / len(self.words))
        for _ in range(500):
            share = share @ self.transitions
        return np.asarray(share / share.sum())

    def bits_per_byte(self) -> float:
        """Entropy rate over mean length: sum_i s_i H(P_i) / sum_i s_i (len(w_i) + 1), a space after each word.

        No model can be better in the long run. Reference: Cover and Thomas, Elements of Information Theory, 4.2.
        """
        share = self.stationary()
        logs = np.log2(np.where(self.transitions > 0, self.transitions, 1.0))
        bits = -(self.transitions * logs).sum(axis=1)
        lengths = np.array([len(word) + 1 for word in self.words])
        return float((share @ bits) / (share @ lengths))


def chain(num_words: int, followers: int, seed: int) -> Chain:
    """A chain in which every word has `followers` possible next words with Zipf-like odds."""
    rng = np.random.default_rng(seed)
    words: dict[str, None] = {}
    while len(words) < num_words:
        size = int(rng.integers(1, 4))
        words["".join(rng.choice(list(CONSONANTS)) + rng.choice(list(VOWELS)) for _ in range(size))] = None
    odds = 1.0 / np.arange(1, followers + 1)
    transitions = np.zeros((num_words, num_words))
    for row in transitions:
        row[rng.choice(num_words, followers, replace=False)] = rng.permutation(odds / odds.sum())
    return Chain(tuple(words), transitions)


def write(folder: Path, source: Chain, documents: int, words_each: int, seed: int) -> None:
    """Write `documents` text files drawn from the chain, all walked side by side."""
    rng = np.random.default_rng(seed)
    cumulative = np.cumsum(source.transitions, axis=1)
    now = rng.choice(len(source.words), size=documents, p=source.stationary())
    walks = np.empty((words_each, documents), dtype=np.int64)
    for step in range(words_each):
        walks[step] = now
        draws = rng.random(documents)
        now = np.minimum((cumulative[now] < draws[:, None]).sum(axis=1), len(source.words) - 1)
    for number in range(documents):
        text = " ".join(source.words[index] for index in walks[:, number]) + " "
        write_text(folder / f"{number:04d}.txt", text)
