"""`keel fit`: a table of runs -> laws with weights, forecasts with intervals, fit.json; text in the manner of lmfit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keel.answer import Answer, Number
from keel.errors import Problem, Refused
from keel.files import write_json
from keel.laws import refuse, show
from keel.laws.beside.rates import rates, with_rates
from keel.laws.constants import constants
from keel.laws.design.next_run import next_run
from keel.laws.diagnose import diagnosis
from keel.laws.ensemble import Ensemble, coordinates, far_off
from keel.laws.forecast import Forecast, check_level, spread
from keel.laws.law import Floats, Row, Target
from keel.laws.leverage import leverage
from keel.laws.links import link_of
from keel.laws.read.table import Table, read
from keel.laws.targeted import targeted

FIT = "keel.fit/1"
NUM_CURVE, MOST_NAMED, MOST_ROWS = 40, 3, 20_000


def fit_table(
    source: Any,
    at: Sequence[Mapping[str, float]] = (),
    level: float = 0.9,
    columns: Mapping[str, Any] | None = None,
    out: Path | None = None,
    diagnosed: bool = False,
    next_too: bool = False,
) -> Answer:
    """Fit every law to the runs in `source` (what `table.read` takes) and forecast each target of `at`.

    A target is {"params", "tokens"}, perhaps with "flop" and "unique_tokens", or {"compute"}.

    Runs of a study that were held out for a sealed forecast are not fitted when one of them is itself a target.
    What the figures need is worked out for a file (`out`), or where `diagnosed` asks for it; the next run to pay for
    where `next_too` does. Laws, rows and curve are those of the fit for the first forecast.

    Raises:
        StudyError: the table cannot be used as it is.
        Refused: no honest fit, or no target has an honest forecast.
    """
    check_level(level)
    table = read(source, columns)
    held = _held_out(table, at)
    rows = [row for row in table.rows if row.id not in held]
    largest = max(rows or table.rows, key=lambda row: row.flop)
    refusal = refuse.refuse(rows, Target(largest.params, largest.tokens, largest.flop), table.unit)
    if refusal is not None:  # in the words of what was asked
        named = [Target(aim["params"], aim["tokens"]) for aim in at if "params" in aim]
        raise Refused((refuse.refuse(rows, named[0], table.unit) if named else None) or refusal)
    used = thinned(rows)
    best, forecasts, refusals, ensemble, _ = targeted(used, table.unit, at, level, table.flop_from)
    if at and not forecasts:
        raise Refused(refusals[0])
    rated, doubts = rates(used, table.unit, forecasts, level)
    fitted = with_rates(fit_json(ensemble, table, held, forecasts, best, level), rated)
    if forecasts:
        fitted["leverage"] = _leverage(ensemble, forecasts[0])
        fitted["next"] = _next(ensemble, forecasts[0], level) if next_too else None
    if diagnosed or out is not None:
        apart, aims = [row for row in table.rows if row.id in held], [(f.params, f.tokens) for f in forecasts]
        fitted["diagnosis"] = diagnosis(ensemble, apart, aims, level)
    problems = [
        *table.notes,
        *thinning(len(used), len(rows), table.source),
        *(Problem(r.what, r.why, r.fix, table.source) for r in (*refusals, *doubts)),
    ]
    problems += [Problem(f"{e['id']} is not in the fit", e["why"], "mend it and run it again") for e in table.excluded]
    answer = Answer(
        result=result_json(fitted, table), text=show.text(fitted, table, level), problems=problems,
        reads=[table.source], numbers=[_number(found, table) for found in forecasts], artefact=fitted,
    )  # fmt: skip
    if out is not None:
        target = out / "fit.json" if out.is_dir() else out
        write_json(target, FIT, fitted)
        answer.writes.append(str(target))
    return answer


def _held_out(table: Table, at: Sequence[Mapping[str, float]]) -> frozenset[str]:
    """The sealed runs, if one of them is asked for; else none: a farther target may learn from all."""
    asked = any(_same(row, aim) for row in table.rows if row.id in table.held_out for aim in at)
    return table.held_out if asked else frozenset()


def _same(row: Row, aim: Mapping[str, float]) -> bool:
    near = [abs(getattr(row, key) / aim[key] - 1) < 1e-3 for key in ("params", "tokens") if aim.get(key)]
    return len(near) == 2 and all(near)


def thinned(rows: Sequence[Row]) -> Sequence[Row]:
    """At most MOST_ROWS rows, evenly over the order of compute: more say nothing more and cost as much again."""
    if len(rows) <= MOST_ROWS:
        return rows
    order = sorted(rows, key=lambda row: (row.flop, row.params, row.value))
    return [order[int(at)] for at in np.linspace(0, len(order) - 1, MOST_ROWS).round()]


def thinning(used: int, num: int, where: str) -> list[Problem]:
    """What a reader must know where not all rows are fitted."""
    if used == num:
        return []
    return [Problem(f"{used:,} of {num:,} rows are fitted", "evenly over the order of compute: the rest say no more",
                    "keep the rows you want with --where to choose them yourself", where)]  # fmt: skip


def _leverage(ensemble: Ensemble, found: Forecast) -> list[dict[str, Any]] | None:
    """The runs that decide a forecast, the strongest first."""
    point = np.array([found.params, found.tokens, found.flop, found.epochs])
    return [item._asdict() for item in leverage(ensemble, point).runs[:MOST_NAMED]]


def _next(ensemble: Ensemble, found: Forecast, level: float) -> dict[str, Any] | None:
    """The run to pay for next, and the ones after it in order."""
    point = np.array([found.params, found.tokens, found.flop, found.epochs])
    runs = [run.json() for run in next_run(ensemble, point, level=level)[:MOST_NAMED]]
    return runs[0] | {"others": runs[1:]} if runs else None


def fit_json(
    ensemble: Ensemble, table: Table, held: frozenset[str], forecasts: Sequence[Forecast],
    best: dict[str, Any] | None, level: float, drawn: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """The content of fit.json (docs/design.md); its curve, the dearest part, only where it is `drawn`."""
    say = {id(row): float(s) for row, s in zip(ensemble.rows, ensemble.trust / ensemble.noise**2)}
    middle = fitted_values(ensemble, table.rows)
    rows = [
        {
            "id": row.id, "params": row.params, "tokens": row.tokens, "flop": row.flop, "value": row.value,
            "weight": say.get(id(row), 0.0), "fitted": float(fit), "residual": float(row.value / fit - 1),
            "held_out": row.id in held,
        }
        for row, fit in zip(table.rows, middle)
    ]  # fmt: skip
    return {
        "unit": table.unit,
        "count": table.counted,
        "flop_from": table.flop_from,
        "level": level,
        "rows": rows,
        "laws": _laws(ensemble, level),
        "forecasts": [_with_measured(found, table, held) for found in forecasts],
        "curve": _curve(ensemble, forecasts, level) if drawn else [],
        "down_weighted": far_off(ensemble),
        "excluded": list(table.excluded),
        "optimum": best,
        "next": None,
        "leverage": None,
        "lr": None,
    }


def fitted_values(ensemble: Ensemble, rows: Sequence[Row]) -> Floats:
    """The laws' middle at each row, in its unit."""
    logs = ensemble.weights @ np.stack([log[0] for log in ensemble.log_values(coordinates(rows))])
    return link_of(ensemble.unit).from_loss(np.exp(logs))


