"""Which run to pay for next: the one that shrinks a target's interval most per FLOP, over all laws and constants.

Observing a candidate's log loss y changes what is believed of the target's log loss t in three ways:

    within a law     E_l[t | y] = E_l t + Cov_l(t, y) / Var_l y (y - E_l y)          constants
    between laws     w_l | y  ~  w_l N(y; E_l y, Var_l y)                            which law
    ahead            Cov_l(t, y) and Var_l y hold rate^2 min(u_t, u_y), u = log(FLOP / largest run)_+
                                                                                     what no law knows

The last line reads the back-test's extrapolation error as a random walk in log compute, whose variance is the rate^2 u
of a forecast: a run on the way to the target takes its part of the way. Var_l y also holds the run's own noise, larger
for runs that say little about the target (relevance.py). The expected variance after the run is Var t - Var E[t | y].
A run is charged at least three tenths of the FLOP spent so far: else the cheapest runs win by gain per FLOP, however
little they change, and setting up, waiting for and reading a run is not free.

Reference: Chaloner & Verdinelli 1995, Statist. Sci. 10:273 (Bayesian design); Box & Hill 1967, Technometrics 9:57
(designs that tell laws apart).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.errors import Problem, StudyError
from keel.laws import backtest, relevance
from keel.laws.ensemble import Ensemble, coordinates
from keel.laws.forecast import check_level, spread
from keel.laws.law import Floats
from keel.laws.links import link_of
from keel.units import show_count

NUM_NODES = 9  # Gauss-Hermite nodes of each law's predictive
LEAST_WEIGHT = 1e-4  # of a law that is integrated over
SAME = 0.03  # params and tokens within 3 % are the same run
OVERHEAD = 0.3  # of the FLOP spent so far: the least that a run is charged
MOST_SHARE = 0.1  # of the target's FLOP that a proposed run may cost
NUM_SIZES, NUM_RATIOS = 12, 9


@dataclass(frozen=True, kw_only=True)
class NextRun:
    """A candidate: `width_*` are half-widths of the log loss interval, mean over targets, now and expected after it."""

    params: float
    tokens: float
    flop: float
    epochs: float
    gain_per_flop: float
    width_now: float
    width_after: float
    level: float
    why: str

    def json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


class Beliefs(NamedTuple):
    """Per law l, target t, candidate c: weight [l], means [l, t] and [l, c], variances, covariance [l, t, c].

    `unknown` [t] is the variance of a target that no law knows; `shared` [t, c] its part that a candidate sees.
    """

    weight: Floats
    target: Floats
    seen: Floats
    target_var: Floats
    seen_var: Floats
    covariance: Floats
    shared: Floats
    unknown: Floats


def next_run(
    ensemble: Ensemble, target: Floats, *, candidates: Floats | None = None, most_flop: float | None = None,
    level: float = 0.9,
) -> list[NextRun]:  # fmt: skip
    """Candidates, the most gain for what they are charged first; empty where all exist or cost more than `most_flop`.

    `target` [4] or [m, 4] and `candidates` [c, 4] are params, tokens, flop, epochs. Without candidates: a grid over
    the runs' sizes and tokens per param, widened to the target's, up to `most_flop`: a tenth of the target's FLOP,
    or the largest run's where that is more.

    Raises:
        StudyError: a target or candidate is not positive and finite, or level is no share.

    Example:
        >>> from keel.laws import Row
        >>> from keel.laws.ensemble import build
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8) for r in (10, 20, 40)]
        >>> best = next_run(build(rows, "nats_per_token"), np.array([2e9, 4e10, 4.8e20, 1.0]))[0]
        >>> best.flop < 4.8e19, best.width_after < best.width_now
        (True, True)
    """
    check_level(level)
    targets = _points(target, "target")
    limit = _limit(ensemble, targets) if most_flop is None else float(most_flop)
    if candidates is None:
        candidates = grid(ensemble, targets, limit)
    found = _points(candidates, "candidates")
    # A given candidate is the caller's: only a stated limit drops it.
    found = found[~existing(ensemble, found) & ((found[:, 2] <= limit) | (most_flop is None))]
    if not len(found):
        return []
    beliefs = believe(ensemble, targets, found)
    now = _width_now(ensemble, targets, level)
    total = variance(beliefs)
    gained = explained(beliefs)
    after = now[:, None] * np.sqrt(np.maximum(1.0 - gained / total[:, None], 0.0))
    gain = (now[:, None] - after).mean(0)
    charged = np.maximum(found[:, 2], OVERHEAD * sum(float(row.flop) for row in ensemble.rows))
    order = np.argsort(-gain / charged, kind="stable")
    reasons = _why(ensemble, targets, found, beliefs, gained)
    return [
        NextRun(
            params=float(found[i, 0]), tokens=float(found[i, 1]), flop=float(found[i, 2]), epochs=float(found[i, 3]),
            gain_per_flop=float(gain[i] / found[i, 2]), width_now=float(now.mean()),
            width_after=float(after[:, i].mean()), level=level, why=reasons[i],
        )
        for i in order
    ]  # fmt: skip


def _limit(ensemble: Ensemble, targets: Floats) -> float:
    """What a proposed run may cost: less than the target in any case."""
    least = float(targets[:, 2].min())
    return min(max(MOST_SHARE * least, max(float(row.flop) for row in ensemble.rows)), least)


def _points(given: Floats, name: str) -> Floats:
    """Points [m, 4], checked."""
    points = np.atleast_2d(np.asarray(given, float))
    if points.shape[1] != 4:
        raise StudyError(f"{name} of shape {points.shape}", why="a run is params, tokens, flop, epochs",
                         fix="give an array [m, 4], as ensemble.coordinates makes")  # fmt: skip
    bad = np.flatnonzero(~(np.isfinite(points) & (points > 0)).all(1))
    if len(bad):
        raise StudyError.all([
            Problem(f"{name} {i}: {points[i].tolist()}", "params, tokens, flop and epochs are positive and finite",
                    "mend it or leave it out") for i in bad[:5]
        ])  # fmt: skip
    return points


def existing(ensemble: Ensemble, points: Floats) -> NDArray[np.bool_]:
    """Which points were run already: a second run of them says little that the first did not."""
    log_rows, log_points = np.log(coordinates(ensemble.rows)), np.log(points)
    near = np.abs(log_points[:, None, [0, 1, 3]] - log_rows[None][:, :, [0, 1, 3]]) < SAME
    return np.asarray(near.all(2).any(1))


def grid(ensemble: Ensemble, targets: Floats, most_flop: float) -> Floats:
    """Sizes from the smallest run's to the largest affordable one, tokens per param from all runs and targets."""
    rows = coordinates(ensemble.rows)
    rate = rows[:, 2] / (rows[:, 0] * rows[:, 1])
    ratio = np.concatenate([rows[:, 1] / rows[:, 0], targets[:, 1] / targets[:, 0]])
    ratios = np.geomspace(ratio.min(), ratio.max(), NUM_RATIOS) if np.ptp(np.log(ratio)) > SAME else ratio[:1]
    per_token = float(np.exp(np.log(rate).mean()))
    largest = max(float(rows[:, 0].max()), math.sqrt(most_flop / (per_token * ratios[0])))
    sizes = np.geomspace(rows[:, 0].min(), min(largest, float(targets[:, 0].max())), NUM_SIZES)
    size, tokens = (part.ravel() for part in np.broadcast_arrays(sizes[:, None], sizes[:, None] * ratios))
    unique = float((targets[:, 1] / targets[:, 3])[targets[:, 3] > 1].min(initial=np.inf))  # the data end there
    points = np.stack([size, tokens, per_token * size * tokens, np.maximum(1.0, tokens / unique)], 1)
    return points[points[:, 2] <= most_flop]


