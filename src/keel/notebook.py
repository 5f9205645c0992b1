"""`keel.fit(table, **columns)`: the command `keel fit` for notebooks and scripts, on tables in memory too."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from keel.errors import Problem, Refused, StudyError, nearest
from keel.fitted import Fit, in_python
from keel.laws import refuse
from keel.laws.ensemble import build
from keel.laws.forecast import check_level
from keel.laws.law import Target
from keel.laws.read.columns import Asked
from keel.laws.read.table import Table, read
from keel.laws.verb import thinned

__all__ = ["Fit", "fit"]

OPTIONS = ("hold_out", "level")
MOST_NAMED = 5


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
        raise StudyError.all(in_python(problem) for problem in error.problems) from error
    held = _held(seen, [hold_out] if isinstance(hold_out, str) else hold_out)
    rows = [row for row in seen.rows if row.id not in held]
    if not rows:
        raise StudyError("every run is held out", why="none is left to fit", fix="hold out fewer runs")
    largest = max(rows, key=lambda row: row.flop)
    refusal = refuse.refuse(rows, Target(largest.params, largest.tokens, largest.flop), seen.unit)
    if refusal is not None:
        raise Refused(refusal)
    return Fit(table=seen, ensemble=build(thinned(rows), seen.unit), held_out=held, level=level)


def _held(table: Table, names: Iterable[str]) -> frozenset[str]:
    held, known = frozenset(str(name) for name in names), sorted({row.id for row in table.rows})
    if wrong := sorted(held - {*known}):
        close = {name: get_close_matches(name, known, n=1) or known[:MOST_NAMED] for name in wrong}
        raise StudyError.all(Problem(f"no run is called {name!r}", f"there are {', '.join(close[name])} and others",
                                     "name runs of the table", "hold_out") for name in wrong)  # fmt: skip
    return held
