"""The schedule-aware law: loss along a run under any learning-rate schedule, so that checkpoints can be used.

    L(t) = L0 + A S1(t)^-alpha - B sum_k (lr_(k-1) - lr_k) G(C lr_k^-gamma S_k(t)),   G(x) = 1 - (1 + x)^-beta

S1(t) is the sum of the learning rate up to step t, S_k(t) the sum from the change k to t. The first change is the rise
from 0, so that L0 is the floor of a run annealed to 0 and a run at a constant rate stays above it by about B lr.

One law is for one size and one data set. A decay's gain is read off curves that decay: two curves, one of them
lowering its rate, are the least; `like` (the law of another size) can stand in for the decay.

Reference: Luo et al. 2025, arXiv:2503.12811 (multi-power law); Tissue et al. 2024, arXiv:2408.11029 (S1, and an
exponential G counted in steps: as good on one family of curves, worse on the other).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keel.errors import Refusal
from keel.laws.beside.curves import Curve, Schedule
from keel.laws.beside.posterior import posterior
from keel.laws.law import Floats

FORMULA = "L0 + A S1^-alpha - B sum_k (lr_(k-1) - lr_k) (1 - (1 + C lr_k^-gamma S_k)^-beta)"
NAMES = ("L0", "A", "alpha", "B", "C", "beta", "gamma")
# Normal on the logs, losses relative to the lowest seen, rates to the peak, sums to the mean sum of a curve: wide
# around the fits published for three sizes (L0 .9, A .06-.1, alpha .45, B .03-.06, C 2000-3000, beta .6, gamma .65),
# so a judgement on those curves is not blind to them; the other family (OLMo's ladder) is.
MEAN = np.array([-0.15, math.log(0.07), math.log(0.45), math.log(0.04), math.log(2000.0), math.log(0.6), math.log(0.6)])
SD = np.array([0.15, 1.0, 0.4, 1.0, 2.0, 0.4, 0.4])
SHARED, SHARED_SD = slice(3, 7), 0.4  # what one size knows of another's: B, C, beta, gamma
NUM_POINTS = 24  # a curve's points that enter the fit, denser towards its end: neighbours are not independent
MOST_LOG = 200.0  # a wild proposal's exponent ends here
# What the law misses at the end of a hidden curve, before the user's own hidden curves say it: worth three of them.
MISS, MISS_CURVES = 0.003, 3.0
END = 0.75  # a hidden curve is judged on the last quarter of its points
CUTS, FALLEN = (0.25, 0.5), 0.95
NUM_NOISE = 32


class Walk(NamedTuple):
    """A schedule as the law sees it at some steps: log S1 [n], fall [k], log rate after it [k], sum since it [n, k]."""

    log_area: Floats
    fall: Floats
    log_rate: Floats
    since: Floats


class Point(NamedTuple):
    """A loss at a step with its interval at the level asked for; `distance` = log10 of S1 beyond the largest seen."""

    step: float
    value: float
    low: float
    high: float
    distance: float


class ScheduleLaw(NamedTuple):
    """A fitted law: `theta` [7] and `cloud` [s, 7] are logs in the units of `peak`, `area` and `log_value`.

    `miss`: SD of the log loss on a curve not seen; `rate`: SD per square root of log S1 beyond the largest seen.
    `folds`: how many hidden curves `miss` rests on; `residual`: mean absolute relative error of the fit by curve.
    """

    theta: Floats
    cloud: Floats
    peak: float
    area: float
    log_value: float
    reach: float
    miss: float
    folds: int
    rate: float
    residual: dict[str, float]
    notes: tuple[str, ...] = ()

    def constants(self) -> dict[str, float]:
        """The printed formula's constants, in the curves' own units of loss, rate and step."""
        L0, A, alpha, B, C, beta, gamma = np.exp(self.theta)
        low = math.exp(self.log_value)
        found = (L0 * low, A * low * self.area**alpha, alpha, B * low / self.peak, C * self.peak**gamma / self.area,
                 beta, gamma)  # fmt: skip
        return dict(zip(NAMES, map(float, found)))

    def values(self, schedule: Schedule, step: Floats) -> Floats:
        """The best fit's loss at each step of a run under `schedule`."""
        return np.asarray(np.exp(self._log(self.theta[None], schedule, step)[0]))

    def _log(self, theta: Floats, schedule: Schedule, step: Floats) -> Floats:
        return _curve(theta, [walk(schedule, step, self.peak, self.area)])[0] + self.log_value

    def forecast(self, schedule: Schedule, step: Sequence[float] | None = None, level: float = 0.9) -> list[Point]:
        """Loss of a run under `schedule` at each `step`, else at its end."""
        at = np.asarray(schedule.step[-1:] if step is None else step, float)
        return self._points(at, schedule, self._log(self.cloud, schedule, at), level)

    def annealed(
        self, curve: Curve, decay: float = 0.2, final_lr: float = 0.0, level: float = 0.9,
        step: Sequence[float] | None = None,
    ) -> list[Point]:  # fmt: skip
        """Each checkpoint's loss as if its run had lowered its rate linearly over the last share `decay` of its steps.

        The measured loss times the law's ratio of the two schedules at that step: what the law misses in common, and
        the run's own noise, stay in. Intervals are those of the ratio, and of a hidden curve's miss.
        """
        at = curve.step if step is None else np.asarray(step, float)
        measured = np.interp(at, curve.step, np.log(curve.loss))
        found = []
        for place, log_loss in zip(at, measured):
            begin, one = place * (1 - decay), np.array([place])
            keep = curve.schedule.step < begin
            rate = float(curve.schedule.at(np.array([begin]))[0])
            branch = Schedule(np.append(curve.schedule.step[keep], [begin, place]),
                              np.append(curve.schedule.lr[keep], [rate, min(final_lr, rate)]))  # fmt: skip
            gain = self._log(self.cloud, branch, one) - self._log(self.cloud, curve.schedule, one)
            found += self._points(one, branch, log_loss + gain, level)
        return found

    def _points(self, at: Floats, schedule: Schedule, cloud: Floats, level: float) -> list[Point]:
        from scipy.special import stdtrit

        ahead = np.log(np.maximum(schedule.area(at) / self.reach, 1.0))
        noise = np.sqrt(self.miss**2 + self.rate**2 * ahead)
        strata = stdtrit(self.folds + MISS_CURVES, (np.arange(NUM_NOISE) + 0.5) / NUM_NOISE)
        full = np.exp((cloud[:, None, :] + strata[:, None] * noise).reshape(-1, len(at)))
        tail = (1 - level) / 2
        low, value, high = np.quantile(full, [tail, 0.5, 1 - tail], axis=0)
        return [Point(*map(float, cells)) for cells in zip(at, value, low, high, ahead / math.log(10.0))]


