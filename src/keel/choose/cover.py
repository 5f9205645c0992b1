"""The coverage matrix: use case x candidate, each cell with its strength and who says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from keel.catalog.rows import Model
from keel.choose.kind import WEAK
from keel.choose.kinds import KINDS, kind_of
from keel.choose.weights import Weighed


class Cell(NamedTuple):
    """How well a model serves a use case (1, .5, 0), why, and whose word it is."""

    case: str
    task: str
    strength: float
    why: str
    source: str


def row(model: Model, cases: Sequence[Weighed]) -> tuple[Cell, ...]:
    """One cell a use case."""
    kind = KINDS.get(kind_of(model))
    cells = []
    for item in cases:
        task = item.case.task
        cite = kind.cite(task) if kind else None
        cells.append(Cell(item.case.name, task, kind.serves(task) if kind else 0.0,
                          cite.why if cite else "no source says it serves", cite.source if cite else ""))  # fmt: skip
    return tuple(cells)


def share(cells: Sequence[Cell], cases: Sequence[Weighed]) -> float:
    """sum_i w_i s_i / sum_i w_i; 0 without use cases."""
    total = sum(item.weight for item in cases)
    return sum(item.weight * cell.strength for item, cell in zip(cases, cells)) / total if total else 0.0


def strengths(cells: Sequence[Cell]) -> dict[str, float]:
    """By use case: 1, .5 or 0."""
    return {cell.case: cell.strength for cell in cells}


def told(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """As data: what it covers and what it does not, each with its source."""
    words = {0.0: "no", WEAK: "weak", 1.0: "yes"}
    return [{"use_case": cell.case, "task": cell.task, "serves": words[cell.strength], "why": cell.why,
             "source": cell.source} for cell in cells]  # fmt: skip
