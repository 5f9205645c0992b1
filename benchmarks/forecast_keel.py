"""keel in the forecast benchmark: the one place that calls the engine, and the guard on what it has learnt.

`keel fit` fits anew for each target, because runs count for what they say about it. So does the benchmark, except
that held-out runs alike in what the fit depends on (tokens per param and epochs, within 10 %) share one fit.
"""

from __future__ import annotations

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
from keel.laws.law import Target, epochs_of
from keel.laws.learnt import families_behind, learnt
from keel.laws.published import PUBLISHED
from keel.laws.refuse import refuse, too_far

KEEL = "keel"
ALIKE = 0.1
SHORT_ROWS = 1000
TIMED_LAW = "chinchilla-besiroglu"


class Informed(RuntimeError):
    """A set informs its own test: the benchmark's numbers would mean nothing."""


def fitted(rows: Sequence[Row], unit: str, aim: Target, without: str = "") -> Any:
    """The ensemble that a forecast of `aim` comes from."""
    return build(rows, unit, aim, without=without)


def left_out(family: str) -> str:
    """What `build` must leave out: the family, or nothing where it was never among those learnt from."""
    return family if family in FAMILIES else ""


def guard(family: str, found: Any) -> None:
    """Nothing in the fit may have been learnt from `family`.

    Raises:
        Informed: it was, or it cannot be told.
    """
    without = left_out(family)
    behind = families_behind(without)
    if family in behind:
        raise Informed(f"what is learnt without {family} was learnt with it: {', '.join(sorted(behind))}")
    if unknown := behind - set(FAMILIES):
        raise Informed(f"learnt from {', '.join(sorted(unknown))}, of which sets.py knows no family of that name")
    if found.known != learnt(without):
        raise Informed(f"the fit of a set of {family} holds other constants than those learnt without {family}")


def aim_of(run: Row) -> Target:
    """A held-out run as a user would ask for it: no loss."""
    return Target(run.params, run.tokens, run.flop, run.unique_tokens)


def groups(held: Sequence[Row]) -> list[list[int]]:
    """Places of held-out runs that share one fit."""
    found: dict[tuple[int, int], list[int]] = {}
    for place, run in enumerate(held):
        ratio, epochs = math.log(run.tokens / run.params), math.log(epochs_of(run))
        found.setdefault((round(ratio / ALIKE), round(epochs / ALIKE)), []).append(place)
    return list(found.values())


def keel(task: Task) -> Guess:
    """keel's guess; on the clock are the fit and one forecast, the mean over fits."""
    ends = np.empty((len(LEVELS), 3, len(task.held)))
    spent, shy, alike = 0.0, 0, groups(task.held)
    for places in alike:
        runs = [task.held[place] for place in places]
        points, start = coordinates(runs), time.process_time()
        found = fitted(task.seen, task.unit, aim_of(runs[len(runs) // 2]), left_out(task.family))
        at = spread(found, points, LEVEL)
        spent += time.process_time() - start
        guard(task.family, found)
        for i, level in enumerate(LEVELS):
            ends[i][:, places] = (at if level == LEVEL else spread(found, points, level))[:3]
        shy += sum(refused(found, task.seen, aim_of(run)) for run in runs)
    value, low, high = (ends[:, side] for side in range(3))
    low, high = ({level: tuple(map(float, side[i])) for i, level in enumerate(LEVELS)} for side in (low, high))
    middle = tuple(map(float, value[LEVELS.index(LEVEL)]))
    return Guess(KEEL, value=middle, low=low, high=high, cpu_s=spent / len(alike), refused=shy)


def refused(found: Any, seen: Sequence[Row], aim: Target) -> bool:
    """Whether `keel fit` would not forecast it; the benchmark judges it all the same."""
    far = math.log10(float(aim.flop or 0.0) / max(run.flop for run in seen))
    return too_far(found, far, aim) is not None or refuse(seen, aim) is not None


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
    target = Target(1e10, 2e11, 1.2e22)
    for _ in range(rounds):
        start = time.process_time()
        spread(fitted(rows, "nats_per_token", target), np.array([[1e10, 2e11, 1.2e22, 1.0]]), LEVEL)
        spent.append(time.process_time() - start)
    return spent
