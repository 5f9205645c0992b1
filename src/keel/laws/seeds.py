"""Noise between seeds: by how much the log loss of one run would differ, had it another seed.

    s^2 = (F s_0^2 + sum over replicates of (ln z - mean ln z)^2) / (F + freedom)

Replicates are runs alike in all that a table holds but their value; s_0 is what is believed of a unit beforehand, which
counts as F degrees of freedom. Runs that branch off one trunk share its noise: their misses about a law do not show it.

Reference: the scaled inverse chi-squared prior of a variance, Gelman et al. 2013, Bayesian Data Analysis, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from keel.laws.law import Row
from keel.laws.links import link_of

# Answers that may become certain: near 0 a small change of what a model knows is a large one of ln z. Pairs: SD .22 of
# nats (89 degrees of freedom), .29 of R@1's error (178), in ten ladders of scenes; classes: .12 of the error, in twelve
# pairs of runs on silhouettes (docs/decisions/0009). Text has none of its own: .03 to 1 % between seeds, which the
# scatter about the laws covers (fit.py).
BELIEVED: Mapping[str, float] = {
    "retrieval_nats": 0.22, "recall": 0.29, "class_nats": 0.12, "probe_nats": 0.12, "share_right": 0.12,
}  # fmt: skip
BELIEVED_FREEDOM = 3


def pooled(groups: Iterable[Sequence[float]]) -> tuple[float, int]:
    """Sum of squares about each group's mean, and its degrees of freedom.

    Example:
        >>> pooled([[1.0, 3.0], [5.0], [0.0, 0.0]])
        (2.0, 2)
    """
    found = [np.asarray(group, dtype=float) for group in groups if len(group) > 1]
    return sum(float(((group - group.mean()) ** 2).sum()) for group in found), sum(len(group) - 1 for group in found)


def noise(rows: Sequence[Row], unit: str) -> float:
    """SD of the log loss between seeds: believed, measured where there are replicates; 0 for units without belief.

    Example:
        >>> rows = [Row(f"{at}", 1e6, 1e8, 6e14, value) for at, value in enumerate((0.5, 0.6, 0.55, 0.45))]
        >>> noise(rows[:1], "retrieval_nats"), noise(rows, "retrieval_nats") < 0.2, noise(rows, "nats_per_token")
        (0.22, True, 0.0)
    """
    if unit not in BELIEVED:
        return 0.0
    square, freedom = pooled(_replicates(rows, unit))
    return math.sqrt((BELIEVED_FREEDOM * BELIEVED[unit] ** 2 + square) / (BELIEVED_FREEDOM + freedom))


def replicates(rows: Sequence[Row], unit: str) -> int:
    """Degrees of freedom that the rows' own replicates give."""
    return pooled(_replicates(rows, unit))[1]


def _replicates(rows: Sequence[Row], unit: str) -> Iterable[Sequence[float]]:
    """Log losses by all that tells runs apart."""
    values = np.log(link_of(unit).to_loss(np.array([row.value for row in rows], dtype=float)))
    groups: dict[str, list[float]] = {}
    for row, value in zip(rows, values):
        alike = repr((row.params, row.tokens, row.flop, row.unique_tokens, row.lr, row.batch_tokens))
        groups.setdefault(alike, []).append(float(value))
    return groups.values()
