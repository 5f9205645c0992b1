"""What the forecast benchmark asks (a set and a split) and what a method answers. No method is known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sets import SPLITS, Set

from keel.laws import Row

LEVEL = 0.9
LEVELS = (0.5, 0.8, LEVEL, 0.95)
LEAST_SEEN = 6
PUBLISHED_SPLIT_OF = "gadre"


class Task(NamedTuple):
    """Rows to fit and rows held out; the held-out values are for scoring only."""

    name: str
    family: str
    unit: str
    split: str
    seen: tuple[Row, ...]
    held: tuple[Row, ...]

    @property
    def key(self) -> tuple[str, str]:
        return self.split, self.name


class Guess(NamedTuple):
    """One method's answer: values and intervals by level of the held-out runs, CPU seconds of fit and forecast.

    `status` is "ok", "failed" or "timed out"; `message` says why. A method without intervals has None. `refused`: how
    many of the held-out runs it would not forecast if it were asked one by one.
    """

    method: str
    status: str = "ok"
    message: str = ""
    value: tuple[float, ...] = ()
    low: Mapping[float, tuple[float, ...]] | None = None
    high: Mapping[float, tuple[float, ...]] | None = None
    cpu_s: float = 0.0
    refused: int = 0


def tasks_of(found: Set) -> tuple[list[Task], list[str]]:
    """The set's tasks, and a line for each split that it cannot carry."""
    tasks, skipped = [], []
    for split, cut in SPLITS.items():
        if split == "pub" and found.family != PUBLISHED_SPLIT_OF:
            continue
        seen, held = cut(found.rows)
        if len(seen) < LEAST_SEEN:
            skipped.append(f"no {split}: {found.name} has {len(seen)} rows to fit, {LEAST_SEEN} are needed")
        else:
            tasks.append(Task(found.name, found.family, found.unit, split, seen, held))
    return tasks, skipped


def gather(families: Mapping[str, Callable[[], list[Set]]]) -> tuple[list[Task], list[str]]:
    """All tasks of these families, and what was skipped."""
    both = [tasks_of(one) for load in families.values() for one in load()]
    return [task for tasks, _ in both for task in tasks], [line for _, lines in both for line in lines]
