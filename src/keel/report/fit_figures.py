"""What each figure of a fit shows, as data read off fit.json's tree: any table's fit, a study's or a notebook's.

A figure holds its numbers, says them as a `table`, and draws itself when asked (fit_charts.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from keel.report.bar import Bar, bar_of
from keel.report.drawn import Drawn
from keel.report.figures import Place, Table
from keel.report.fitted import Measured, Tree, drawn_words, items, runs_of, targets_of, unit_of
from keel.report.law_figures import Backtest, Correlations
from keel.report.words import interval, number, percent, plural, show_flop
from keel.units import show_count


def figures(fitted: Tree) -> dict[str, Drawn]:
    """Every figure that the fit has data for: "loss", "map", "residuals", "correlations", "backtest"."""
    made: dict[str, Drawn | None] = {
        "loss": FitLoss.of(fitted), "map": LossMap.of(fitted), "residuals": Residuals.of(fitted),
        "correlations": Correlations.of(fitted), "backtest": Backtest.of(fitted),
    }  # fmt: skip
    return {name: figure for name, figure in made.items() if figure is not None}


@dataclass(frozen=True)
class FitLoss(Drawn):
    """Loss against training compute: the runs, the laws' band along their path, what was held out, what is forecast."""

    unit: str
    level: float
    runs: tuple[Measured, ...]
    band: tuple[Place, ...]
    held: tuple[Bar, ...]
    targets: tuple[Bar, ...]

    key = "loss"
    title = "Loss against compute"
    caption = (
        "Thin lines join runs of one size. The band is the forecast along the runs' mean path in params and tokens: "
        "runs off that path lie off its line too. Held-out runs stand beside their own interval."
    )

    @classmethod
    def of(cls, fitted: Tree) -> FitLoss | None:
        """From fit.json's tree; None without runs."""
        runs = runs_of(fitted)
        places = [Place(*(number(at, key) or 0.0 for key in Place._fields)) for at in items(fitted, "curve")]
        held = [bar_of(str(item.get("id")), item, item) for item in items(fitted, "diagnosis", "held_out")]
        measured = {(round(run.params), round(run.tokens)) for run in runs if run.held_out}
        targets = tuple(bar for bar, n, d in targets_of(fitted) if (round(n), round(d)) not in measured)
        level = number(fitted, "level") or 0.0
        made = cls(unit_of(fitted), level, runs, tuple(sorted(places)), tuple(bar for bar in held if bar), targets)
        return made if runs else None

    @property
    def without_forecast(self) -> tuple[Measured, ...]:
        """Held-out runs that the fit refuses to forecast."""
        known = {bar.run for bar in self.held}
        return tuple(run for run in self.runs if run.held_out and run.run not in known)

    @property
    def note(self) -> str:
        """How many runs are drawn, where not all are."""
        return drawn_words(self.runs)

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        said = f"{self.unit} of {plural(len(self.runs), 'run')} against training compute on a log axis, with the fitted"
        said += f" laws' {percent(self.level)} band"
        if self.held:
            said += (
                f"; {sum(bool(bar.hit) for bar in self.held)} of {len(self.held)} held-out runs lie in their interval"
            )
        return f"{said}; {plural(len(self.targets), 'forecast')}." if self.targets else f"{said}."

    def table(self) -> Table:
        """All runs, held-out forecasts, targets and the band."""
        rows = [(run.run, show_flop(run.flop), f"{run.value:.4g}", "", run.what) for run in self.runs]
        for bar in (*self.held, *self.targets):
            seen = f"{bar.measured:.{bar.digits}f}" if bar.measured is not None else ""
            rows.append((bar.run, show_flop(bar.flop), seen, bar.forecast_words, f"forecast, {bar.outcome_words}"))
        for at in self.band:
            ends = f"{at.value:.4f} ({interval(at.low, at.high, 4)})"
            rows.append(("", show_flop(at.flop), "", ends, "laws along the path"))
        return Table(("run", "compute", f"measured {self.unit}", "forecast", "what"), tuple(rows))


class Line(NamedTuple):
    """Sizes and tokens of equal loss."""

    value: float
    points: tuple[tuple[float, float], ...]


class Best(NamedTuple):
    """The compute-optimal run at one budget; `low` to `high` = interval of its size."""

    flop: float
    params: float
    low: float
    high: float
    tokens: float


