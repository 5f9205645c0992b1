"""What a task found: measures with their intervals, the same of the baseline beside them, and whether there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.evaluate import intervals
from keel.evaluate.intervals import LEVEL, Interval

HEADROOM = 0.95
Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Result:
    """The first of `measures` decides unless said otherwise; `items` are its scores on the test rows, in order.

    `scores`: those of every measure that is a mean over rows; `groups` of the rows, and `labels` (true, given) where
    there are any: what paired comparisons need. `beside`: the same measures of the baseline. `over`: the first measure
    less the baseline's, on the same rows.
    """

    task: str
    measures: Mapping[str, Interval]
    items: Scores
    baseline: str
    beside: Mapping[str, Interval]
    over: Interval
    train: int
    test: int
    level: float = LEVEL
    notes: tuple[str, ...] = field(default=())
    scores: Mapping[str, Scores] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    labels: tuple[NDArray[np.str_], NDArray[np.str_]] | None = None

    @property
    def headroom(self) -> bool:
        """False where the baseline is over .95: the task cannot rank models."""
        return next(iter(self.beside.values())).value <= HEADROOM

    def json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "task": self.task, "level": self.level, "train": self.train, "test": self.test, "baseline": self.baseline,
            "measures": {name: found._asdict() for name, found in self.measures.items()},
            "beside": {name: found._asdict() for name, found in self.beside.items()},
            "over": self.over._asdict(), "headroom": self.headroom, "notes": list(self.notes),
            "items": [float(score) for score in self.items],
            "scores": {name: [float(score) for score in found] for name, found in self.scores.items()},
            "groups": _numbered(self.groups), "labels": self.labels and [each.tolist() for each in self.labels],
        }  # fmt: skip

    def __str__(self) -> str:
        lines = [f"{self.task}: {self.train} rows to learn from, {self.test} to be judged by, level {self.level:g}"]
        for name, found in self.measures.items():
            lines.append(f"  {name:<12} {found}   {self.baseline} {self.beside[name]}")
        lines.append(f"  over {self.baseline}: {self.over.value:+.3f} ({self.over.low:+.3f} to {self.over.high:+.3f})")
        lines += [f"  {note}" for note in ([] if self.headroom else [f"no head-room: {self.baseline} is over .95"])]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def _numbered(groups: Sequence[str]) -> list[int]:
    """Groups by the order in which they come: their names are the user's data, and say no more."""
    seen: dict[str, int] = {}
    return [seen.setdefault(name, len(seen)) for name in groups]


def compared(
    task: str, scores: Mapping[str, Scores], beside: Mapping[str, Scores], *, baseline: str, train: int,
    level: float = LEVEL, groups: Sequence[str] = (), notes: Sequence[str] = (),
) -> Result:  # fmt: skip
    """A result from the scores in [0, 1] of each measure on each test row (n,), the model's and the baseline's.

    Example:
        >>> found = compared("probe", {"accuracy": np.ones(50)}, {"accuracy": np.ones(50)}, baseline="words", train=9)
        >>> found.headroom, found.over.value
        (False, 0.0)
    """
    first = next(iter(scores))
    return Result(
        task=task, items=scores[first], baseline=baseline, train=train, test=len(scores[first]), level=level,
        measures={name: intervals.mean(found, level=level, groups=groups) for name, found in scores.items()},
        beside={name: intervals.mean(beside[name], level=level, groups=groups) for name in scores},
        over=intervals.mean(scores[first] - beside[first], level=level, groups=groups, ends=(-1.0, 1.0)),
        notes=tuple(notes), scores=dict(scores), groups=tuple(groups),
    )  # fmt: skip
