"""From a sheet of cells to rows: columns to roles, cells to numbers, doubts to notes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from keel.errors import Problem, StudyError
from keel.laws.law import FLOP_PER_PARAM_TOKEN, Floats, Row
from keel.laws.read import cells, checks
from keel.laws.read.columns import NAMES, WORDS, Asked, Column, Found, find, is_epochs
from keel.laws.read.headings import heading
from keel.laws.read.seen import COUNTED, Seen, Table
from keel.laws.read.sheets import Sheet
from keel.laws.read.stores import left_out
from keel.laws.read.where import choose

IDS = ("id", "name", "run_name", "run", "run_id", "hyper_id", "model")
UNKNOWN = "unknown"
OPTIONAL = ("unique", "lr", "batch", "step")


def understand(sheet: Sheet, asked: Asked) -> Table:
    """Columns to roles, cells to numbers, numbers to rows; doubts to notes."""
    if not sheet.lines:
        raise StudyError("the table is empty", why="no rows", fix="name a table with one run a row", where=sheet.where)
    found = find(
        list(sheet.columns), asked, sheet.where, texts=cells.texts(sheet.columns.items()), ungrouped=_ungrouped(sheet)
    )
    if found.problems:
        raise StudyError.all(found.problems)
    labels = _labels(sheet, found.columns.get("step"))
    sheet, reasons = left_out(sheet)
    excluded = tuple({"id": label, "why": why} for label, why in zip(labels, reasons) if why)
    if not sheet.lines:
        raise StudyError("no run to fit", why="; ".join(f"{e['id']} {e['why']}" for e in excluded[:5]),
                         fix="wait until runs have finished", where=sheet.where)  # fmt: skip
    sheet, notes = choose(sheet, asked.where)
    values, optional = _numbers(sheet, found, asked)
    unit = checks.loss_unit(found.columns["loss"], values["loss"], asked.unit, sheet.where)
    cells.bad_cells(sheet, checks.bad_losses(found.columns["loss"], values["loss"], unit))
    params, tokens, losses = (values[role] for role in ("params", "tokens", "loss"))
    flop = values.get("flop", _six_n_d(params, tokens, sheet))
    meta, kinds = _meta(sheet, found.columns)
    moving = [] if asked.lr else _moving_rate(sheet, found.columns, optional)
    count = asked.params_count or found.columns["params"].counted or UNKNOWN
    rows = tuple(map(
        Row, [labels[line - 1] for line in sheet.lines], params.tolist(), tokens.tolist(), flop.tolist(),
        losses.tolist(), meta, *(_unknowns(optional[role]) for role in ("unique", "lr", "batch")),
    ))  # fmt: skip
    used = [column.name for column in found.columns.values()]
    notes = [
        *notes, *found.notes, *moving, *_unknown_count(found.columns["params"], count, sheet),
        *_unread(sheet, found.columns, optional), *checks.doubts(params, tokens, flop, losses, unit, sheet.where),
        *checks.repeats(sheet, params, tokens, losses), *checks.mixture(sheet, used),
    ]  # fmt: skip
    seen = [_seen(role, column, {**values, **optional}, unit, count, kinds) for role, column in found.columns.items()]
    flop_from = f"column {found.columns['flop'].name}" if "flop" in found.columns else "6 N D"
    shown = tuple(sorted((one for one in seen if one.known), key=lambda one: list(NAMES).index(one.role)))
    return Table(rows, unit, count, flop_from, excluded, tuple(notes), frozenset(), shown, sheet.where)


def _numbers(sheet: Sheet, found: Found, asked: Asked) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Numbers a role: those that must be there, and those that may be unknown (NaN).

    Raises:
        StudyError: every cell that must be a number and is none, and every column whose unit is unclear.
    """
    values, optional, bad, problems = {}, {}, [], []
    for role, column in found.columns.items():
        if role in WORDS:
            continue
        numbers, wrong = cells.numbers(sheet.columns[column.name], column)
        if role in OPTIONAL:
            optional[role] = numbers
            bad += [one for one in wrong if getattr(asked, role, "") and one.why != "empty"]
            continue
        values[role] = numbers
        flipped = checks.flipped(wrong, sheet.columns[column.name], column, sheet.where) if role == "loss" else None
        problems += [flipped] if flipped else []
        bad += [] if flipped else wrong
    unknown = np.full(len(sheet.lines), math.nan)
    if "unique" in optional and is_epochs(found.columns["unique"]):
        optional["unique"] = cells.unique_of(values["tokens"], optional["unique"])
    problems += checks.unclear_sizes(found.columns, {**optional, **values}, sheet.where)
    try:
        cells.bad_cells(sheet, bad)
    except StudyError as error:
        problems += error.problems
    if problems:
        raise StudyError.all(problems)
    return values, {role: optional.get(role, unknown) for role in OPTIONAL}


def _six_n_d(params: Floats, tokens: Floats, sheet: Sheet) -> Floats:
    with np.errstate(over="ignore"):
        flop = FLOP_PER_PARAM_TOKEN * params * tokens
    wild = np.flatnonzero(~np.isfinite(flop))
    if len(wild):
        raise StudyError(
            f"row {sheet.lines[int(wild[0])]}: 6 N D is more than a number can hold",
            why=f"{params[wild[0]]:.3g} params, {tokens[wild[0]]:.3g} tokens", fix="mend the row", where=sheet.where,
        )  # fmt: skip
    return flop


