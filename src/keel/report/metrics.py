"""A run's `metrics.jsonl` -> its seal and a short training curve, in constant memory for any length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from keel.report.words import number


class Step(NamedTuple):
    """Mean of one or more logged steps."""

    tokens: float
    loss: float


@dataclass(frozen=True)
class Metrics:
    """What the page needs of a log: the sealed forecast's digest, the thinned curve, and what could not be read."""

    forecast_sha256: str | None = None
    curve: tuple[Step, ...] = ()
    steps: int = 0
    unreadable: int = 0
    not_finite: int = 0
    last: dict[str, Any] | None = None


def read(path: Path, most: int = 200) -> Metrics | None:
    """Read a log, thinned to `most` points; None where there is none.

    A run that was killed and resumed logs some steps twice: the later line counts. A torn line (the kill came in
    mid-write) is counted, and said on the page, never skipped in silence.
    """
    if not path.is_file():
        return None
    header: dict[str, Any] = {}
    last: dict[str, Any] | None = None
    steps: dict[float, Step] = {}
    unreadable = not_finite = 0
    for index, row in enumerate(_rows(path)):
        if row is None:
            unreadable += 1
        elif "step" not in row:
            header = header or row if index == 0 else header
        else:
            step, tokens, loss = number(row, "step"), number(row, "tokens"), number(row, "loss")
            last = row
            if step is None or tokens is None or loss is None:
                not_finite += 1
            else:
                steps[step] = Step(tokens, loss)
    seal = header.get("forecast_sha256")
    curve = thin(tuple(steps[key] for key in sorted(steps)), most)
    return Metrics(seal if isinstance(seal, str) else None, curve, len(steps), unreadable, not_finite, last)


def _rows(path: Path) -> Iterator[dict[str, Any] | None]:
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield row if isinstance(row, dict) else None


def thin(curve: tuple[Step, ...], most: int) -> tuple[Step, ...]:
    """At most `most` points: each the mean of its neighbours, so that no lucky step stands for many.

    Example:
        >>> thin((Step(1, 4.0), Step(2, 2.0), Step(3, 1.0)), 2)
        (Step(tokens=1.5, loss=3.0), Step(tokens=3.0, loss=1.0))
    """
    if len(curve) <= most:
        return curve
    size = -(-len(curve) // most)
    groups = [curve[start : start + size] for start in range(0, len(curve), size)]
    return tuple(
        Step(sum(step.tokens for step in group) / len(group), sum(step.loss for step in group) / len(group))
        for group in groups
    )
