"""Rolling origin: hide the runs above a compute cut, fit the rest, and see how far each law misses.

The misses, not the fit's residuals, say how wrong an extrapolation may be.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keel.laws.law import Floats

CUTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LEAST_RUNS, LEAST_SIZES = 6, 3


class Folds(NamedTuple):
    """`masks` [f, n]: 1 where a run is fitted; `ahead` [f, n]: log compute beyond the cut, 0 inside."""

    masks: Floats
    ahead: Floats

    @property
    def reach(self) -> float:
        """The farthest that any fold looks ahead, log10 of compute; 0 without folds."""
        return float(self.ahead.max() / np.log(10.0)) if len(self.masks) else 0.0


def folds(x: Floats) -> Folds:
    """Cut at compute quantiles; a fold keeps at least six runs of three sizes, and no two folds are alike."""
    log_flop = x[:, 2]
    masks: list[Floats] = []
    ahead: list[Floats] = []
    for share in CUTS:
        inside = log_flop <= np.quantile(log_flop, share) + 1e-9
        sizes = len(np.unique(np.round(x[inside, 0], 6)))
        if inside.sum() < LEAST_RUNS or sizes < LEAST_SIZES or inside.all():
            continue
        if masks and bool((masks[-1] == inside).all()):
            continue
        masks.append(inside.astype(float))
        ahead.append(np.where(inside, 0.0, log_flop - log_flop[inside].max()))
    empty = np.zeros((0, len(x)))
    return Folds(np.array(masks) if masks else empty, np.array(ahead) if ahead else empty)


GROWTH = 0.5  # a miss grows with the square root of the log compute ahead
NEAR = 0.5  # below this (1.6x of compute) a miss is noise, not extrapolation
WILD = 0.3  # a single miss counts as 30 % at most
# Folds of one ladder share its runs, so however well they agree, a part of the error stays unseen: 1 % at e-fold
# compute. How wide all this must be is then learnt across ladders (learnt.py, `widen`).
LEAST_RATE = 0.01
UNTESTED_RATE, LEAST_FREE = 0.02, 3  # where no fold is possible


def growth_rate(miss: Floats, cut: Folds, like: Floats) -> float:
    """SD of the log error per square root of log compute ahead, from the misses of all folds; `like` weighs the runs.

        rate^2 = LEAST_RATE^2 + mean square miss rate * (1 + |mean sign over folds|)

    Misses of one sign mean that the laws are wrong in one direction, which averaging over folds does not shrink.
    """
    if not len(miss):
        return UNTESTED_RATE
    squares, leans = [], []
    for error, ahead in zip(miss, cut.ahead):
        hidden = ahead > 0
        rate = np.clip(error[hidden] / np.maximum(ahead[hidden], NEAR) ** GROWTH, -WILD, WILD)
        squares.append(float(np.average(rate**2, weights=like[hidden])))
        leans.append(float(np.sign(np.average(rate, weights=like[hidden]))))
    shared = 1.0 + abs(sum(leans)) / len(leans)
    return float(np.sqrt(LEAST_RATE**2 + shared * np.mean(squares)))


def student(normal: Floats, folds: int) -> Floats:
    """Quantiles of Student's t where the normal's are z, with a degree of freedom for each fold (at least three).

    t = z + (z^3 + z) / 4 nu + (5 z^5 + 16 z^3 + 3 z) / 96 nu^2
    Reference: Abramowitz & Stegun 1964, eq. 26.7.5 (within 2 % for nu >= 3 up to the 97.5 % quantile).

    Example:
        >>> student(np.array([0.0, 1.645]), 4).round(1).tolist()
        [0.0, 2.1]
    """
    free, z = float(max(folds, LEAST_FREE)), normal
    return np.asarray(z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2))


def grown(rate: float, ahead: Floats) -> Floats:
    """SD of the log error at a distance (log compute beyond the largest run)."""
    return np.asarray(rate * np.maximum(ahead, NEAR) ** GROWTH)


def mean_square(miss: Floats, cut: Folds, like: Floats) -> float:
    """Mean over folds of the mean squared miss of the hidden runs that are like the target; shown with each law."""
    hidden = (cut.ahead > 0) * like
    return float(np.mean((np.minimum(miss**2, WILD**2) * hidden).sum(1) / hidden.sum(1)))
