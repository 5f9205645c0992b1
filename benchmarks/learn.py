"""Learn what public ladders share, from all families and without each, and write src/keel/laws/learnt.json.

    python benchmarks/learn.py [--out FILE] [--width]      (--width: step 2 alone, with the constants that are there)

1. Constants: many combinations drawn once (SEED) from the stated levels are scored by the mean over families of
   log(MARE + 1 %) at gap10. Of each constant the level with the best mean score over all combinations is taken; of
   three levels the middle one, unless the best is better by more than a standard error (paired over families): eight
   families cannot tell finer. (The best single combination is chosen by luck: it forecasts a family it has not seen
   less well; decision 0004.)
2. Width: with these constants, the smallest factor on the interval with which the families cover 90 % on average and
   none of them less than 60 % at either split.
Both steps for each entry see its families only: the entry "gadre" has never seen Gadre's runs.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Callable, Sequence
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sets import FAMILIES, SPLITS, Set

from keel.laws import Row, Target
from keel.laws.ensemble import build, coordinates, data_of, fit_whole, weigh
from keel.laws.forecast import spread
from keel.laws.law import Floats
from keel.laws.learnt import FILE, Learnt, learnt

SEED, NUM_CHOICES = 4, 72
RANGES: dict[str, tuple[float, ...]] = {
    "tau": (0.01, 0.02, 0.04),
    "way": (0.7, 1.4, 2.8),
    "fade": (0.6, 0.9, 1.2),
    "floor_mean": (-0.4, -0.55, -0.7),
    "floor_sd": (0.2, 0.3),
    "rate_shift": (0.0, 0.2),
    "rate_sd": (0.15, 0.25),
}
MOST_SEEN, MOST_HELD = 150, 5
LEAST_SEEN = 6
LEVEL, LEAST_COVERED = 0.9, 0.6
OFFSET = 1.0  # per cent: errors well below it are alike


class Task(NamedTuple):
    """The rows to fit and the held-out rows of one set and split."""

    family: str
    split: str
    seen: tuple[Row, ...]
    held: tuple[Row, ...]
    unit: str


def thinned(rows: tuple[Row, ...], most: int) -> tuple[Row, ...]:
    """At most `most` rows, evenly over the order of compute."""
    if len(rows) <= most:
        return rows
    order = sorted(rows, key=lambda row: (row.flop, row.params, row.value))
    return tuple(order[int(i)] for i in np.linspace(0, len(order) - 1, most).round())


def tasks(sets: Sequence[Set]) -> list[Task]:
    """All sets at the two splits that are learnt from; a split that leaves under six runs teaches nothing."""
    found = []
    for one in sets:
        for split in ("gap10", "topC"):
            seen, held = SPLITS[split](one.rows)
            if len(seen) >= LEAST_SEEN:
                found.append(Task(one.family, split, thinned(seen, MOST_SEEN), thinned(held, MOST_HELD), one.unit))
    return found


def choices() -> list[Learnt]:
    """The constants to choose from, the same at every call."""
    rng = random.Random(SEED)
    return [Learnt(**{k: rng.choice(v) for k, v in RANGES.items()}, widen=1.0) for _ in range(NUM_CHOICES)]


def aimed(row: Row) -> Target:
    return Target(row.params, row.tokens, row.flop, row.unique_tokens)


def error(job: tuple[Task, Learnt]) -> float:
    """Log of the forecast's MARE in per cent, laws weighed by their evidence, no draws."""
    task, known = job
    misses = []
    for row in task.held:
        data = data_of(task.seen, task.unit, aimed(row), known)
        fits = [fit_whole(law, data) for law in data.laws]
        x = np.log(coordinates([row])) - data.frame.centre
        logs = [float(law.curve(found.theta, x)[0][0, 0]) for law, found in zip(data.laws, fits)]
        misses.append(abs(math.exp(float(weigh(fits, data) @ logs) + data.frame.log_value) / row.value - 1))
    return math.log(100 * float(np.mean(misses)) + OFFSET)