def walk(schedule: Schedule, step: Floats, peak: float, area: float) -> Walk:
    """The schedule at `step` in units of the peak rate and of `area`."""
    place, fall, rate = schedule.drops(step)
    now = schedule.area(step) / area
    since = np.maximum(now[:, None] - schedule.area(place) / area, 0.0) * (step[:, None] > place)
    return Walk(np.log(np.maximum(now, 1e-12)), fall / peak, np.log(np.maximum(rate / peak, 1e-4)), since)


def _curve(theta: Floats, walks: Sequence[Walk]) -> tuple[Floats, Floats]:
    """Log loss [b, n] of all walks in a row and its derivatives by the logs of the seven constants [b, n, 7]."""
    L0, A, alpha, B, C, beta, gamma = np.exp(theta).T[:, :, None]
    columns = []
    for w in walks:
        scale = np.exp(np.minimum(np.log(C) - gamma * w.log_rate, MOST_LOG))  # [b, k]
        x = scale[:, None, :] * w.since
        rest = (1.0 + x) ** -beta[:, :, None]
        slope = x / (1.0 + x) * rest * beta[:, :, None]
        term = A * np.exp(-alpha * w.log_area)
        gain = B * ((1.0 - rest) @ w.fall)
        value = L0 + term - gain
        by = (L0 + 0 * term, term, -alpha * w.log_area * term, -gain, -B * (slope @ w.fall),
              -B * beta * ((np.log1p(x) * rest) @ w.fall), B * gamma * (slope @ (w.fall * w.log_rate)))  # fmt: skip
        # Far-off constants can ask for a loss below 0: it is held just above, where the fit does not stay.
        safe = np.maximum(value, 1e-2 * L0)
        columns.append((np.log(safe), np.stack(by, -1) / safe[:, :, None]))
    return np.concatenate([y for y, _ in columns], 1), np.concatenate([by for _, by in columns], 1)


