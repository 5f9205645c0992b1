"""order(seed, epoch): which window comes when, a pure function of its key."""

from __future__ import annotations

import numpy as np


def order(num_windows: int, seed: int, epoch: int) -> np.ndarray:
    """A permutation of 0 ... num_windows - 1, keyed by (seed, epoch) and nothing else.

    Example:
        >>> sorted(order(5, seed=0, epoch=1).tolist())
        [0, 1, 2, 3, 4]
    """
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_windows)