def believe(ensemble: Ensemble, targets: Floats, found: Floats) -> Beliefs:
    """Joint moments of the targets' and the candidates' log losses under each law that carries weight."""
    used = np.flatnonzero(ensemble.weights > LEAST_WEIGHT)
    clouds = ensemble.log_values(np.vstack([targets, found]), draws_too=True)
    count = len(targets)
    mean = np.stack([clouds[i].mean(0) for i in used])
    away = [clouds[i] - clouds[i].mean(0) for i in used]
    var = np.stack([(part**2).mean(0) for part in away])
    covariance = np.stack([part[:, :count].T @ part[:, count:] / len(part) for part in away])
    most = max(row.flop for row in ensemble.rows)
    ahead_t, ahead_c = (np.maximum(np.log(points[:, 2] / most), 0.0) for points in (targets, found))
    unknown = backtest.grown(ensemble.rate, np.log(targets[:, 2] / most)) ** 2 + ensemble.scatter**2
    shared = ensemble.rate**2 * np.minimum(ahead_t[:, None], ahead_c[None])
    weight = ensemble.weights[used] / ensemble.weights[used].sum()
    scale = np.array([ensemble.members[i].scale for i in used])
    own = scale[:, None] * noise(ensemble, targets, found, weight @ mean[:, count:])
    seen_var = var[:, count:] + own**2 + ensemble.rate**2 * ahead_c
    return Beliefs(weight, mean[:, :count], mean[:, count:], var[:, :count], seen_var, covariance, shared, unknown)


