"""All laws fitted to one table, weighed against each other, with draws: everything a forecast needs.

    weight_l  ~  odds_l * evidence_l^t,     t = min(1, 30 / runs)

The evidence is tempered because runs of one ladder are not independent: past thirty, more runs say little more.
Back-tests make the width, not the weights: weights by back-test alone or beside the evidence forecast less well
(docs/decisions/0004).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keel.laws import backtest, priors, relevance, seeds
from keel.laws.fit import NU, Fits, draws, fit, log_evidence
from keel.laws.forms import LAWS
from keel.laws.law import Floats, Frame, Law, Row, Target, epochs_of
from keel.laws.learnt import Learnt, learnt
from keel.laws.links import link_of
from keel.laws.repeats import repeated

FULL_EVIDENCE_RUNS, LEAST_ODDS, LEAST_WEIGHT = 30.0, 1e-12, 1e-3
FAR_WEIGHT, FAR_SCALES = 0.25, 4.0
FAR_ABOVE = 0.15  # a run 16 % above the frontier is named


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
    """Laws fitted to `rows` (sorted by compute, then size) in one frame.

    `noise` [n]: each run's noise relative to the most telling one's; `trust` [n]: its robust weight beyond that;
    `known`: what was learnt across public ladders.
    """

    rows: tuple[Row, ...]
    unit: str
    frame: Frame
    members: tuple[Member, ...]
    cut: backtest.Folds
    rate: float
    trust: Floats
    noise: Floats
    known: Learnt

    def log_values(self, points: Floats, draws_too: bool = False) -> list[Floats]:
        """Log loss by member at points [m, 4] (params, tokens, flop, epochs): [1, m], or [s, m] with draws."""
        x = np.log(points) - self.frame.centre
        return [m.law.curve(m.draws if draws_too else m.theta[None], x)[0] + self.frame.log_value for m in self.members]

    @property
    def excess(self) -> Floats:
        """Log loss above the frontier, by run."""
        points, values = coordinates(self.rows), np.array([row.value for row in self.rows], dtype=float)
        return relevance.excess(np.log(points), np.log(link_of(self.unit).to_loss(values)))

    @property
    def scatter(self) -> float:
        """SD of the log loss of a single, telling run about the laws: at least the noise between seeds."""
        return max(math.sqrt(sum(m.weight * m.scale**2 for m in self.members)), seeds.noise(self.rows, self.unit))

    @property
    def weights(self) -> Floats:
        return np.array([m.weight for m in self.members])


def coordinates(rows: Sequence[Row]) -> Floats:
    """Params, tokens, flop, epochs as floats [n, 4]: 6 N D overflows 64-bit integers."""
    return np.array([[row.params, row.tokens, row.flop, epochs_of(row)] for row in rows], dtype=float)


def ordered(rows: Sequence[Row]) -> tuple[Row, ...]:
    """A fixed order, so that the order of a file changes nothing."""
    return tuple(sorted(rows, key=lambda row: (row.flop, row.params, row.tokens, row.value, row.id)))


class Data(NamedTuple):
    """What a fit sees: centred logs x [n, 4] and y [n], likeness to the target [n], noise [n], and the laws to try."""

    rows: tuple[Row, ...]
    unit: str
    frame: Frame
    x: Floats
    y: Floats
    like: Floats
    noise: Floats
    known: Learnt
    laws: tuple[Law, ...]


def data_of(
    rows: Sequence[Row], unit: str, aim: Target | None, known: Learnt, laws: Sequence[Law] = tuple(LAWS.values())
) -> Data:
    """Rows in logs, weighed for one target; where tokens repeat, the laws are those with repeats."""
    rows = ordered(rows)
    points, values = coordinates(rows), link_of(unit).to_loss(np.array([row.value for row in rows], dtype=float))
    frame = Frame.of(points, values)
    x, y = np.log(points) - frame.centre, np.log(values) - frame.log_value
    way = None if aim is None else np.log([aim.params, aim.tokens, 1.0, epochs_of(aim)]) - frame.centre
    like = relevance.likeness(x, y, way, known)
    noise = relevance.noise(like, x, np.ones((1, len(y))), known)[0]
    if float(x[:, 3].max()) > 0 or (aim is not None and epochs_of(aim) > 1):
        laws = [repeated(law) for law in laws if "tokens" in law.coords]
    return Data(rows, unit, frame, x, y, like, noise, known, tuple(laws))


def fit_whole(law: Law, data: Data) -> Fits:
    """The law fitted to all rows."""
    mean, sd = priors.priors(law, data.unit, data.frame, data.known)
    return fit(law, data.x, data.y, np.ones((1, len(data.y))), data.noise[None], mean, sd)


def build(
    rows: Sequence[Row], unit: str, aim: Target | None = None, *, without: str = "", known: Learnt | None = None,
    laws: Sequence[Law] = tuple(LAWS.values()),
) -> Ensemble:  # fmt: skip
    """Fit, back-test and weigh every law; the same rows in any order give the same ensemble.

    With `aim`, runs count for what they say about that one target (relevance.py). `without` names a family of public
    ladders whose lessons are left out (learnt.py), so that it can be forecast fairly; `known` replaces them all.
    """
    data = data_of(rows, unit, aim, priors.believed(unit, known or learnt(without)), laws)
    cut = backtest.folds(data.x)
    fold_noise = relevance.noise(data.like, data.x, cut.masks, data.known)
    fits = [fit_whole(law, data) for law in data.laws]
    weights = weigh(fits, data)
    members = [_member(law, whole, float(w), data, cut, fold_noise) for law, whole, w in zip(data.laws, fits, weights)]
    mixed = sum((m.weight * m.miss for m in members), np.zeros((len(cut.masks), len(data.y))))
    rate = backtest.growth_rate(mixed, cut, data.like)
    trust = _trust(members, data.noise)
    return Ensemble(data.rows, unit, data.frame, tuple(members), cut, rate, trust, data.noise, data.known)


def weigh(fits: Sequence[Fits], data: Data) -> Floats:
    """Each law's weight: odds times tempered evidence, of sum one."""
    temper, found = min(1.0, FULL_EVIDENCE_RUNS / len(data.y)), []
    for law, whole in zip(data.laws, fits):
        odds = max(priors.odds(law, data.unit, data.frame, data.known), LEAST_ODDS)
        sd = priors.priors(law, data.unit, data.frame, data.known)[1]
        found.append(math.log(odds) + temper * log_evidence(whole, sd, len(data.y)))
    weights = np.exp(np.array(found) - max(found))
    return np.asarray(weights / weights.sum())


