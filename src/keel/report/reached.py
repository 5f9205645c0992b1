"""What the figure of bounded measures shows: accuracy or recall of each run against compute, and what was forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from keel.report.artefacts import Artefacts
from keel.report.bar import Bar, bar_of
from keel.report.drawn import Drawn
from keel.report.figures import Table
from keel.report.runs import Run, Tree
from keel.report.words import clean, interval, number, show_flop

MOST_PANELS = 4


class Spot(NamedTuple):
    """What a run reached of a measure."""

    run: str
    flop: float
    params: float | None
    value: float
    low: float
    high: float
    held_out: bool


class Floor(NamedTuple):
    """What is reached without looking at any image, and by what."""

    value: float
    words: str


class Panel(NamedTuple):
    """One measure."""

    name: str
    spots: tuple[Spot, ...]
    bars: tuple[Bar, ...]
    floor: Floor | None


@dataclass(frozen=True)
class Reached(Drawn):
    """The measures that a judge finds beside its value, against training compute."""

    panels: tuple[Panel, ...]

    key = "reached"
    title = "How often it is right"
    caption = (
        "Each run with its 95 % interval over what is held out; thin lines join runs of one size, the diamond is the "
        "held-out rung. The line is what is reached without looking at an image."
    )

    @classmethod
    def of(cls, found: Artefacts) -> Reached | None:
        """From the finished runs; None where their judge measures nothing beside."""
        runs = [run for run in found.runs if run.beside and run.flop and not run.is_trunk]
        panels = tuple(_panel(name, runs, found) for name in found.beside)[:MOST_PANELS]
        return cls(panels) if runs and panels else None

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        each = (
            f"{panel.name} from {min(at.value for at in panel.spots):.3f} to {max(at.value for at in panel.spots):.3f}"
            + (f", {panel.floor.words} {panel.floor.value:.3f}" if panel.floor else "")
            for panel in self.panels
        )
        return f"Against training compute on a log axis: {'; '.join(each)}."

    def height_px(self, width: int) -> int:
        """Of one panel."""
        return 240

    def table(self) -> Table:
        """All values, and the forecasts."""
        rows = [
            (at.run, panel.name, show_flop(at.flop), f"{at.value:.4f}", interval(at.low, at.high, 4))
            for panel in self.panels for at in panel.spots
        ]  # fmt: skip
        rows += [
            (bar.run, f"{panel.name}, forecast", show_flop(bar.flop), f"{bar.value:.4f}",
             interval(bar.low, bar.high, 4))
            for panel in self.panels for bar in panel.bars
        ]  # fmt: skip
        return Table(("run", "measure", "compute", "value", "interval"), tuple(rows))

    def _drawn(self, width: int) -> str:
        from keel.report.image_charts import draw

        return draw(self, width, self.height_px(width))


def _panel(name: str, runs: list[Run], found: Artefacts) -> Panel:
    spots = tuple(
        Spot(clean(run.id), run.flop or 0.0, run.params, each.value, each.low, each.high, run.held_out)
        for run in runs for each in run.beside if each.name == name
    )  # fmt: skip
    bars = tuple(bar for run in found.sealed if (bar := forecast_of(run, name)))
    return Panel(clean(name), tuple(sorted(spots, key=lambda at: at.flop)), bars, _floor(name, runs, found))


def forecast_of(run: Run, name: str) -> Bar | None:
    """The sealed forecast of a measure, and whether it held."""
    made, came = (_beside(tree, name) for tree in (run.forecast, run.score))
    return bar_of(run.id, {**made, "flop": run.flop}, came) if made else None


def _beside(tree: Tree | None, name: str) -> Tree | None:
    every = (tree or {}).get("beside")
    one = every.get(name) if isinstance(every, Mapping) else None
    return one if isinstance(one, Mapping) else None


def _floor(name: str, runs: list[Run], found: Artefacts) -> Floor | None:
    """Guessing, for measures of which that is known."""
    known = {"accuracy": _largest_class, "R@1": _one_of_all}
    guess = known.get(name.split(" of ")[0])
    return guess(runs, found) if guess else None


def _largest_class(runs: list[Run], found: Artefacts) -> Floor | None:
    each = ((found.images or {}).get("classes") or {}).get("each") or ()
    counts = [number(row, "heldout") or 0.0 for row in each if isinstance(row, Mapping)]
    return Floor(max(counts) / sum(counts), "the largest class alone") if any(counts) else None


def _one_of_all(runs: list[Run], found: Artefacts) -> Floor | None:
    candidates = number(runs[-1].result, "candidates")
    return Floor(1 / candidates, f"one of {candidates:,.0f} at random") if candidates else None
