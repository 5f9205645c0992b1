"""A stated vocabulary, windows of it, and the key that the engine gives a sample's generator."""

from __future__ import annotations

import numpy as np

from keel.corpus.vocabulary import ALONE, BEGINS, JOINS, SPECIAL, Vocabulary

# Over all the statistics of one file (Bonferroni).
ALPHA = 1e-3
PAD, MASK, START, SEPARATOR, UNKNOWN = range(5)
# 5 special tokens, 5 marks, 20 that begin a word, 20 that continue one.
KINDS = np.repeat(np.array([SPECIAL, ALONE, BEGINS, JOINS], np.uint8), [5, 5, 20, 20])
ROLES = {"pad": PAD, "mask": MASK, "start": START, "separator": SEPARATOR, "unknown": UNKNOWN}
VOCABULARY = Vocabulary(len(KINDS), ROLES, KINDS, np.zeros(len(KINDS), np.bool_))


def windows(num_windows: int, length: int, seed: int = 0) -> np.ndarray:
    """Windows of ordinary tokens, shape (num_windows, length)."""
    return np.random.default_rng(seed).integers(5, len(KINDS), (num_windows, length)).astype(np.uint16)


def keyed(seed: int, epoch: int, sample_id: int) -> np.random.Generator:
    """A generator that depends on (seed, epoch, sample id) and nothing else."""
    return np.random.Generator(np.random.Philox(key=[seed << 32 | epoch, sample_id]))
