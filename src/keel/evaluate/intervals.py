"""Scores of items -> their mean with a bootstrap interval. No torch.

Legend: n items, G groups of items, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2000
CHUNK = 1 << 22
SEED = 0


class Interval(NamedTuple):
    """A measure and where it may lie."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def mean(
    scores: NDArray[np.float64], *, level: float = LEVEL, groups: Sequence[str] = (), ends: tuple[float, float] = (0, 1)
) -> Interval:
    """The mean of scores (n,) between `ends`, and the percentiles of R resampled means: a share `level` in the middle.

    Groups are resampled whole (`groups` names that of each item). The pool holds one item more at each end of the
    range, so that a miss too rare to have been seen is not taken as impossible. Where all scores are alike, nothing can
    be resampled, and the bounds are exact: at least a share q of items is alike, q^n = (1 - level) / 2.

    Example:
        >>> print(mean(np.ones(100)), mean(np.array([0.0, 1.0] * 50)))
        1.000 (0.964 to 1.000) 0.500 (0.410 to 0.600)
    """
    low, high = ends
    assert len(scores), "an interval needs items"
    assert ((scores >= low) & (scores <= high)).all(), "a score beyond the ends of its range"
    sums, sizes = _grouped(scores, groups)
    value, tail = float(scores.mean()), (1 - level) / 2
    if (scores == scores[0]).all():
        alike = tail ** (1 / len(sums))
        return Interval(value, alike * value + (1 - alike) * low, alike * value + (1 - alike) * high)
    usual = float(sizes.mean())
    pool = np.append(sums, [low * usual, high * usual]), np.append(sizes, [usual, usual])
    found = _resampled(*pool, len(sums))
    below, above = np.quantile(found, [tail, 1 - tail])
    return Interval(value, min(float(below), value), max(float(above), value))


def of(
    statistic: Callable[[NDArray[np.int64]], float], number: int, *, level: float = LEVEL, groups: Sequence[str] = ()
) -> Interval:
    """A statistic of items, given by their places, with the percentiles of it over resampled places.

    For measures that are no mean of items (macro-F1). Groups are resampled whole.

    Example:
        >>> of(lambda places: float(places.mean()), 3).value
        1.0
    """
    rng = np.random.Generator(np.random.Philox(key=[SEED, number]))
    parts = _places(groups, number)
    found = []
    for _ in range(RESAMPLES // 2):
        drawn = rng.integers(0, len(parts), len(parts))
        found.append(statistic(np.concatenate([parts[place] for place in drawn]) if groups else drawn))
    value, tail = statistic(np.arange(number)), (1 - level) / 2
    below, above = np.quantile(found, [tail, 1 - tail])
    return Interval(value, min(float(below), value), max(float(above), value))


def ratio_error(values: Sequence[float], sizes: Sequence[float]) -> float:
    """Standard error of sum(values) / sum(sizes) over samples, to first order; NaN of one sample alone.

    Example:
        >>> round(ratio_error([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]), 3)
        0.577
    """
    if len(values) < 2:
        return math.nan
    left = np.array(values) - sum(values) / sum(sizes) * np.array(sizes)
    return float(np.sqrt(len(left) / (len(left) - 1) * (left**2).sum()) / sum(sizes))


def _grouped(scores: NDArray[np.float64], groups: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of items of each group, shape (G,); each item is one where none are named."""
    if not groups:
        return scores.astype(np.float64), np.ones(len(scores))
    _, inverse = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(inverse, weights=scores).astype(np.float64), np.bincount(inverse).astype(np.float64)


def _resampled(sums: NDArray[np.float64], sizes: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """Means (R,) of `number` groups drawn from a pool."""
    rng = np.random.Generator(np.random.Philox(key=[SEED, number]))
    rows, found = max(1, CHUNK // number), []
    for first in range(0, RESAMPLES, rows):
        drawn = rng.integers(0, len(sums), (min(rows, RESAMPLES - first), number))
        found.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    return np.concatenate(found)


def _places(groups: Sequence[str], number: int) -> list[NDArray[np.int64]]:
    """Places of the items of each group."""
    if not groups:
        return list(np.arange(number)[:, None])
    _, inverse = np.unique(np.asarray(groups), return_inverse=True)
    return [np.flatnonzero(inverse == group) for group in range(int(inverse.max()) + 1)]
