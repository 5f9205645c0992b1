"""What the figure of the tasks shows: score with interval against parameters, the baseline, the bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keel.report.drawn import Drawn
from keel.report.figures import Table
from keel.report.runs import Tree
from keel.report.words import clean, interval, number, plural
from keel.units import show_count


def uses_of(uses: Tree | None) -> tuple[Mapping[str, Any], ...]:
    """The use cases of use_cases.json."""
    found = (uses or {}).get("use_cases") or ()
    return tuple(use for use in found if isinstance(use, Mapping))


class Scored(NamedTuple):
    """A model on a task; `stands`: of its size it was trained longest."""

    run: str
    params: float
    value: float
    low: float
    high: float
    stands: bool
    chosen: bool


class Panel(NamedTuple):
    """One use case."""

    name: str
    metric: str
    scores: tuple[Scored, ...]
    baseline: float
    beside: str
    accept: float | None


@dataclass(frozen=True)
class TaskScores(Drawn):
    """Score on each task against the size of the model."""

    panels: tuple[Panel, ...]

    key = "tasks"
    title = "Score against size"
    caption = (
        "A panel a use case: the models trained longest of their size with their 95 % intervals, others as small dots, "
        "the model to choose as a diamond. The line is the baseline, which reads the same rows without any model; "
        "the dashed one is the bar that the study sets. Intervals are of one score each: a comparison of two models is "
        "made on the same rows, and is sharper."
    )

    @classmethod
    def of(cls, uses: Tree | None) -> TaskScores | None:
        """From use_cases.json; None where no model has a score."""
        panels = tuple(panel for use in uses_of(uses) if (panel := _panel(use)))
        return cls(panels) if panels else None

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        each = (
            f"{panel.name}: {panel.metric} of {plural(len(panel.scores), 'model')} from "
            f"{min(at.value for at in panel.scores):.3f} to {max(at.value for at in panel.scores):.3f}, "
            f"{panel.beside} {panel.baseline:.3f}"
            for panel in self.panels
        )
        return "; ".join(each) + "."

    def height_px(self, width: int) -> int:
        """Of one panel."""
        return 210

    def table(self) -> Table:
        """All scores."""
        rows = [
            (panel.name, at.run, show_count(at.params), f"{at.value:.4f}", interval(at.low, at.high, 4))
            for panel in self.panels for at in panel.scores
        ]  # fmt: skip
        return Table(("use case", "model", "params", "score", "interval"), tuple(rows))

    def _drawn(self, width: int) -> str:
        from keel.report.task_charts import draw

        return draw(self, width, self.height_px(width))


def _panel(use: Mapping[str, Any]) -> Panel | None:
    scores = []
    for row in use.get("models") or ():
        score = row.get("score") if isinstance(row, Mapping) else None
        found = [number(row, "params"), *(number(score, end) for end in ("value", "low", "high"))] if score else [None]
        if None not in found:
            params, value, low, high = (each or 0.0 for each in found)
            scores.append(Scored(clean(row.get("run")), params, value, low, high, bool(row.get("stands")),
                                 row.get("run") == use.get("chosen")))  # fmt: skip
    baseline = number(use, "baseline", "value")
    if not scores or baseline is None:
        return None
    beside = clean((use.get("baseline") or {}).get("name", ""))
    return Panel(clean(use.get("name")), clean(use.get("metric")), tuple(scores), baseline, beside,
                 number(use, "accept"))  # fmt: skip
