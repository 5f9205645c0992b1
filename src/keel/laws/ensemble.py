"""All laws fitted to one table, weighed against each other, with draws: everything a forecast needs.

    weight_l  ~  odds_l * evidence_l^t * (mean squared back-test miss_l)^-1,     t = min(1, 30 / runs)

The evidence is tempered because runs of one ladder are not independent: past thirty, more runs say little more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keel.laws import backtest, priors
from keel.laws.fit import NU, Fits, draws, fit, log_evidence
from keel.laws.forms import LAWS
from keel.laws.law import Floats, Frame, Law, Row, epochs_of

FULL_EVIDENCE_RUNS = 30.0
MISS_FLOOR = 0.002  # back-tests closer than seed noise do not tell laws apart
FAR_WEIGHT, FAR_SCALES = 0.25, 4.0


class Member(NamedTuple):
    """One law's part: its weight, best theta [p], posterior draws [s, p], miss by fold [f, n], back-test RMS."""

    law: Law
    weight: float
    theta: Floats
    draws: Floats
    miss: Floats
    backtest_error: float
    residual: Floats
    scale: float


class Ensemble(NamedTuple):
    """Laws fitted to `rows` (sorted by compute, then size) in one frame; `trust` [n] is each run's robust weight."""

    rows: tuple[Row, ...]
    unit: str
    frame: Frame
    members: tuple[Member, ...]
    cut: backtest.Folds
    rate: float
    trust: Floats

    def log_values(self, points: Floats, draws_too: bool = False) -> list[Floats]:
        """Log loss by member at points [m, 4] (params, tokens, flop, epochs): [1, m], or [s, m] with draws."""
        x = np.log(points) - self.frame.centre
        return [m.law.curve(m.draws if draws_too else m.theta[None], x)[0] + self.frame.log_value for m in self.members]

    @property
    def weights(self) -> Floats:
        return np.array([m.weight for m in self.members])


def coordinates(rows: Sequence[Row]) -> Floats:
    """Params, tokens, flop, epochs as floats [n, 4]: 6 N D overflows 64-bit integers."""
    return np.array([[row.params, row.tokens, row.flop, epochs_of(row)] for row in rows], dtype=float)


def ordered(rows: Sequence[Row]) -> tuple[Row, ...]:
    """A fixed order, so that the order of a file changes nothing."""
    return tuple(sorted(rows, key=lambda row: (row.flop, row.params, row.tokens, row.value, row.id)))


def build(rows: Sequence[Row], unit: str, laws: Sequence[Law] = tuple(LAWS.values())) -> Ensemble:
    """Fit, back-test and weigh every law; the same rows in any order give the same ensemble."""
    rows = ordered(rows)
    points, values = coordinates(rows), np.array([row.value for row in rows], dtype=float)
    frame = Frame.of(points, values)
    x, y = np.log(points) - frame.centre, np.log(values) - frame.log_value
    cut = backtest.folds(x)
    log_weights, parts = [], []
    for law in laws:
        mean, sd = priors.priors(law, unit, frame)
        whole = fit(law, x, y, np.ones((1, len(y))), mean, sd)
        miss = np.zeros((0, len(y)))
        if len(cut.masks):
            miss = fit(law, x, y, cut.masks, mean, sd, near=whole.theta[0]).residual
        square = backtest.mean_square(miss, cut) if len(miss) else 0.0
        tempered = log_evidence(whole, sd, len(y)) * min(1.0, FULL_EVIDENCE_RUNS / len(y))
        log_odds = math.log(max(priors.odds(law, unit, frame), 1e-12))
        log_weights.append(log_odds + tempered - math.log(square + MISS_FLOOR**2))
        parts.append((law, whole, draws(law, whole, x, y, mean, sd), miss, math.sqrt(square)))
    weights = np.exp(np.array(log_weights) - max(log_weights))
    weights = weights / weights.sum()
    members = tuple(_member(*part, weight=float(w)) for part, w in zip(parts, weights))
    mixed = sum((m.weight * m.miss for m in members), np.zeros((len(cut.masks), len(y))))
    return Ensemble(rows, unit, frame, members, cut, backtest.growth_rate(mixed, cut), _trust(members))


def _member(law: Law, whole: Fits, cloud: Floats, miss: Floats, error: float, *, weight: float) -> Member:
    return Member(law, weight, whole.theta[0], cloud, miss, error, whole.residual[0], math.exp(whole.scale[0]))


def _trust(members: Sequence[Member]) -> Floats:
    """Each run's robust weight in (0, 1], averaged over the laws."""
    parts = [m.weight / (1.0 + (m.residual / m.scale) ** 2 / NU) for m in members]
    return np.asarray(np.sum(parts, 0))


def far_off(ensemble: Ensemble) -> list[dict[str, str]]:
    """Runs that the laws do not believe, with the reason; worst first; they stay in the fit at a small weight."""
    residual = np.sum([m.weight * m.residual for m in ensemble.members], 0)
    scale = math.sqrt(sum(m.weight * m.scale**2 for m in ensemble.members))
    found = []
    for row, trust, miss in zip(ensemble.rows, ensemble.trust, residual):
        if trust < FAR_WEIGHT and abs(miss) > FAR_SCALES * scale:
            side = "above" if miss > 0 else "below"
            why = f"{100 * abs(math.expm1(miss)):.3g} % {side} the laws, {abs(miss) / scale:.0f} x the usual scatter"
            found.append((float(trust), {"id": row.id, "why": f"{why}; counts {trust:.2g} of a run"}))
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]