def stretch(job: tuple[Task, Learnt]) -> list[float]:
    """By how much the 90 % interval of each held-out row must be stretched to reach what was measured."""
    task, known = job
    found = []
    for row in task.held:
        made = build(task.seen, task.unit, aimed(row), known=known)
        value, low, high = (np.log(z) for z in spread(made, coordinates([row]), LEVEL)[:3])
        off = math.log(row.value) - float(value[0])
        found.append(off / float((high if off > 0 else low)[0] - value[0]))
    return found


def by_family(tasks: Sequence[Task], scores: Sequence[float], families: frozenset[str]) -> Floats:
    """For each family, in order of name, the mean over its sets."""
    of = [[score for task, score in zip(tasks, scores) if task.family == name] for name in sorted(families)]
    return np.array([np.mean(group) for group in of])


def best_levels(tried: Sequence[Learnt], scores: Floats) -> Learnt:
    """Of each constant, the best level or the middle one (see above); scores [combination, family]."""
    chosen = {}
    for name, levels in RANGES.items():
        each = [scores[[getattr(known, name) == level for known in tried]].mean(0) for level in levels]
        best, middle = int(np.argmin([of.mean() for of in each])), len(levels) // 2
        gain = each[middle] - each[best]
        unsure = len(levels) == 3 and gain.mean() <= gain.std(ddof=1) / math.sqrt(len(gain))
        chosen[name] = levels[middle if unsure else best]
    return Learnt(**chosen, widen=1.0)


def factor(tasks: Sequence[Task], needed: Sequence[Sequence[float]], families: frozenset[str]) -> float:
    """The smallest stretch that covers 90 % on average over families, and 60 % of each at each split."""
    groups: dict[tuple[str, str], list[float]] = {}
    for task, ratios in zip(tasks, needed):
        if task.family in families:
            groups.setdefault((task.family, task.split), []).extend(ratios)
    for tried in np.arange(0.3, 4.0, 0.01):
        covered = [float(np.mean(np.array(ratios) <= tried)) for ratios in groups.values()]
        if np.mean(covered) >= LEVEL and min(covered) >= LEAST_COVERED:
            return round(float(tried), 2)
    raise SystemExit("no factor below 4 covers the families: the interval is wrong")


def mapped(pool: Any, work: Callable[[Any], Any], jobs: Sequence[Any], what: str) -> list[Any]:
    """Results in order, with a line now and then."""
    found = []
    for at, result in enumerate(pool.imap(work, jobs, chunksize=1), 1):
        found.append(result)
        if at % max(1, len(jobs) // 20) == 0:
            print(f"  {what} {at}/{len(jobs)}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--width", action="store_true", help="learn the factor anew, keep the constants")
    asked = parser.parse_args()
    every = frozenset(FAMILIES)
    subsets = {"all": every, **{family: every - {family} for family in FAMILIES}}
    found, tried = tasks([one for load in FAMILIES.values() for one in load()]), choices()
    far = [task for task in found if task.split == "gap10"]
    with Pool(2) as pool:
        if asked.width:
            best = {name: learnt("" if name == "all" else name)._replace(widen=1.0) for name in subsets}
        else:
            flat = mapped(pool, error, [(task, known) for known in tried for task in far], "constants")
            scores = np.array(flat).reshape(len(tried), len(far))
            best = {
                name: best_levels(tried, np.array([by_family(far, row, families) for row in scores]))
                for name, families in subsets.items()
            }
        used = list(dict.fromkeys(best.values()))
        left = mapped(pool, error, [(task, known) for known in used for task in far], "chosen")
        needed = mapped(pool, stretch, [(task, known) for known in used for task in found], "width")
    entries = {}
    for name, families in subsets.items():
        at = used.index(best[name])
        widen = factor(found, needed[at * len(found) : (at + 1) * len(found)], families)
        values = best[name]._replace(widen=widen)
        entries[name] = {"families": sorted(families), "values": values._asdict()}
        of = left[at * len(far) : (at + 1) * len(far)]
        unseen = "" if name == "all" else f", unseen {by_family(far, of, frozenset([name])).mean():.3f}"
        print(name, values, f"score {by_family(far, of, families).mean():.3f}{unseen}")
    asked.out.write_text(json.dumps({"made_by": "benchmarks/learn.py", "entries": entries}, indent=1) + "\n")


if __name__ == "__main__":
    main()