@dataclass(frozen=True)
class LossMap(Drawn):
    """Lines of equal loss over params and tokens, the runs on them, and the compute-optimal path."""

    unit: str
    level: float
    lines: tuple[Line, ...]
    path: tuple[Best, ...]
    runs: tuple[Measured, ...]
    targets: tuple[tuple[float, float], ...]

    key = "map"
    title = "Loss over size and tokens"
    caption = (
        "Along a grey line the laws give equal loss. The blue path is the best size for each budget of compute, with "
        "the interval of that size; every token counts as seen once."
    )

    @classmethod
    def of(cls, fitted: Tree) -> LossMap | None:
        """From fit.json's tree; None without a map."""
        lines = []
        for item in items(fitted, "diagnosis", "map", "lines"):
            value, points = number(item, "value"), zip(item.get("params") or (), item.get("tokens") or ())
            if value is not None:
                lines.append(Line(value, tuple((float(n), float(d)) for n, d in points)))
        path = [
            Best(*(number(at, key) or 0.0 for key in Best._fields)) for at in items(fitted, "diagnosis", "map", "path")
        ]
        aims = tuple((params, tokens) for _, params, tokens in targets_of(fitted))
        made = cls(unit_of(fitted), number(fitted, "level") or 0.0, tuple(lines), tuple(path), runs_of(fitted), aims)
        return made if lines else None

    @property
    def note(self) -> str:
        """How many runs are drawn, where not all are."""
        return drawn_words(self.runs)

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        said = f"Lines of equal {self.unit} over params and tokens on log axes, with {plural(len(self.runs), 'run')}"
        if not self.path:
            return f"{said}; no law in use tells sizes apart, so there is no compute-optimal path."
        ends = (self.path[0], self.path[-1])
        ratio = " to ".join(f"{best.tokens / best.params:.3g}" for best in ends)
        return f"{said}; along the compute-optimal path tokens per param go from {ratio}."

    def table(self) -> Table:
        """The path, then where each line begins and ends."""
        rows = [
            (show_flop(best.flop), show_count(best.params), f"{show_count(best.low)} to {show_count(best.high)}",
             show_count(best.tokens), "compute-optimal")
            for best in self.path
        ]  # fmt: skip
        for line in self.lines:
            for n, d in (line.points[0], line.points[-1]):
                rows.append(("", show_count(n), "", show_count(d), f"{self.unit} {line.value:.4g}"))
        return Table(("compute", "params", f"interval, {percent(self.level)}", "tokens", "what"), tuple(rows))


@dataclass(frozen=True)
class Residuals(Drawn):
    """Measured over fitted minus one, against params, tokens and compute."""

    runs: tuple[Measured, ...]

    key = "residuals"
    title = "Residuals of the fit"
    caption = (
        "Distance of each run from the weighted laws. A slope or a bend in a panel is something that the laws do not "
        "follow. Diamonds were held out until they were forecast; open circles are runs that the laws do not believe."
    )

    @classmethod
    def of(cls, fitted: Tree, late: frozenset[str] = frozenset()) -> Residuals | None:
        """From fit.json's tree; None without runs. `late` are runs that were forecast before they were fitted."""
        runs = tuple(run._replace(late=run.run in late and not run.held_out) for run in runs_of(fitted))
        return cls(runs) if runs else None

    def height_px(self, width: int) -> int:
        """Of one panel."""
        return 230 if width > 500 else 120

    @property
    def note(self) -> str:
        """How many runs are drawn, where not all are."""
        return drawn_words(self.runs)

    @property
    def worst(self) -> float:
        """The largest error, either way."""
        return max(abs(run.error) for run in self.runs)

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        said = (
            f"Relative error of the fitted laws against params, tokens and compute for {plural(len(self.runs), 'run')}"
        )
        return f"{said}; the largest is {percent(self.worst)}."

    def table(self) -> Table:
        """All residuals."""
        rows = [
            (run.run, show_count(run.params), show_count(run.tokens), show_flop(run.flop), f"{100 * run.error:+.2f} %",
             run.what)
            for run in self.runs
        ]  # fmt: skip
        return Table(("run", "params", "tokens", "compute", "measured / fitted - 1", "what"), tuple(rows))