def _labels(sheet: Sheet, step: Column | None) -> list[str]:
    """A name for each row: a column that tells all apart, with the step if need be; else the row's number."""
    plain = [f"row {line}" for line in sheet.lines]
    by_name = {name.rpartition(".")[2].strip().lower(): name for name in sheet.columns}
    named = [sheet.columns[by_name[wanted]] for wanted in IDS if wanted in by_name]
    named = [column for column in named if not any(map(cells.is_empty, column))]
    for column in named:
        if len(set(map(str, column))) == len(column):
            return [str(cell).strip() for cell in column]
    for column in named if step else []:
        both = [f"{name} at step {at}" for name, at in zip(column, sheet.columns[step.name])] if step else []
        if len(set(both)) == len(both):
            return both
    return [f"{name} ({row})" for name, row in zip(named[0], plain)] if named else plain


def _unknowns(numbers: Floats) -> list[float]:
    """As floats; every unknown is the one NaN, so that equal rows compare equal."""
    return [number if number == number else math.nan for number in numbers.tolist()]


def _meta(sheet: Sheet, columns: Mapping[str, Column]) -> tuple[Iterable[dict[str, Any]], dict[str, int]]:
    """What else is known of each row (seed, schedule, step, group), and how many kinds of each there are."""
    given: dict[str, list[Any]] = {}
    for role in (*WORDS, "step"):
        if role not in columns:
            continue
        column = sheet.columns[columns[role].name]
        given[role] = (
            [_word(cell) for cell in column] if role in WORDS else cells.numbers(column, columns[role])[0].tolist()
        )
    kinds = {role: len({one for one in some if one != "" and one == one}) for role, some in given.items()}
    if not any(kinds.values()):
        return itertools.repeat({}, len(sheet.lines)), kinds
    names = list(given)
    rows = zip(*given.values())
    return ({n: one for n, one in zip(names, row) if one != "" and one == one} for row in rows), kinds


def _word(cell: Any) -> str:
    """A label as text; 3, "3" and 3.0 are one label."""
    if cells.is_empty(cell) or (isinstance(cell, float) and not math.isfinite(cell)):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def _ungrouped(sheet: Sheet) -> frozenset[str]:
    """Columns named as a run is that do not bring several rows (its checkpoints) together.

    A mere name that repeats may be a size's; it is a run's where there are steps.
    """
    with_steps = "step" in find(list(sheet.columns), Asked(), "", required=()).columns
    found = set()
    for name, column in sheet.columns.items():
        heads = heading(name).names
        sure, unsure = (any(pattern.fullmatch(head) for head in heads) for pattern in NAMES["group"])
        kinds = len({str(cell) for cell in column if not cells.is_empty(cell)}) if sure or unsure else 0
        if not 1 < kinds < len(column) or (unsure and not with_steps):
            found.add(name)
    return frozenset(found)


def _moving_rate(sheet: Sheet, columns: Mapping[str, Column], optional: dict[str, Floats]) -> list[Problem]:
    """A learning rate that changes along a run is that of the step: it is not taken for the run's peak."""
    if "lr" not in columns or "group" not in columns:
        return []
    groups = [str(cell) for cell in sheet.columns[columns["group"].name]]
    if len(set(zip(groups, optional["lr"].tolist()))) <= len(set(groups)):
        return []
    optional["lr"] = np.full(len(groups), math.nan)
    return [Problem(f"{columns['lr'].name} is not read as the learning rate", "it changes along a run: a step's rate",
                    "name the column of peak rates, if there is one: --lr COL", sheet.where)]  # fmt: skip


def _unknown_count(column: Column, count: str, sheet: Sheet) -> list[Problem]:
    if count != UNKNOWN:
        return []
    others = [name for name in sheet.columns if name != column.name and "params" in find([name], Asked(), "").columns]
    more = f"; other counts here: {', '.join(others)}" if others else ""
    return [Problem(f"which parameters {column.name} counts is unknown", f"its name does not say{more}",
                    "say so: --params-count body, total or with-head; a target's params must be counted likewise",
                    sheet.where)]  # fmt: skip


def _unread(sheet: Sheet, columns: Mapping[str, Column], optional: Mapping[str, Floats]) -> list[Problem]:
    """Cells of optional columns that hold something, but no number."""
    notes = []
    for role, numbers in optional.items():
        if role not in columns or role == "step":
            continue
        column = sheet.columns[columns[role].name]
        odd = [sheet.lines[row] for row in map(int, np.flatnonzero(np.isnan(numbers))) if _word(column[row])]
        if odd:
            some = ", ".join(map(str, odd[:8])) + (", ..." if len(odd) > 8 else "")
            notes.append(Problem(f"{columns[role].name}: {len(odd)} cells hold no positive number",
                                 f"taken as unknown: rows {some}", "mend them if it matters", sheet.where))  # fmt: skip
    return notes


def _seen(
    role: str, column: Column, values: Mapping[str, Floats], unit: str, count: str, kinds: Mapping[str, int]
) -> Seen:  # fmt: skip
    """A line of what was read."""
    if role in WORDS:
        number = kinds.get(role, 0)
        return Seen(role, column.name, "1 kind" if number == 1 else f"{number} kinds", known=number)
    good = values[role][np.isfinite(values[role])]
    said = column.unit or "ones" if role in COUNTED else column.unit
    if role == "unique" and is_epochs(column):
        said = "tokens / epochs"
    low, high = (float(good.min()), float(good.max())) if len(good) else (None, None)
    return Seen(
        role, column.name, unit if role == "loss" else said, count if role == "params" else "", low, high, len(good)
    )