def fit_schedule(curves: Sequence[Curve], like: ScheduleLaw | None = None) -> ScheduleLaw | Refusal:
    """Fit the law to curves of one size trained under different schedules; `like` lends B, C, beta, gamma.

    Points where the rate still rises for the first time are not fitted. Every curve is hidden once, and all are cut
    at a quarter and at half of the largest S1, to see how far the law misses what it has not seen.

    Example:
        >>> plans = [Schedule.of("cosine", peak_lr=1e-3, total=4000, warmup=100, final_lr=f) for f in (1e-3, 1e-4)]
        >>> def loss(plan, s): return 3 + 0.3 * plan.area(s) ** -0.5 + 100 * plan.at(s)
        >>> steps = np.arange(200.0, 4001.0, 100.0)
        >>> law = fit_schedule([Curve(f"run {i}", steps, loss(p, steps), p) for i, p in enumerate(plans)])
        >>> end = law.forecast(Schedule.of("linear", peak_lr=1e-3, total=4000, warmup=100, final_lr=1e-4))[0]
        >>> end.low < end.value < end.high
        True
    """
    thin = [_thinned(curve) for curve in curves]
    refusal = _refusal(curves, like)
    if refusal is not None:
        return refusal
    peak = max(float(c.schedule.lr.max()) for c in curves) if like is None else like.peak
    sums = [float(c.schedule.area(c.step[-1:])[0]) for c in curves]
    area = float(np.mean(sums)) if like is None else like.area
    walks = [walk(c.schedule, c.step, peak, area) for c in thin]
    loss = np.log(np.concatenate([c.loss for c in thin]))
    log_value = float(np.quantile(loss, 0.05))
    mean, sd = MEAN.copy(), SD.copy()
    if like is not None:
        mean[SHARED], sd[SHARED] = like.theta[SHARED], np.maximum(like.cloud.std(0)[SHARED], SHARED_SD)
    masks, hidden, ahead = _folds(thin, walks, like is not None)
    found = posterior(lambda theta: _curve(theta, walks), loss - log_value, mean, sd, masks)
    miss, rate = _misses(found.miss, hidden, ahead)
    reach = max(sums)
    if like is not None:  # a decay's gain was seen up to there, and its law missed by so much, in the other size
        miss, rate, reach = math.hypot(miss, like.miss), max(rate, like.rate), min(reach, like.reach)
    names = np.repeat([c.id for c in thin], [len(c.step) for c in thin])
    residual = {c.id: float(np.abs(np.expm1(found.residual[names == c.id])).mean()) for c in thin}
    return ScheduleLaw(found.theta, found.cloud, peak, area, log_value, reach, miss, len(hidden), rate, residual,
                       _notes(curves))  # fmt: skip


def _thinned(curve: Curve) -> Curve:
    """At most NUM_POINTS of its points, none before the rate's first peak, the last among them."""
    top = np.flatnonzero(curve.schedule.lr >= 0.999 * curve.schedule.lr.max())[0]
    past = np.flatnonzero(curve.step >= curve.schedule.step[top] - 1e-9)
    share = np.linspace(0.0, 1.0, min(NUM_POINTS, len(past)))
    keep = past[np.unique(((1 - (1 - share) ** 2) * (len(past) - 1)).round().astype(int))]
    return curve._replace(step=curve.step[keep], loss=curve.loss[keep])


def _refusal(curves: Sequence[Curve], like: ScheduleLaw | None) -> Refusal | None:
    what = "no law of the learning-rate schedule"
    if not any(c.decays for c in curves) and like is None:
        return Refusal(what, "no curve lowers its learning rate: what a decay gains cannot be read off constant ones",
                       "add the curve of one decay branch, or give the law of another size")  # fmt: skip
    if len(curves) < 2 and like is None:
        return Refusal(what, "one curve: a decay's gain and the run's own progress cannot be told apart",
                       "add a curve at a constant rate, or one that decays elsewhere")  # fmt: skip
    return None


def _folds(curves: Sequence[Curve], walks: Sequence[Walk], lent: bool) -> tuple[Floats, list[Floats], list[Floats]]:
    """Masks [f, n] of what is seen (all curves but one; all up to a cut in S1), points judged, log S1 beyond the cut.

    A fold in which no rate falls says nothing of how a law that has seen a decay goes on.
    """
    owner = np.repeat(np.arange(len(curves)), [len(c.step) for c in curves])
    end = np.concatenate([np.arange(len(c.step)) >= END * len(c.step) for c in curves])
    low = np.concatenate([c.schedule.at(c.step) < FALLEN * c.schedule.lr.max() for c in curves])
    log_area = np.concatenate([w.log_area for w in walks])
    hidden = [
        ((owner == i) & end).astype(float)
        for i in range(len(curves))
        if len(curves) > 1 and (lent or low[owner != i].any())
    ]
    ahead = [np.maximum(log_area - (log_area.max() + math.log(cut)), 0.0) for cut in CUTS]
    ahead = [
        far for far in ahead if (far > 0).any() and (far == 0).sum() > len(NAMES) and (lent or low[far == 0].any())
    ]
    left_out = [owner == owner[part > 0][0] for part in hidden] + [far > 0 for far in ahead]
    return 1.0 - np.array(left_out, float).reshape(-1, len(owner)), hidden, ahead


def _misses(miss: Floats, hidden: Sequence[Floats], ahead: Sequence[Floats]) -> tuple[float, float]:
    """SD of the log loss at the end of a hidden curve, and its growth per square root of log S1 beyond the largest."""
    ends = [float((r**2 * part).sum() / part.sum()) for r, part in zip(miss, hidden)]
    late = [float((r[far > 0] ** 2).sum() / far.sum()) for r, far in zip(miss[len(hidden) :], ahead)]
    end = math.sqrt((MISS_CURVES * MISS**2 + sum(ends)) / (MISS_CURVES + len(ends)))
    return end, math.sqrt(float(np.mean([MISS**2, *late])))


def _notes(curves: Sequence[Curve]) -> tuple[str, ...]:
    return tuple(
        f"{c.id}: the rate is taken to rise from 0 over {first:g} steps, before the first point logged"
        for c in curves
        if (first := float(c.schedule.step[1])) > 0.1 * c.step[-1] and c.schedule.lr[0] == 0
    )
