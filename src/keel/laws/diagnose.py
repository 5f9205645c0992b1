"""What speaks for and against a fit, as data: back-test misses, correlations of the constants, held-out runs, the map.

`diagnosis` gathers them as the tree that fit.json keeps and the figures draw. Misses are relative errors of the loss
that the laws see, measured over forecast minus one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from keel.laws import backtest
from keel.laws.constants import constants
from keel.laws.contours import contours
from keel.laws.ensemble import Ensemble, Member
from keel.laws.forecasts import forecasts_from
from keel.laws.law import Floats, Row

LEADING, MOST_LEADING = 0.05, 3
MOST_POINTS = 600
NUM_GROWTH = 33


class Correlation(NamedTuple):
    """How the constants of one law trade off: correlations [p, p] of their logarithms over the posterior draws."""

    law: str
    weight: float
    names: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]


class Hidden(NamedTuple):
    """A run that a fold hid: `ahead` = its compute over the largest fitted; misses of the mixture and of `laws`."""

    run: str
    fold: int
    ahead: float
    mixture: float
    laws: tuple[float, ...]


class Growth(NamedTuple):
    """Half-width of the interval's back-test part at a distance."""

    ahead: float
    half_width: float


class Backtest(NamedTuple):
    """Misses of `num_points` hidden runs, at most MOST_POINTS of them listed, and the growth curve learnt from them."""

    laws: tuple[str, ...]
    num_points: int
    points: tuple[Hidden, ...]
    growth: tuple[Growth, ...]


class HeldOut(NamedTuple):
    """A run kept out of the fit: what was measured, and what is forecast for it."""

    id: str
    params: float
    tokens: float
    flop: float
    measured: float
    value: float
    low: float
    high: float
    hit: bool


def leading(ensemble: Ensemble) -> tuple[Member, ...]:
    """The laws that carry the forecast, the heaviest first: at most three, each of 5 % or more."""
    by_weight = sorted(ensemble.members, key=lambda member: -member.weight)
    return tuple(m for i, m in enumerate(by_weight[:MOST_LEADING]) if i == 0 or m.weight >= LEADING)


def correlations(ensemble: Ensemble) -> tuple[Correlation, ...]:
    """Of each leading law, fitted on its own."""
    found = []
    for member in leading(ensemble):
        cloud = member.law.constants_of(constants(ensemble, member).draws, ensemble.frame)
        matrix = correlated(np.log(np.stack(list(cloud.values()))))
        found.append(Correlation(member.law.name, member.weight, tuple(cloud), _tuples(matrix)))
    return tuple(found)


def correlated(rows: Floats) -> Floats:
    """Correlations [p, p] of rows [p, s]; a row that does not move has zero with all others.

    Example:
        >>> correlated(np.array([[1.0, 2.0, 3.0], [6.0, 4.0, 2.0], [0.1, 0.1, 0.1]])).round(6).tolist()
        [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    centred = rows - np.where(np.ptp(rows, axis=1) > 0, rows.mean(1), rows[:, 0])[:, None]
    norm = np.sqrt((centred**2).sum(1))
    unit = centred / np.where(norm > 0, norm, 1.0)[:, None]
    matrix = np.clip(unit @ unit.T, -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return np.asarray(matrix)


def _tuples(matrix: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(cell) for cell in row) for row in matrix)


def back_test(ensemble: Ensemble, level: float = 0.9) -> Backtest | None:
    """Every hidden run of every fold against how far ahead it lay; None where no fold is possible."""
    cut = ensemble.cut
    if not len(cut.masks):
        return None
    laws = leading(ensemble)
    mixture = sum((m.weight * m.miss for m in ensemble.members), np.zeros(cut.masks.shape))
    fold, run = np.nonzero(cut.ahead > 0)
    order = np.lexsort((run, fold, cut.ahead[fold, run]))
    # Every k-th by distance, so that what is listed spreads as all of them do.
    kept = order[:: max(1, -(-len(order) // MOST_POINTS))]
    points = tuple(
        Hidden(
            ensemble.rows[i].id, int(f) + 1, float(np.exp(cut.ahead[f, i])), float(np.expm1(mixture[f, i])),
            tuple(float(np.expm1(m.miss[f, i])) for m in laws),
        )
        for f, i in zip(fold[kept], run[kept])
    )  # fmt: skip
    far = np.linspace(0.0, float(cut.ahead.max()), NUM_GROWTH)
    reach = NormalDist().inv_cdf((1 + level) / 2) * ensemble.known.widen
    half = np.expm1(reach * backtest.grown(ensemble.rate, far))
    growth = tuple(Growth(float(np.exp(a)), float(h)) for a, h in zip(far, half))
    return Backtest(tuple(m.law.name for m in laws), len(order), points, growth)


def held_out(ensemble: Ensemble, rows: Sequence[Row], level: float = 0.9) -> tuple[HeldOut, ...]:
    """Each row, which the fit has not seen, beside its own forecast; those without one are left out."""
    if not rows:
        return ()
    params, tokens, flop, unique = (
        [getattr(row, name) for row in rows] for name in ("params", "tokens", "flop", "unique_tokens")
    )
    found = forecasts_from(ensemble, params, tokens, flop, unique, level)
    return tuple(
        HeldOut(r.id, r.params, r.tokens, r.flop, r.value, float(v), float(lo), float(hi), bool(lo <= r.value <= hi))
        for r, v, lo, hi in zip(rows, found.value, found.low, found.high) if math.isfinite(v)
    )  # fmt: skip


def diagnosis(
    ensemble: Ensemble, held: Sequence[Row] = (), targets: Sequence[tuple[float, float]] = (), level: float = 0.9
) -> dict[str, Any]:
    """All of it as plain JSON values; `held` and `targets` (params, tokens) lie on the map.

    Example:
        >>> from keel.laws.ensemble import build
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> sorted(diagnosis(build(rows, "nats_per_token")))
        ['backtest', 'correlations', 'held_out', 'map']
    """
    map_ = contours(ensemble, [*targets, *((row.params, row.tokens) for row in held)], level)
    tested = back_test(ensemble, level)
    return {
        "map": {"lines": [line._asdict() for line in map_.lines], "path": [best._asdict() for best in map_.path]},
        "correlations": [found._asdict() for found in correlations(ensemble)],
        "backtest": None if tested is None else tested._asdict() | {
            "points": [point._asdict() for point in tested.points],
            "growth": [at._asdict() for at in tested.growth],
        },
        "held_out": [found._asdict() for found in held_out(ensemble, held, level)],
    }  # fmt: skip
