"""Runs made anywhere, as rows: CSV, TSV, JSON Lines, JSON, Parquet, or a folder of keel's own runs.

Nothing is dropped silently: a bad cell is an error with its place (all of them at once), a run that failed its gate
is listed as excluded.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import Problem, StudyError
from keel.files import read_json
from keel.laws.columns import Column, find, plain, unit_of
from keel.laws.law import FLOP_PER_PARAM_TOKEN, Row
from keel.laws.priors import BITS_PER_BYTE
from keel.units import parse_count

RESULT = "keel.result/1"
IDS = ("id", "run", "run_id", "run_name", "name", "model")
MOST_SHOWN = 20


class Table(NamedTuple):
    """Rows with what their numbers mean; `notes` are things a reader must know, `excluded` runs left out with why."""

    rows: tuple[Row, ...]
    unit: str
    counted: str
    flop_from: str
    excluded: tuple[dict[str, str], ...] = ()
    notes: tuple[Problem, ...] = ()
    held_out: frozenset[str] = frozenset()


def read(path: Path, columns: Mapping[str, str] | None = None) -> Table:
    """Read any table of runs; `columns` names the column of "params", "tokens", "loss" or "flop" where asked.

    Raises:
        StudyError: no such file, unreadable, missing or ambiguous columns, bad cells, repeated rows.
    """
    if path.is_dir():
        return _runs_table(path)
    records = _records(path)
    if not records:
        raise StudyError("the table is empty", why="no rows", fix="name a table with one run a row", where=str(path))
    header = list(dict.fromkeys(key for record in records for key in record))
    found, problems = find(header, columns or {}, str(path))
    if problems:
        raise StudyError.all(problems)
    if any(word in plain(found["loss"].name)[0].split("_") for word in ("ppl", "perplexity")):
        raise StudyError(
            f"{found['loss'].name} is a perplexity", why="the laws are laws of the loss, its logarithm",
            fix="write a column ln(perplexity) and name it with --loss", where=str(path),
        )  # fmt: skip
    rows = _rows(records, found, str(path))
    flop_from = f"column {found['flop'].name}" if "flop" in found else "6 N D"
    notes = (*_repeats(records, rows, str(path)), *_mixture(records, header, found, str(path)))
    return Table(rows, unit_of(found["loss"].name), found["params"].name, flop_from, (), notes)


def _records(path: Path) -> list[dict[str, Any]]:
    """The table as dicts; the file's ending says its kind."""
    name = path.name.lower()
    kind = name.removesuffix(".gz").rpartition(".")[2]
    try:
        if kind == "parquet":
            import pyarrow.parquet

            records: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
            return records
        data = path.read_bytes()
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8-sig")
        if kind in ("jsonl", "ndjson"):
            return [_record(json.loads(line)) for line in text.splitlines() if line.strip()]
        if kind == "json":
            return _json_records(json.loads(text))
        return _csv_records(text)
    except StudyError:
        raise
    except FileNotFoundError as error:
        raise StudyError("the table is not there", why="no such file", fix="check the path", where=str(path)) from error
    except Exception as error:  # any reader's own error means the same to the user
        raise StudyError(
            "the table cannot be read", why=f"{type(error).__name__}: {error}".splitlines()[0],
            fix="give UTF-8 CSV, JSON Lines, Parquet, or a runs/ folder", where=str(path),
        ) from error  # fmt: skip


