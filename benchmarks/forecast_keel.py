"""keel in the forecast benchmark: the one place that calls the engine, and the guard on what it has learnt."""

from __future__ import annotations

import importlib.util
import inspect
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from forecast_task import LEVEL, LEVELS, Guess, Task
from sets import FAMILIES

from keel.laws import Row
from keel.laws.ensemble import build, coordinates
from keel.laws.forecast import spread
from keel.laws.law import Target
from keel.laws.published import PUBLISHED
from keel.laws.refuse import refuse, too_far

KEEL = "keel"
LEARNT = "keel.laws.learnt"
SHORT_ROWS = 1000
TIMED_LAW = "chinchilla-besiroglu"


class Informed(RuntimeError):
    """A set informs its own test: the benchmark's numbers would mean nothing."""


def left_out(family: str) -> dict[str, str]:
    """Keywords that keep what was learnt on `family` out of `build`.

    Raises:
        Informed: something learnt across sets would reach its own family, or may.
    """
    if importlib.util.find_spec(LEARNT) is None:
        return {}
    learnt = importlib.import_module(LEARNT)
    if "without" not in inspect.signature(build).parameters:
        raise Informed(f"{LEARNT} exists, but keel.laws.ensemble.build takes no `without`")
    behind = learnt.families_behind(family)
    if family in behind:
        raise Informed(f"what is learnt without {family} was learnt with it: {', '.join(sorted(behind))}")
    if unknown := behind - set(FAMILIES):
        raise Informed(f"learnt from {', '.join(sorted(unknown))}, of which sets.py knows no family of that name")
    return {"without": family}


def guard_note() -> str:
    """What the guard could check."""
    if importlib.util.find_spec(LEARNT) is None:
        return f"guard: {LEARNT} is absent, so nothing learnt across sets can inform a test"
    return "guard: everything learnt across sets was learnt without the judged set's family"


def fitted(rows: Sequence[Row], unit: str, points: Sequence[Row], **more: Any) -> tuple[Any, Any]:
    """The ensemble, and (value, low, high) of `points` at LEVEL: what a user waits for."""
    found = build(rows, unit, **more)
    return found, spread(found, coordinates(points), LEVEL)


def keel(task: Task) -> Guess:
    """keel's guess; only the fit and one forecast of all points are on the clock."""
    more = left_out(task.family)
    start = time.process_time()
    found, at = fitted(task.seen, task.unit, task.held, **more)
    cpu_s = time.process_time() - start
    points = coordinates(task.held)
    cuts = {level: at if level == LEVEL else spread(found, points, level) for level in LEVELS}
    low = {level: tuple(map(float, cut[1])) for level, cut in cuts.items()}
    high = {level: tuple(map(float, cut[2])) for level, cut in cuts.items()}
    return Guess(KEEL, value=tuple(map(float, at[0])), low=low, high=high, cpu_s=cpu_s, refused=refused(found, task))


def refused(found: Any, task: Task) -> int:
    """Held-out runs that `keel fit` would not forecast; the benchmark judges them all the same."""
    most = max(run.flop for run in task.seen)
    count = 0
    for run in task.held:
        aim = Target(run.params, run.tokens, run.flop)
        far = too_far(found, math.log10(run.flop / most), aim)
        count += far is not None or refuse(task.seen, aim) is not None
    return count


def made_rows(num: int) -> tuple[Row, ...]:
    """Runs of a published law with .5 % of noise, sizes and tokens per param over wide ranges."""
    rng, law = np.random.default_rng(0), PUBLISHED[TIMED_LAW]
    n, ratio = 10 ** rng.uniform(6.5, 9.5, num), 10 ** rng.uniform(0.5, 2.5, num)
    loss = law.value(law.fixed, n, n * ratio)[0] * np.exp(0.005 * rng.standard_normal(num))
    runs = zip(n, n * ratio, 6 * n * n * ratio, loss)
    return tuple(Row(f"r{i}", *map(float, run)) for i, run in enumerate(runs))


def timed(num: int) -> list[float]:
    """CPU seconds of a fit to `num` made rows and one forecast with interval, by round (one round of a long one)."""
    rows, rounds, spent = made_rows(num), 3 if num <= SHORT_ROWS else 1, []
    target = [Row("target", 1e10, 2e11, 1.2e22, 1.0)]
    for _ in range(rounds):
        start = time.process_time()
        fitted(rows, "nats_per_token", target)
        spent.append(time.process_time() - start)
    return spent