def noise(ensemble: Ensemble, targets: Floats, found: Floats, log_value: Floats) -> Floats:
    """Each candidate's noise relative to the most telling run's, judged at its expected log loss."""
    rows = ensemble.rows
    x = np.log(np.vstack([coordinates(rows), found])) - ensemble.frame.centre
    measured = link_of(ensemble.unit).to_loss(np.array([row.value for row in rows], dtype=float))
    y = np.concatenate([np.log(measured), log_value]) - ensemble.frame.log_value
    way = np.log(targets[0]) - ensemble.frame.centre if len(targets) == 1 else None
    like = relevance.likeness(x, y, way, ensemble.known)
    every = relevance.noise(like, x, np.ones((1, len(y))), ensemble.known)[0]
    return np.asarray(every[len(rows) :] / every[: len(rows)].min())


def variance(beliefs: Beliefs) -> Floats:
    """Variance of each target's log loss now, [t]."""
    weight = beliefs.weight[:, None]
    middle = (weight * beliefs.target).sum(0)
    return np.asarray((weight * (beliefs.target_var + (beliefs.target - middle) ** 2)).sum(0) + beliefs.unknown)


def explained(beliefs: Beliefs) -> Floats:
    """Var E[t | y]: the variance that each candidate is expected to take off each target, [t, c]."""
    weight, seen, sd = beliefs.weight, beliefs.seen, np.sqrt(beliefs.seen_var)
    nodes, mass = np.polynomial.hermite_e.hermegauss(NUM_NODES)
    mass = mass / mass.sum()
    slope = (beliefs.covariance + beliefs.shared) / beliefs.seen_var[:, None]  # [l, t, c]
    middle = weight @ beliefs.target
    found = np.zeros(beliefs.shared.shape)
    for law in range(len(weight)):
        y = seen[law] + sd[law] * nodes[:, None]  # [q, c]
        away = y - seen[:, None]  # [l, q, c]
        log_like = np.log(weight)[:, None, None] - 0.5 * (away / sd[:, None]) ** 2 - np.log(sd)[:, None]
        after = np.exp(log_like - log_like.max(0))
        after /= after.sum(0)
        guess = beliefs.target[:, None, :, None] + slope[:, None] * away[:, :, None]  # [l, q, t, c]
        expected = (after[:, :, None] * guess).sum(0)
        found += weight[law] * np.tensordot(mass, (expected - middle[:, None]) ** 2, 1)
    return np.minimum(found, variance(beliefs)[:, None])


def _width_now(ensemble: Ensemble, targets: Floats, level: float) -> Floats:
    """Half-width of each target's interval in log loss, as the forecast gives it."""
    _, low, high, _ = spread(ensemble, targets, level)
    loss = link_of(ensemble.unit).to_loss
    return np.asarray(0.5 * np.abs(np.log(loss(high) / loss(low))))


def _why(ensemble: Ensemble, targets: Floats, found: Floats, beliefs: Beliefs, gained: Floats) -> list[str]:
    """For each candidate what it is worth, by the largest of its three causes."""
    weight, middle = beliefs.weight, beliefs.weight @ beliefs.seen
    within = np.einsum("l,ltc->c", weight, beliefs.covariance**2 / beliefs.seen_var[:, None])
    ahead = np.einsum("l,tc->c", weight, beliefs.shared**2) / (weight @ beliefs.seen_var)
    between = gained.sum(0) - within - ahead
    apart = np.sqrt((weight[:, None] * (beliefs.seen - middle) ** 2).sum(0))
    most = max(row.flop for row in ensemble.rows)
    reasons = []
    for i, cause in enumerate(np.argmax(np.stack([within, between, ahead]), 0)):
        text = (
            "pins the constants of the laws",
            f"tells the laws apart: they differ by {100 * apart[i]:.2g} % there",
            f"{found[i, 2] / most:.3g} x the compute of the largest run: part of the way to the target",
        )[int(cause)]
        ratio = found[i, 1] / found[i, 0]
        reasons.append(f"{text} ({show_count(found[i, 0])} params, {ratio:.3g} tokens per param)")
    return reasons
