"""What each figure shows, as data built from artefacts; `charts` draws it, `table` says it in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from keel.report.artefacts import Artefacts
from keel.report.bar import Bar, bar_of, label
from keel.report.metrics import Step
from keel.report.runs import Tree
from keel.report.words import change, clean, interval, number, percent, plural, show_flop
from keel.units import show_count


class Table(NamedTuple):
    """A figure's numbers, as text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Figure(Protocol):
    """What every figure can say about itself."""

    @property
    def title(self) -> str: ...
    @property
    def desc(self) -> str: ...
    def table(self) -> Table: ...


class Dot(NamedTuple):
    """A measured run; `seen` = the forecast saw it."""

    run: str
    flop: float
    value: float
    params: float | None
    seen: bool


class Place(NamedTuple):
    """The fitted law at one compute along the ladder's path."""

    flop: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LossCompute:
    """The judge's measure against training compute: runs, the law's band, the sealed forecast and its outcome."""

    dots: tuple[Dot, ...]
    band: tuple[Place, ...]
    bar: Bar | None
    further: tuple[Bar, ...] = ()
    measure: str = "bits per byte"

    title = "Loss against compute"

    @classmethod
    def from_(cls, found: Artefacts) -> LossCompute | None:
        """From all artefacts; None where there is nothing to draw."""
        target = found.target
        bar = bar_of(target.id, target.forecast, target.score) if target else None
        items = target.forecast.get("runs_seen") or () if target and target.forecast else ()
        seen = {str(item.get("id")) for item in items if isinstance(item, Mapping)}
        dots = _dots(found, seen, target.id if target else None)
        further = tuple(made for item in found.further if (made := bar_of("", item, item)))
        figure = cls(dots, _band(found.fit), bar, further, found.measure)
        return figure if dots or bar else None

    @property
    def level(self) -> float | None:
        """The interval's level."""
        return self.bar.level or None if self.bar else None

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        said = f"{plural(len(self.dots), 'run')} of measured {self.measure} against training compute on a log axis"
        if self.band:
            said += ", with the fitted law and its band"
        if self.bar is None:
            return said + "."
        return f"{said}. The sealed forecast at {show_flop(self.bar.flop)} is {self.bar.forecast_words}; " + (
            f"measured {self.bar.outcome_words}." if self.bar.measured is not None else "it is not measured yet."
        )

    def table(self) -> Table:
        """All points and the band."""
        digits = 4
        rows = [
            (dot.run, show_flop(dot.flop), f"{dot.value:.{digits}f}", "seen by the forecast" if dot.seen else "run")
            for dot in self.dots
        ]
        if self.bar:
            bar = self.bar
            ends = f"{bar.value:.{digits}f} ({interval(bar.low, bar.high, digits)})"
            rows.append((bar.run, show_flop(bar.flop), ends, f"sealed forecast, {percent(bar.level)}"))
            if bar.measured is not None:
                rows.append((bar.run, show_flop(bar.flop), f"{bar.measured:.{digits}f}", bar.outcome_words))
        for bar in self.further:
            ends = f"{bar.value:.{digits}f} ({interval(bar.low, bar.high, digits)})"
            rows.append(("", show_flop(bar.flop), ends, f"forecast, {percent(bar.level)}, {bar.outcome_words}"))
        for at in self.band:
            ends = f"{at.value:.{digits}f} ({interval(at.low, at.high, digits)})"
            rows.append(("", show_flop(at.flop), ends, "fitted law and band"))
        return Table(("run", "compute", self.measure, "what"), tuple(rows))


def _dots(found: Artefacts, seen: set[str], target: str | None) -> tuple[Dot, ...]:
    """The fit's rows; before a fit, the finished runs (a trunk only where nothing else is there)."""
    dots = []
    for row in (found.fit or {}).get("rows") or ():
        flop, value = number(row, "flop"), number(row, "value")
        if flop is not None and value is not None and str(row.get("id")) != target:
            name = str(row.get("id"))
            dots.append(Dot(clean(name), flop, value, number(row, "params"), name in seen))
    if dots:
        return tuple(sorted(dots, key=lambda dot: dot.flop))
    done = [run for run in found.runs if run.value is not None and run.id != target]
    done = [run for run in done if not run.is_trunk] or done
    dots = [
        Dot(clean(run.id), run.flop, run.value, run.params, run.id in seen) for run in done if run.flop and run.value
    ]
    return tuple(sorted(dots, key=lambda dot: dot.flop))


def _band(fit: Tree | None) -> tuple[Place, ...]:
    places = []
    for item in (fit or {}).get("curve") or ():
        flop, value, low, high = (number(item, key) for key in ("flop", "value", "low", "high"))
        if flop is not None and value is not None and low is not None and high is not None:
            places.append(Place(flop, value, low, high))
    return tuple(sorted(places))


class Curve(NamedTuple):
    """One run's training loss."""

    run: str
    group: str
    held_out: bool
    branch: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class TrainingCurves:
    """Training loss against tokens for every run with a log."""

    curves: tuple[Curve, ...]

    title = "Training loss against tokens"

    @classmethod
    def from_(cls, found: Artefacts) -> TrainingCurves | None:
        """From all logs; None where no run has one."""
        curves = [
            Curve(clean(run.id), run.name, run.held_out, run.planned.get("kind") == "branch", run.log.curve)
            for run in found.runs
            if run.log and run.log.curve
        ]
        return cls(tuple(curves)) if curves else None

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        return f"Training loss in nats per token against tokens for {plural(len(self.curves), 'run')}."

    def table(self) -> Table:
        """Where each curve ends."""
        rows = [
            (curve.run, show_count(curve.steps[-1].tokens), f"{curve.steps[0].loss:.4f}", f"{curve.steps[-1].loss:.4f}")
            for curve in self.curves
        ]
        return Table(("run", "tokens", "first loss", "last loss"), tuple(rows))


@dataclass(frozen=True)
class Record:
    """Every scored forecast: measured against the interval that was sealed before."""

    bars: tuple[Bar, ...]

    title = "Forecast against measured"

    @classmethod
    def from_(cls, found: Artefacts) -> Record | None:
        """From the scored runs; None where fewer than two forecasts are scored."""
        bars = tuple(bar for run in found.scored if (bar := bar_of(label(run), run.forecast, run.score)))
        return cls(bars) if len(bars) > 1 else None

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        said = "each row shows the interval and the measured value relative to the forecast"
        return f"{self.words} sealed forecasts held; {said}."

    @property
    def words(self) -> str:
        """The record: 4 of 5."""
        return f"{sum(bool(bar.hit) for bar in self.bars)} of {len(self.bars)}"

    def table(self) -> Table:
        """Every forecast and its outcome."""
        rows = [
            (bar.run, "hit" if bar.hit else "miss", f"{bar.measured:.{bar.digits}f}", bar.forecast_words,
             change(bar.measured / bar.value - 1), percent(bar.level))
            for bar in self.bars if bar.measured is not None
        ]  # fmt: skip
        return Table(("run", "outcome", "measured", "forecast", "error", "level"), tuple(rows))