def _member(law: Law, whole: Fits, weight: float, data: Data, cut: backtest.Folds, fold_noise: Floats) -> Member:
    """One law back-tested and drawn from; a law that hardly counts is drawn from coarsely."""
    mean, sd = priors.priors(law, data.unit, data.frame, data.known)
    miss = np.zeros((0, len(data.y)))
    if len(cut.masks):
        miss = fit(law, data.x, data.y, cut.masks, fold_noise, mean, sd, near=whole.theta[0]).residual
    square = backtest.mean_square(miss, cut, data.like) if len(miss) else 0.0
    cloud = draws(law, whole, data.x, data.y, data.noise, mean, sd, fine=weight >= LEAST_WEIGHT)
    scale = math.exp(whole.scale[0])
    return Member(law, weight, whole.theta[0], cloud, miss, math.sqrt(square), whole.residual[0], scale)


def _trust(members: Sequence[Member], noise: Floats) -> Floats:
    """Each run's robust weight in (0, 1], averaged over the laws."""
    parts = [m.weight / (1.0 + (m.residual / (m.scale * noise)) ** 2 / NU) for m in members]
    return np.asarray(np.sum(parts, 0))


def far_off(ensemble: Ensemble) -> list[dict[str, str]]:
    """Runs that count for little, with the reason; least first; they stay in the fit at a small weight.

    Two reasons: the laws miss them by far (robust weight), or they lie far above the frontier (relevance.py).
    """
    residual = np.sum([m.weight * m.residual for m in ensemble.members], 0)
    scale = ensemble.scatter * ensemble.noise
    above = ensemble.excess
    found = []
    for at, row in enumerate(ensemble.rows):
        counts = float(ensemble.trust[at] / ensemble.noise[at] ** 2)
        if ensemble.trust[at] < FAR_WEIGHT and abs(residual[at]) > FAR_SCALES * scale[at]:
            side = "above" if residual[at] > 0 else "below"
            why = f"{_percent(residual[at])} {side} the laws, {abs(residual[at]) / scale[at]:.0f} x its usual scatter"
        elif above[at] > FAR_ABOVE:
            why = f"{_percent(above[at])} above the best run of no more compute"
        else:
            continue
        found.append((counts, {"id": row.id, "why": f"{why}; counts {counts:.2g} of the most telling run"}))
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def _percent(log: float) -> str:
    return f"{100 * abs(math.expm1(log)):.3g} %"