def _laws(ensemble: Ensemble, level: float) -> list[dict[str, Any]]:
    """Every law, heaviest first, its constants with their posterior intervals."""
    tail = (1 - level) / 2
    found = []
    for m in sorted(ensemble.members, key=lambda m: -m.weight):
        own = constants(ensemble, m)
        cloud = m.law.constants_of(own.draws, ensemble.frame)
        point = m.law.constants_of(own.theta[None], ensemble.frame)
        params = {
            name: {"value": float(point[name][0]), "low": float(np.quantile(cloud[name], tail)),
                   "high": float(np.quantile(cloud[name], 1 - tail))}
            for name in point
        }  # fmt: skip
        found.append({
            "name": m.law.name, "formula": m.law.formula, "weight": m.weight,
            "backtest_error": m.backtest_error if len(ensemble.cut.masks) else None, "params": params,
            "coords": list(m.law.coords), "source": m.law.origin,
        })  # fmt: skip
    return found


def _with_measured(found: Forecast, table: Table, held: frozenset[str]) -> dict[str, Any]:
    """A forecast's fields; where its run was held out and measured, what it measured and whether that is a hit."""
    tree = found.json()
    for row in table.rows:
        if row.id in held and _same(row, {"params": found.params, "tokens": found.tokens}):
            tree |= {"run": row.id, "measured": row.value, "hit": found.low <= row.value <= found.high}
    return tree


