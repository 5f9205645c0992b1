"""`keel fit runs.csv --loss ACC --via LOSS --chance C`: runs -> the loss of each target -> its accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keel.answer import Answer, Number
from keel.errors import Problem, Refusal, Refused, StudyError, nearest
from keel.files import write_json
from keel.laws import refuse, show
from keel.laws.beside import show_via
from keel.laws.beside.downstream import Pair, Task, TaskForecast, fit_task, losses, pairs_of
from keel.laws.ensemble import Ensemble
from keel.laws.forecast import Forecast, check_level
from keel.laws.law import Floats, Target
from keel.laws.read import cells
from keel.laws.read.checks import ALIASES
from keel.laws.read.columns import Asked
from keel.laws.read.rows import understand
from keel.laws.read.seen import Seen, Table
from keel.laws.read.sheets import Sheet
from keel.laws.read.stores import left_out
from keel.laws.read.table import read_sheet
from keel.laws.read.where import choose
from keel.laws.targeted import targeted
from keel.laws.verb import fit_json, result_json, thinned, thinning

VIA = "keel.via/1"
FORMULA = "floor + (top - floor) sigma(c - s (L / L_mid - 1))"
SCALES = {"accuracy": 1.0, "accuracy_percent": 100.0}
MOST_NAMED = 8


class Paired(NamedTuple):
    """Pairs of (loss, accuracy in [0, 1]), the runs without an accuracy, and the unit it was written in."""

    pairs: tuple[Pair, ...]
    empty: tuple[str, ...]
    unit: str


def fit_via(
    source: Any, via: str, chance: float | None, at: Sequence[Mapping[str, float]] = (), level: float = 0.9,
    columns: Mapping[str, Any] | None = None, via_unit: str = "", out: Path | None = None,
) -> Answer:  # fmt: skip
    """Fit the laws to the losses of column `via`, and what a loss is worth to the accuracies of columns["loss"].

    `chance`: the accuracy of guessing, in [0, 1); `via_unit`: the loss's unit, `columns["unit"]`: the accuracy's.

    Raises:
        StudyError: the table, a column or the chance cannot be used as it is.
        Refused: no honest fit of the loss, no honest second step, or no target has an honest forecast.

    Example:
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> runs = [{"params_total": n, "tokens": r * n, "val_loss": (z := loss(n, r * n)),
        ...          "acc": 0.25 + 0.75 / (1 + np.exp(3 * (z - 2.9)))}
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> found = fit_via(runs, "val_loss", 0.25, [{"params": 1e9, "tokens": 2e10}], columns={"loss": "acc"})
        >>> one = found.result["forecasts"][0]
        >>> bool(one["low"] < 0.25 + 0.75 / (1 + np.exp(3 * (loss(1e9, 2e10) - 2.9))) < one["high"]), one["via"]["unit"]
        (True, 'val_loss')
    """
    check_level(level)
    asked = Asked.of(columns)
    share = _chance(asked, via, chance)
    sheet = read_sheet(source)
    table = understand(sheet, asked._replace(loss=via, unit=via_unit))
    paired = _paired(sheet, table, asked)
    largest = max(table.rows, key=lambda row: row.flop)
    no = refuse.refuse(table.rows, Target(largest.params, largest.tokens, largest.flop), table.unit)
    if no is not None:
        raise Refused(no)
    used = thinned(table.rows)
    found = targeted(used, table.unit, at, level, table.flop_from)
    if at and not found.forecasts:
        raise Refused(found.refusals[0])
    task = _fitted(thinned_pairs(paired.pairs), share, asked.loss)
    forecasts = [_forecast(task, one, fit, paired.unit, level) for one, fit in zip(found.forecasts, found.fits)]
    via_column = next(one.column for one in table.columns if one.role == "loss")
    for tree, loss in zip(forecasts, found.forecasts):
        tree["via"] = {"column": via_column} | {
            key: cell for key, cell in loss.json().items()
            if key in ("unit", "value", "low", "high", "level", "width_parts", "warnings")
        }  # fmt: skip
    fitted = fit_json(found.lead, table, frozenset(), [], found.best, level, drawn=False)
    result = result_json(fitted, table) | {
        "forecasts": forecasts,
        "task": _described(task, paired, asked.loss, via_column, level),
    }
    seen = table._replace(columns=(*table.columns, _seen(paired, asked.loss)))
    problems = [*table.notes, *thinning(len(used), len(table.rows), table.source), *_without(paired, asked, table)]
    problems += [Problem(r.what, r.why, r.fix, table.source) for r in found.refusals]
    problems += [Problem(f"{e['id']} is not in the fit", e["why"], "mend it and run it again") for e in table.excluded]
    answer = Answer(
        result=result, text=show.text(fitted, seen, level) + "\n\n" + show_via.text(result), problems=problems,
        reads=[table.source], numbers=[_number(one, task, asked.loss) for one in forecasts], artefact=result,
    )  # fmt: skip
    if out is not None:
        target = out / "via.json" if out.is_dir() else out
        write_json(target, VIA, result)
        answer.writes.append(str(target))
    return answer


def _chance(asked: Asked, via: str, chance: float | None) -> float:
    """The chance given; all that is wrong with what was asked, before anything is read."""
    problems = []
    if not asked.loss:
        problems.append(Problem("--via without --loss", "the column of accuracies is not guessed",
                                "name it: --loss acc_hellaswag --via loss_c4_val"))  # fmt: skip
    if not via:
        problems.append(Problem("--via names no column", "it is empty", "name the column of losses: --via loss_c4_val"))
    elif asked.loss == via:
        problems.append(Problem("--loss and --via name one column", via, "name the accuracies, then the losses"))
    unit = ALIASES.get(asked.unit.lower(), asked.unit)
    if unit and unit not in SCALES:
        way = "--unit is that of --loss, accuracy or accuracy_percent; the loss's is --via-unit"
        problems.append(Problem(f"--unit {asked.unit} with --via", nearest(unit, SCALES), way))
    if chance is None:
        problems.append(Problem("--via without --chance", "the accuracy of guessing is not guessed",
                                "write --chance .25 for four choices, 0 for free answers"))  # fmt: skip
    elif not 0 <= chance < 1:
        problems.append(Problem(f"--chance {chance:g} is not in [0, 1)", "it is the accuracy of guessing, as a share",
                                "write 1 / number of choices, or 0 for free answers"))  # fmt: skip
    if problems:
        raise StudyError.all(problems)
    assert chance is not None
    return chance


def _paired(sheet: Sheet, table: Table, asked: Asked) -> Paired:
    """The accuracy of each row that was understood: the same rows, in the same order."""
    if asked.loss not in sheet.columns:
        raise StudyError(f"--loss {asked.loss}: no such column", why=nearest(asked.loss, sheet.columns),
                         fix="name the column of accuracies", where=sheet.where)  # fmt: skip
    kept = choose(left_out(sheet)[0], asked.where)[0].columns[asked.loss]
    texts = [None if cells.is_empty(cell) or str(cell).strip().lower() == "nan" else cell for cell in kept]
    unit = _unit(asked, [cells.value(cell) for cell in texts if cell is not None], table.source)
    records = ({"loss": row.value, "accuracy": cell} for row, cell in zip(table.rows, texts))
    names = [row.id for row in table.rows]
    pairs, empty = pairs_of(records, "loss", "accuracy", percent=unit == "accuracy_percent", where=table.source,
                            names=names)  # fmt: skip
    return Paired(pairs, empty, unit)


def _unit(asked: Asked, numbers: Sequence[float], where: str) -> str:
    """Share or per cent: as asked, else as the numbers say."""
    unit = ALIASES.get(asked.unit.lower(), asked.unit)
    good = [number for number in numbers if math.isfinite(number)]
    if unit or not good:
        return unit or "accuracy"
    if max(good) <= 1:
        return "accuracy"
    if min(good) > 1 or "%" in asked.loss:
        return "accuracy_percent"
    raise StudyError(
        f"{asked.loss}: a share or per cent?", why=f"it goes from {min(good):.4g} to {max(good):.4g}", where=where,
        fix="say so: --unit accuracy or --unit accuracy_percent",
    )  # fmt: skip


def thinned_pairs(pairs: Sequence[Pair], most: int = 2_000) -> Sequence[Pair]:
    """At most so many pairs, evenly over the order of loss, the lowest among them.

    Example:
        >>> [pair.loss for pair in thinned_pairs([Pair(str(i), float(i), 0.5) for i in range(9)], 3)]
        [0.0, 4.0, 8.0]
    """
    if len(pairs) <= most:
        return pairs
    order = sorted(pairs, key=lambda pair: (pair.loss, pair.accuracy))
    return [order[int(at)] for at in np.linspace(0, len(order) - 1, most).round()]


def _fitted(pairs: Sequence[Pair], chance: float, column: str) -> Task:
    task = fit_task(pairs, chance)
    if isinstance(task, Refusal):
        raise Refused(task._replace(what=f"{task.what}, {column}"))
    return task


def _forecast(task: Task, loss: Forecast, ensemble: Ensemble, unit: str, level: float) -> dict[str, Any]:
    """A forecast's fields as of a loss, in the accuracy's unit."""
    point = np.array([[loss.params, loss.tokens, loss.flop, loss.epochs]])
    found: TaskForecast = task.forecast(losses(ensemble, point), level)[0]
    scale = SCALES[unit]
    return {
        "params": loss.params, "tokens": loss.tokens, "epochs": loss.epochs, "flop": loss.flop,
        "flop_from": loss.flop_from, "unit": unit, "value": scale * found.value, "low": scale * found.low,
        "high": scale * found.high, "level": level, "distance": loss.distance,
        "width_parts": {name: scale * width for name, width in found.width_parts.items()},
        "warnings": list(found.warnings), "below_lowest_loss": found.ahead,
    }  # fmt: skip


def _described(task: Task, paired: Paired, column: str, via: str, level: float) -> dict[str, Any]:
    """The second step: its constants with intervals, what it rests on, and what was left out."""
    tail = (1 - level) / 2
    point, cloud = _constants(task.theta[None], task.chance), _constants(task.cloud, task.chance)
    named = {
        name: {"value": float(point[name][0]), "low": float(np.quantile(cloud[name], tail)),
               "high": float(np.quantile(cloud[name], 1 - tail))}
        for name in point
    }  # fmt: skip
    return {
        "column": column, "via": via, "unit": paired.unit, "formula": FORMULA, "chance": task.chance,
        "constants": named, "loss_mid": task.middle, "lowest_loss": task.lowest, "scatter": task.scatter,
        "folds": task.folds, "pairs": len(paired.pairs), "left_out": list(paired.empty), "level": level,
    }  # fmt: skip


def _constants(theta: Floats, chance: float) -> dict[str, Floats]:
    """The printed formula's constants, each [b], of theta [b, 4]."""
    floor = np.clip(chance + theta[:, 3], 0.0, 1.0)
    top = floor + (1 - floor) / (1 + np.exp(-theta[:, 2]))
    return {"c": theta[:, 0], "s": np.exp(theta[:, 1]), "top": top, "floor": floor}


def _seen(paired: Paired, column: str) -> Seen:
    numbers = [SCALES[paired.unit] * pair.accuracy for pair in paired.pairs]
    low, high = (min(numbers), max(numbers)) if numbers else (None, None)
    return Seen("accuracy", column, paired.unit, "", low, high, len(numbers))


def _without(paired: Paired, asked: Asked, table: Table) -> list[Problem]:
    """The runs that have no accuracy, by name."""
    if not paired.empty:
        return []
    named = ", ".join(paired.empty[:MOST_NAMED])
    more = f" and {len(paired.empty) - MOST_NAMED} more" if len(paired.empty) > MOST_NAMED else ""
    many = f"{len(paired.empty)} of {len(table.rows)} runs have no {asked.loss}"
    return [Problem(many, f"left out of the second step, kept in the laws of the loss: {named}{more}",
                    "evaluate the task on them if it matters", table.source)]  # fmt: skip


def _number(one: Mapping[str, Any], task: Task, column: str) -> Number:
    return Number(
        column, one["value"], one["unit"], one["low"], one["high"], formula=FORMULA,
        inputs={name: one[name] for name in ("params", "tokens", "flop", "level")},
        source=f"weighted laws of {one['via']['column']}, then pairs of loss and accuracy",
        valid=f"losses down to {task.lowest:.4g}",
        outside=f"{100 * one['below_lowest_loss']:.2g} % below it" if one["below_lowest_loss"] > 0 else "",
    )  # fmt: skip