def _record(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a line is not a JSON object")
    return value


def _json_records(value: Any) -> list[dict[str, Any]]:
    """A list of objects, or an artefact of keel's with `rows`."""
    rows = value.get("rows") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise ValueError("neither a list of objects nor an object with rows")
    return [_record(item) for item in rows]


def _csv_records(text: str) -> list[dict[str, Any]]:
    if "\x00" in text:
        raise ValueError("it holds bytes that are no text")
    lines = text.splitlines()
    if not lines:
        return []
    mark = max(",\t;", key=lines[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    names = reader.fieldnames or []
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"columns named twice: {', '.join(map(str, twice))}")
    records = [dict(record) for record in reader]
    if any(None in record for record in records):
        line = next(i for i, record in enumerate(records, 2) if None in record)
        raise ValueError(f"line {line} has more cells than the header")
    return records


def _rows(records: list[dict[str, Any]], found: Mapping[str, Column], where: str) -> tuple[Row, ...]:
    """Numbers from cells; every bad cell is reported, at most twenty shown one by one."""
    name = _id_column(records)
    rows, problems = [], []
    for line, record in enumerate(records, 1):
        cells: dict[str, float] = {}
        for role, column in found.items():
            number, why = _number(record.get(column.name))
            if why:
                problems.append(Problem(f"row {line}, {column.name}: {why}", f"the cell is {record.get(column.name)!r}",
                                        "mend the cell, or take the row out of the table", where))  # fmt: skip
            cells[role] = number * (column.scale if role != "loss" else 1.0)
        if len(cells) == len(found) and "flop" not in found:
            cells["flop"] = FLOP_PER_PARAM_TOKEN * cells["params"] * cells["tokens"]
        label = str(record[name]) if name else f"row {line}"
        rows.append(Row(label, cells["params"], cells["tokens"], cells["flop"], cells["loss"]))
    if problems:
        more = len(problems) - MOST_SHOWN
        rest = [Problem(f"and {more} more bad cells", "", "mend them likewise", where)] if more > 0 else []
        raise StudyError.all([*problems[:MOST_SHOWN], *rest])
    return tuple(rows)


def _number(cell: Any) -> tuple[float, str]:
    """A positive, finite number, or what is wrong with the cell."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return math.nan, "empty"
    if isinstance(cell, bool):
        return math.nan, "not a number"
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        try:
            number = parse_count(cell)
        except StudyError:
            return math.nan, "not a number"
    if not math.isfinite(number):
        return math.nan, "not finite"
    return (number, "") if number > 0 else (math.nan, "not positive")


def _id_column(records: list[dict[str, Any]]) -> str | None:
    """A column that names each run apart, if there is one."""
    for wanted in IDS:
        for name in records[0]:
            values = [record.get(name) for record in records]
            if name.lower() == wanted and len({str(value) for value in values}) == len(values) and None not in values:
                return name
    return None


def _repeats(records: list[dict[str, Any]], rows: tuple[Row, ...], where: str) -> list[Problem]:
    """Rows alike in every cell are an error; alike in what is fitted only, a note (seeds may agree by rounding)."""
    seen: dict[str, int] = {}
    same, alike = [], []
    numbers: dict[tuple[float, float, float], int] = {}
    for line, (record, row) in enumerate(zip(records, rows), 1):
        key = json.dumps(record, sort_keys=True, default=str)
        triple = (row.params, row.tokens, row.value)
        if key in seen:
            same.append(Problem(f"row {line} repeats row {seen[key]}", "every cell is the same: one run counted twice",
                                "take one of them out of the table", where))  # fmt: skip
        elif triple in numbers:
            alike.append(f"{line} = {numbers[triple]}")
        seen.setdefault(key, line)
        numbers.setdefault(triple, line)
    if same:
        raise StudyError.all(same[:MOST_SHOWN])
    if not alike:
        return []
    return [Problem(f"{len(alike)} rows have the params, tokens and loss of another", "rows " + ", ".join(alike[:8]),
                    "if they are the same run, take one out: each counts fully now", where)]  # fmt: skip


def _mixture(
    records: list[dict[str, Any]], header: Iterable[str], found: Mapping[str, Column], where: str
) -> list[Problem]:
    """Columns of words that differ between rows: a law is for one recipe."""
    used = {column.name for column in found.values()}
    notes = []
    for name in header:
        values = [record.get(name) for record in records]
        if name in used or name.lower() in IDS or not all(isinstance(value, str) and value for value in values):
            continue
        kinds = sorted({str(value) for value in values})
        if 1 < len(kinds) <= min(8, len(values) // 2) and not any(_number(kind)[1] == "" for kind in kinds):
            notes.append(f"{name} ({', '.join(kinds)})")
    if not notes:
        return []
    return [Problem("the rows may not be of one kind", "these columns differ: " + "; ".join(notes),
                    "fit one kind at a time if they change the loss", where)]  # fmt: skip


def rows_of_runs(runs: Path, ids: Iterable[str] | None = None) -> tuple[tuple[Row, ...], tuple[dict[str, str], ...]]:
    """Branches with a good result under `runs` (or those of `ids`), and what was left out with the reason."""
    names = sorted(p.parent.name for p in runs.glob("*/result.json")) if ids is None else sorted(ids)
    rows, excluded = [], []
    for name in names:
        path = runs / name / "result.json"
        if not path.exists():
            excluded.append({"id": name, "why": "no result yet"})
            continue
        result = read_json(path, RESULT)
        if result.get("kind") != "branch":
            continue
        if not result.get("ok"):
            gate = result.get("gate") or {}
            excluded.append({"id": name, "why": f"failed its gate: {gate.get('name')}: {gate.get('why')}"})
            continue
        try:
            numbers = (result["params"]["total"], result["tokens"], result["flop"], result["bits_per_byte"])
            params, tokens, flop, value = (float(z) for z in numbers)
            rows.append(Row(name, params, tokens, flop, value))
        except (KeyError, TypeError, ValueError) as error:
            raise StudyError(
                f"{name} has no usable result", why=f"{type(error).__name__}: {error}",
                fix="delete result.json and run it again", where=str(path),
            ) from error  # fmt: skip
    return tuple(rows), tuple(excluded)


def _runs_table(path: Path) -> Table:
    """A folder of keel's runs, or a study's folder that holds runs/."""
    runs = path / "runs" if (path / "runs").is_dir() else path
    rows, excluded = rows_of_runs(runs)
    if not rows:
        why = "; ".join(f"{item['id']} {item['why']}" for item in excluded) or "no branch has a result.json here"
        raise StudyError("no run to fit", why=why, fix="run the ladder first: keel run", where=str(runs))
    sealed = frozenset(row.id for row in rows if (runs / row.id / "forecast.json").exists())
    return Table(rows, BITS_PER_BYTE, "total", "counted per layer by keel", excluded, (), sealed)
