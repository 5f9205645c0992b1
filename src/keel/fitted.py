"""A `Fit`: laws fitted to a table of runs, held so that it can forecast, explain and draw itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from keel.errors import Problem, Refusal, Refused, StudyError
from keel.files import write_json
from keel.laws import refuse, show
from keel.laws.design.next_run import NextRun, next_run
from keel.laws.diagnose import diagnosis
from keel.laws.ensemble import Ensemble, far_off
from keel.laws.forecast import Forecast, check_level, flop_of, forecast_from
from keel.laws.forecasts import Fits, Forecasts, aimed, forecasts_from
from keel.laws.law import Floats, Row, Target, epochs_of
from keel.laws.leverage import Leverage, leverage
from keel.laws.read.columns import Asked
from keel.laws.read.table import Table
from keel.laws.verb import FIT, MOST_NAMED, fit_json, thinning
from keel.units import parse_count

if TYPE_CHECKING:
    from keel.report.drawn import Drawn

FLAG = re.compile(r"--([a-z][a-z-]*)( COL\b)?")


class Constant(NamedTuple):
    """A constant of a law's printed formula, with its interval."""

    value: float
    low: float
    high: float


class Asking(NamedTuple):
    """A target and its coordinates [4]."""

    aim: Target
    point: Floats