def _curve(ensemble: Ensemble, forecasts: Sequence[Forecast], level: float) -> list[dict[str, Any]]:
    """The ladder's own path in (params, tokens) against FLOP, carried on to the farthest target."""
    points = np.log(coordinates(ensemble.rows))
    first, last = _path(points)
    ends = [np.log([f.params, f.tokens, f.flop, 1.0]) for f in forecasts]
    far = max(ends, key=lambda end: float(end[2]), default=last)
    stops = [first, last, far] if far[2] > last[2] + 1e-9 else [first, last]
    log_flop = np.linspace(stops[0][2], stops[-1][2], NUM_CURVE)
    path = np.stack([np.interp(log_flop, [s[2] for s in stops], [s[i] for s in stops]) for i in range(4)], 1)
    value, low, high, _ = spread(ensemble, np.exp(path), level)
    keys = ("flop", "params", "tokens", "value", "low", "high")
    columns = (np.exp(path[:, 2]), np.exp(path[:, 0]), np.exp(path[:, 1]), value, low, high)
    return [dict(zip(keys, map(float, cells))) for cells in zip(*columns)]


def _path(points: Floats) -> tuple[Floats, Floats]:
    """Both ends of the line through the rows: log params and log tokens as straight lines in log FLOP."""
    flop = points[:, 2]
    if float(np.ptp(flop)) < 1e-9:
        return points[0], points[0]
    ends = np.array([flop.min(), flop.max()])
    lines = np.stack([np.polyval(np.polyfit(flop, points[:, i], 1), ends) for i in (0, 1)] + [ends, np.zeros(2)], 1)
    return lines[0], lines[1]


def result_json(fitted: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """What --json prints."""
    keep = ("params", "tokens", "epochs", "flop", "flop_from", "unit", "value", "low", "high", "level", "distance",
            "width_parts", "warnings")  # fmt: skip
    extra = ("run", "measured", "hit")
    return {
        "forecasts": [{k: f[k] for k in (*keep, *(e for e in extra if e in f))} for f in fitted["forecasts"]],
        "laws": [
            {k: law[k] for k in ("name", "weight", "params", "formula", "backtest_error")} for law in fitted["laws"]
        ],
        "runs": {
            "used": sum(not row["held_out"] for row in fitted["rows"]),
            "down_weighted": fitted["down_weighted"],
            "excluded": fitted["excluded"],
            "held_out": [row["id"] for row in fitted["rows"] if row["held_out"]],
        },
        "columns": {"params": table.counted, "flop": table.flop_from, "unit": table.unit},
        "optimum": fitted["optimum"],
        "next": fitted["next"],
        "leverage": fitted["leverage"],
        "lr": fitted["lr"],
        "read": [column._asdict() for column in table.columns],
    }


def _number(found: Forecast, table: Table) -> Number:
    return Number(
        "loss", found.value, found.unit, found.low, found.high, formula="weighted laws, see laws",
        inputs={"params": found.params, "tokens": found.tokens, "flop": found.flop, "level": found.level},
        source=f"{len(found.runs_seen)} runs; params = {table.counted}, flop = {table.flop_from}",
        valid=f"up to {max(run['flop'] for run in found.runs_seen):.3g} flop",
        outside=f"{10**found.distance:.3g} x the largest run" if found.distance > 0 else "",
    )  # fmt: skip
