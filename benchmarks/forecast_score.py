"""Guesses against held-out losses: errors, hits, and the score of an interval.

    MARE = mean |value / loss - 1|,  %
    Winkler = mean of (u - l) + 2/a max(l - y, 0) + 2/a max(y - u, 0), of log losses, times 100; a = 1 - level
    half-width = median of (high - low) / (2 value),  %

An interval whose lower end is not positive has no logarithm: its score is infinite, which a median can carry.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from forecast_task import LEVEL, Guess, Task


class Score(NamedTuple):
    """One method on one task. `hits` by level: whether each held-out loss lies inside;
    None without intervals. No number where it failed."""

    name: str
    family: str
    split: str
    num_seen: int
    num_held: int
    method: str
    status: str
    message: str
    cpu_s: float
    mare: float = math.nan
    hits: Mapping[float, tuple[bool, ...]] | None = None
    winkler: float = math.nan
    half_width: float = math.nan

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def key(self) -> tuple[str, str]:
        return self.split, self.name

    def coverage(self, level: float = LEVEL) -> float:
        return statistics.fmean(self.hits[level]) if self.hits else math.nan


def score(task: Task, guess: Guess) -> Score:
    """A guess that is not finite and positive is a failure, not a number."""
    head = (task.name, task.family, task.split, len(task.seen), len(task.held), guess.method)
    if guess.status != "ok":
        return Score(*head, guess.status, guess.message, guess.cpu_s)
    loss, value = np.array([run.value for run in task.held], dtype=float), np.array(guess.value, dtype=float)
    if value.shape != loss.shape or not bool(np.all(np.isfinite(value) & (value > 0))):
        return Score(*head, "failed", "a forecast that is not finite and positive", guess.cpu_s)
    mare = 100 * float(np.abs(value / loss - 1).mean())
    if not guess.low or not guess.high:
        return Score(*head, "ok", "", guess.cpu_s, mare)
    ends = {level: (np.array(guess.low[level]), np.array(guess.high[level])) for level in guess.low}
    hits = {level: tuple(map(bool, (low <= loss) & (loss <= high))) for level, (low, high) in ends.items()}
    low, high = ends[LEVEL]
    half = 50 * float(np.median((high - low) / value))
    return Score(*head, "ok", "", guess.cpu_s, mare, hits, winkler(low, high, loss), half)


def winkler(low: np.ndarray, high: np.ndarray, loss: np.ndarray, level: float = LEVEL) -> float:
    """Interval score of the log loss, times 100 (Gneiting and Raftery 2007, eq. 43)."""
    if not bool(np.all((low > 0) & (high >= low))):
        return math.inf
    bottom, top, y = np.log(low), np.log(high), np.log(loss)
    miss = np.maximum(bottom - y, 0) + np.maximum(y - top, 0)
    return 100 * float((top - bottom + 2 / (1 - level) * miss).mean())


class Summary(NamedTuple):
    """One method over the tasks of a split; families count once each where so named."""

    method: str
    num_sets: int
    num_asked: int
    mare_median: float
    mare_mean: float
    mare_family_median: float
    mare_family_mean: float
    coverage_runs: float
    coverage_sets: float
    coverage_least: tuple[float, str]
    winkler_median: float
    half_median: float
    cpu_median: float
    cpu_most: float


def by_family(scores: Iterable[Score], number: Callable[[Score], float]) -> dict[str, float]:
    """A family's number is the mean over its sets."""
    groups: dict[str, list[float]] = {}
    for one in scores:
        groups.setdefault(one.family, []).append(number(one))
    return {family: statistics.fmean(values) for family, values in groups.items()}


def pooled(scores: Iterable[Score], level: float = LEVEL) -> float:
    """Share of all held-out runs inside; NaN where no interval was given."""
    hits = [hit for one in scores for hit in (one.hits or {}).get(level, ())]
    return statistics.fmean(hits) if hits else math.nan


def coverage_by_family(scores: Sequence[Score], level: float = LEVEL) -> dict[str, float]:
    """Share of each family's held-out runs inside."""
    families = dict.fromkeys(one.family for one in scores)
    return {family: pooled([one for one in scores if one.family == family], level) for family in families}


def summarise(method: str, scores: Sequence[Score]) -> Summary | None:
    """Over the tasks that a method answered; None where it answered none."""
    good = [one for one in scores if one.method == method and one.ok]
    if not good:
        return None
    mares, families = [one.mare for one in good], by_family(good, lambda one: one.mare)
    cover = {family: share for family, share in coverage_by_family(good).items() if not math.isnan(share)}
    least = min(((share, family) for family, share in cover.items()), default=(math.nan, ""))
    return Summary(
        method, len(good), sum(one.method == method for one in scores),
        statistics.median(mares), statistics.fmean(mares),
        statistics.median(families.values()), statistics.fmean(families.values()),
        pooled(good), statistics.fmean(one.coverage() for one in good), least,
        statistics.median(one.winkler for one in good), statistics.median(one.half_width for one in good),
        statistics.median(one.cpu_s for one in good), max(one.cpu_s for one in good),
    )  # fmt: skip


def common(scores: Sequence[Score], ours: str, theirs: str) -> tuple[list[Score], list[Score]]:
    """Scores of two methods on the tasks that both answered, in the same order."""
    found = {(one.method, *one.key): one for one in scores if one.ok and one.method in (ours, theirs)}
    keys = [key for method, *key in found if method == ours and (theirs, *key) in found]
    return [found[(ours, *key)] for key in keys], [found[(theirs, *key)] for key in keys]


def median_ratio(scores: Sequence[Score], ours: str, theirs: str) -> tuple[float, float, float, int]:
    """Median Winkler scores of both on common tasks, their ratio, and how many tasks."""
    mine, other = common(scores, ours, theirs)
    if not mine:
        return math.nan, math.nan, math.nan, 0
    a, b = statistics.median(one.winkler for one in mine), statistics.median(one.winkler for one in other)
    return a, b, a / b, len(mine)