class FittedLaw(NamedTuple):
    """A law as it was fitted: weight in the mixture, constants, RMS miss of hidden larger runs (None: not tested)."""

    name: str
    formula: str
    weight: float
    backtest_error: float | None
    constants: Mapping[str, Constant]
    source: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Fit:
    """Laws fitted to a table: forecasts, the optimum, what decided them, and pictures of all of it.

    `ensemble` is fitted for no one target: the laws, the optimum and the figures are its. A forecast has its own fit,
    kept in `fits`.
    """

    table: Table
    ensemble: Ensemble
    held_out: frozenset[str] = frozenset()
    level: float = 0.9
    fits: Fits = field(default_factory=dict)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table's runs, those held out too."""
        return self.table.rows

    @property
    def laws(self) -> tuple[FittedLaw, ...]:
        """Every law, the heaviest first, with its constants at `level`."""
        return tuple(
            FittedLaw(
                item["name"], item["formula"], item["weight"], item["backtest_error"],
                {name: Constant(**ends) for name, ends in item["params"].items()}, item["source"],
            )
            for item in self._tree["laws"]
        )  # fmt: skip

    @property
    def down_weighted(self) -> tuple[dict[str, str], ...]:
        """Runs that the laws do not believe ("id", "why"); they stay in the fit at a small weight."""
        return tuple(far_off(self.ensemble))

    @property
    def notes(self) -> tuple[Problem, ...]:
        """What a reader of this fit must know about the table."""
        left_out = (Problem(f"{item['id']} is not in the fit", item["why"], "mend it") for item in self.table.excluded)
        fitted = sum(row.id not in self.held_out for row in self.rows)
        fewer = thinning(len(self.ensemble.rows), fitted, self.table.source)
        return (*map(in_python, (*self.table.notes, *fewer)), *left_out)

    @overload
    def forecast(
        self, *, params: float | str, tokens: float | str, unique_tokens: float | str | None = None,
        flop: float | str | None = None, level: float | None = None,
    ) -> Forecast | Refusal: ...  # fmt: skip

    @overload
    def forecast(
        self, *, params: Any, tokens: Any, unique_tokens: Any = None, flop: Any = None, level: float | None = None
    ) -> Forecasts | Forecast | Refusal: ...

    def forecast(
        self, *, params: Any, tokens: Any, unique_tokens: Any = None, flop: Any = None, level: float | None = None
    ) -> Forecasts | Forecast | Refusal:
        """The loss of one run, with its interval; of many, where an array is given (then `Forecasts`).

        Without `flop`, training compute is counted as the rows count it; without `unique_tokens` no token repeats.
        One target may be written as people do: params="7B", tokens="4T".
        """
        sure = self.level if level is None else level
        check_level(sure)
        if any(np.ndim(value) for value in (params, tokens, unique_tokens, flop) if value is not None):
            return forecasts_from(self.ensemble, params, tokens, flop, unique_tokens, sure, self.fits)
        aim = _target(params, tokens, unique_tokens, flop)
        refusal = refuse.refuse(self.ensemble.rows, aim, self.ensemble.unit)
        return refusal or forecast_from(self._aimed(aim), aim, sure, self.table.flop_from)

    def optimum(self, compute: float | str, **limits: Any) -> dict[str, Any] | Refusal:
        """The best size and tokens for a budget of FLOP; `limits` as in `keel.laws.design.optimum`: unique_tokens=,
        most_epochs=, serving_tokens=, flop_per_token=, usd_per_flop=, level=.
        """
        from keel.laws.design.optimum import optimum

        flop = parse_count(compute, "compute")
        try:
            best = optimum(self.ensemble, flop, **({"level": self.level} | limits))
        except Refused as error:
            return error.refusal
        no = Refusal(f"no optimum at {flop:.3g} flop", "no law tells sizes apart here", "add runs of other sizes")
        return no if best is None else best

    def leverage(self, *, params: Any, tokens: Any, unique_tokens: Any = None, flop: Any = None) -> Leverage | Refusal:
        """Which runs decide the forecast of one target, the strongest first."""
        found = self._asked(params, tokens, unique_tokens, flop)
        return found if isinstance(found, Refusal) else leverage(self._aimed(found.aim), found.point)

    def next_run(
        self, *, params: Any, tokens: Any, unique_tokens: Any = None, flop: Any = None,
        most_flop: float | str | None = None, level: float | None = None,
    ) -> list[NextRun] | Refusal:  # fmt: skip
        """Which run to pay for next, to narrow the forecast of one target: candidates, the best first.

        `most_flop` is the most that it may cost (a tenth of the target's compute where nothing is said).
        """
        found = self._asked(params, tokens, unique_tokens, flop)
        if isinstance(found, Refusal):
            return found
        most = None if most_flop is None else parse_count(most_flop, "most_flop")
        sure = self.level if level is None else level
        return next_run(self._aimed(found.aim), found.point, most_flop=most, level=sure)

    def _asked(self, params: Any, tokens: Any, unique_tokens: Any, flop: Any) -> Asking | Refusal:
        aim = _target(params, tokens, unique_tokens, flop)
        rows = self.ensemble.rows
        refusal = refuse.refuse(rows, aim, self.ensemble.unit)
        point = (aim.params, aim.tokens, 0.0 if refusal else flop_of(rows, aim), epochs_of(aim))
        return refusal or Asking(aim, np.array(point))

    def _aimed(self, aim: Target) -> Ensemble:
        return aimed(self.ensemble.rows, self.ensemble.unit, aim, self.fits)

    def figures(self, *forecasts: Forecast | Refusal) -> dict[str, Drawn]:
        """The figures by name; the map and the band reach as far as the forecasts given.

        Each has its numbers (`table()`), is an SVG (`svg()`, `save(path)`), and shows itself in a notebook.
        """
        from keel.report.fit_figures import figures

        return figures(self.json(*forecasts))

    def json(self, *forecasts: Forecast | Refusal) -> dict[str, Any]:
        """What fit.json holds, with these forecasts and all that the figures need.

        Laws, rows and curve are those of the fit for the first forecast; without one, of the fit for no one target.
        """
        made = [found for found in forecasts if isinstance(found, Forecast)]
        held = [row for row in self.rows if row.id in self.held_out]
        aims = [(found.params, found.tokens) for found in made]
        lead = self.ensemble
        if made:
            first = made[0]
            lead = self._aimed(Target(first.params, first.tokens, first.flop, first.tokens / first.epochs))
        tree = fit_json(lead, self.table, self.held_out, made, None, self.level)
        if made:
            point = np.array([made[0].params, made[0].tokens, made[0].flop, made[0].epochs])
            tree["leverage"] = [item._asdict() for item in leverage(lead, point).runs[:MOST_NAMED]]
        return tree | {"diagnosis": diagnosis(lead, held, aims, self.level)}

    def save(self, path: str | Path, *forecasts: Forecast | Refusal) -> None:
        """Write fit.json."""
        write_json(Path(path), FIT, self.json(*forecasts))

    def html(self, *forecasts: Forecast | Refusal) -> str:
        """One page that needs nothing else: laws, figures, forecasts."""
        from keel.report.fit_page import document

        return document(self.json(*forecasts), self.table.source, self.notes)

    @cached_property
    def _tree(self) -> dict[str, Any]:
        return fit_json(self.ensemble, self.table, self.held_out, [], None, self.level)

    def __str__(self) -> str:
        notes = [f"  {note}" for note in self.notes]
        return "\n".join([show.text(self._tree, self.table, self.level), *(["\n[[Notes]]", *notes] if notes else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from keel.report.fit_page import summary

        return summary(self._tree, self.notes)


def _target(params: Any, tokens: Any, unique_tokens: Any, flop: Any) -> Target:
    """One run to forecast, from numbers or words.

    Raises:
        StudyError: every value that is no count.
    """
    given = {"params": params, "tokens": tokens, "unique_tokens": unique_tokens, "flop": flop}
    found: dict[str, float] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        try:
            needed = value is not None or name in ("params", "tokens")
            found.update({name: float(parse_count(value, name))} if needed else {})
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError.all(problems)
    return Target(**found)


def in_python(problem: Problem) -> Problem:
    """A flag of the command as the keyword it is here: --loss COL -> loss="COL"."""
    words = (FLAG.sub(_keyword, text) for text in problem)
    return Problem(*words)


def _keyword(flag: re.Match[str]) -> str:
    name = flag[1].replace("-", "_")
    return f'{name}="COL"' if flag[2] else name if name in Asked._fields else flag[0]
