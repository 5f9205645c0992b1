"""The fit for notebooks and scripts: `keel.fit(table, **columns)` -> a `Fit` that forecasts, explains, draws itself.

The same rooms as the command `keel fit`, joined for Python: tables in memory, arrays of targets, figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from keel.errors import Problem, Refusal, Refused, StudyError, nearest
from keel.files import write_json
from keel.laws import refuse, show
from keel.laws.columns import Asked
from keel.laws.diagnose import diagnosis
from keel.laws.ensemble import Ensemble, build, far_off
from keel.laws.forecast import Forecast, check_level, flop_of, forecast_from
from keel.laws.forecasts import Fits, Forecasts, aimed, forecasts_from
from keel.laws.law import Row, Target, epochs_of
from keel.laws.leverage import Leverage, leverage
from keel.laws.table import Table, read
from keel.laws.verb import FIT, fit_json
from keel.units import parse_count

if TYPE_CHECKING:
    from keel.report.drawn import Drawn

OPTIONS = ("hold_out", "level")
MOST_NAMED = 5
FLAG = re.compile(r"--([a-z][a-z-]*)( COL\b)?")


class Constant(NamedTuple):
    """A constant of a law's printed formula, with its interval."""

    value: float
    low: float
    high: float


class FittedLaw(NamedTuple):
    """A law as it was fitted: weight in the mixture, constants, RMS miss of hidden larger runs (None: not tested)."""

    name: str
    formula: str
    weight: float
    backtest_error: float | None
    constants: Mapping[str, Constant]
    source: str


def fit(table: Any, *, hold_out: Iterable[str] = (), level: float = 0.9, **columns: Any) -> Fit:
    """Fit every scaling law to a table of runs.

    `table`: a path (anything that `keel fit` reads), a data frame, a dict of columns or a list of dicts. `columns` say
    what cannot be seen by name: params="N", tokens="D:B", loss="val", flop=, unique=, unit="nats_per_token",
    params_count="body", where="set=c4" ... `hold_out` names runs that the fit must not see (their ids): the figures
    show them beside their forecasts. `level` is that of every interval not asked for at another.

    Raises:
        StudyError: the table cannot be used as it is, or a keyword is none; every problem at once.
        Refused: the runs carry no honest fit; `.refusal` says why and which run would help.

    Example:
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> runs = [{"N": n, "D": r * n, "val_loss": loss(n, r * n)}
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> found = fit(runs, params_count="total", unit="nats_per_token")
        >>> forecast = found.forecast(params=1e9, tokens=2e10)
        >>> forecast.low < loss(1e9, 2e10) < forecast.high
        True
        >>> found.forecast(params=[5e8, 1e9], tokens=2e10).value.shape
        (2,)
    """
    check_level(level)
    unknown = [name for name in columns if name not in Asked._fields]
    if unknown:
        known = (*Asked._fields, *OPTIONS)
        raise StudyError.all(
            Problem(f"{name} is no keyword of keel.fit", nearest(name, known), "write it so, or leave it out")
            for name in unknown
        )
    try:
        seen = read(table, columns)
    except StudyError as error:
        raise StudyError.all(_python(problem) for problem in error.problems) from error
    held = _held(seen, [hold_out] if isinstance(hold_out, str) else hold_out)
    rows = [row for row in seen.rows if row.id not in held]
    if not rows:
        raise StudyError("every run is held out", why="none is left to fit", fix="hold out fewer runs")
    largest = max(rows, key=lambda row: row.flop)
    refusal = refuse.refuse(rows, Target(largest.params, largest.tokens, largest.flop), seen.unit)
    if refusal is not None:
        raise Refused(refusal)
    return Fit(table=seen, ensemble=build(rows, seen.unit), held_out=held, level=level)


def _held(table: Table, names: Iterable[str]) -> frozenset[str]:
    held, known = frozenset(str(name) for name in names), sorted({row.id for row in table.rows})
    if wrong := sorted(held - {*known}):
        close = {name: get_close_matches(name, known, n=1) or known[:MOST_NAMED] for name in wrong}
        raise StudyError.all(Problem(f"no run is called {name!r}", f"there are {', '.join(close[name])} and others",
                                     "name runs of the table", "hold_out") for name in wrong)  # fmt: skip
    return held


def _python(problem: Problem) -> Problem:
    """A flag of the command as the keyword it is here: --loss COL -> loss="COL"."""
    words = (FLAG.sub(_keyword, text) for text in problem)
    return Problem(*words)


def _keyword(flag: re.Match[str]) -> str:
    name = flag[1].replace("-", "_")
    return f'{name}="COL"' if flag[2] else name if name in Asked._fields else flag[0]


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
        return (*map(_python, self.table.notes), *left_out)

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
        return refusal or forecast_from(
            aimed(self.ensemble.rows, self.ensemble.unit, aim, self.fits), aim, sure, self.table.flop_from
        )

    def optimum(self, compute: float | str, **limits: Any) -> dict[str, Any] | Refusal:
        """The best size and tokens for a budget of FLOP; `limits` as in `keel.laws.optimum`: unique_tokens=,
        most_epochs=, serving_tokens=, flop_per_token=, usd_per_flop=, level=.
        """
        from keel.laws.optimum import optimum

        flop = parse_count(compute, "compute")
        try:
            best = optimum(self.ensemble, flop, **({"level": self.level} | limits))
        except Refused as error:
            return error.refusal
        no = Refusal(f"no optimum at {flop:.3g} flop", "no law tells sizes apart here", "add runs of other sizes")
        return no if best is None else best

    def leverage(self, *, params: Any, tokens: Any, unique_tokens: Any = None, flop: Any = None) -> Leverage | Refusal:
        """Which runs decide the forecast of one target, the strongest first."""
        aim = _target(params, tokens, unique_tokens, flop)
        refusal = refuse.refuse(self.ensemble.rows, aim, self.ensemble.unit)
        if refusal is not None:
            return refusal
        point = (aim.params, aim.tokens, flop_of(self.ensemble.rows, aim), epochs_of(aim))
        return leverage(aimed(self.ensemble.rows, self.ensemble.unit, aim, self.fits), np.array(point))

    def figures(self, *forecasts: Forecast | Refusal) -> dict[str, Drawn]:
        """The figures by name; the map and the band reach as far as the forecasts given.

        Each has its numbers (`table()`), is an SVG (`svg()`, `save(path)`), and shows itself in a notebook.
        """
        from keel.report.fit_figures import figures

        return figures(self.json(*forecasts))

    def json(self, *forecasts: Forecast | Refusal) -> dict[str, Any]:
        """What fit.json holds, with these forecasts and all that the figures need."""
        made = [found for found in forecasts if isinstance(found, Forecast)]
        held = [row for row in self.rows if row.id in self.held_out]
        aims = [(found.params, found.tokens) for found in made]
        tree = fit_json(self.ensemble, self.table, self.held_out, made, None, self.level)
        return tree | {"diagnosis": diagnosis(self.ensemble, held, aims, self.level)}

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
