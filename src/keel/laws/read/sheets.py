"""A table as it stands, cell by cell: CSV, TSV, JSON Lines, JSON, Parquet, a data frame, a list or dict from Python.

Nothing is understood here yet, only read: columns of cells, with the number that each row had in its source.
"""

from __future__ import annotations

import ast
import csv
import gzip
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import StudyError

CHUNK_ROWS = 65536
LITERALS = ("config", "summary")  # a run export by the W&B interface holds each as one dict in text


class Sheet(NamedTuple):
    """Columns of cells, all of one height; `lines` [n] are the rows' numbers in the source `where`, from 1."""

    where: str
    columns: dict[str, list[Any]]
    lines: Sequence[int]

    def take(self, keep: Sequence[bool]) -> Sheet:
        """The rows marked True."""
        kept = {name: list(itertools.compress(cells, keep)) for name, cells in self.columns.items()}
        return Sheet(self.where, kept, list(itertools.compress(self.lines, keep)))


def sheet_of(where: str, columns: Mapping[str, Sequence[Any]]) -> Sheet:
    """A sheet of whole columns; dicts in cells become columns of their own ("config.lr")."""
    names = [str(name) for name in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"columns named twice: {', '.join(twice)}")
    heights = {name: len(cells) for name, cells in zip(names, columns.values())}
    if len(set(heights.values())) > 1:
        raise ValueError(f"columns of unlike length: {heights}")
    flat = dict(_flat(zip(names, columns.values())))
    return Sheet(where, flat, range(1, next(iter(heights.values()), 0) + 1))


def read_file(path: Path) -> Sheet:
    """A table in a file; the file's ending says its kind.

    Raises:
        StudyError: not there, or not readable as what its ending says.
    """
    try:
        return sheet_of(str(path), _columns(path))
    except FileNotFoundError as error:
        raise StudyError("the table is not there", why="no such file", fix="check the path", where=str(path)) from error
    except Exception as error:  # any reader's own error means the same to the user
        raise _unreadable(error, str(path)) from error


def from_python(table: Any) -> Sheet:
    """A data frame (pandas, polars, pyarrow), a dict of columns, or a list of dicts.

    Example:
        >>> from_python([{"N": 1e6, "loss": 3.0}, {"N": 2e6, "loss": 2.9, "seed": 1}]).columns["seed"]
        [None, 1]
    """
    where = type(table).__name__
    try:
        if hasattr(table, "to_pydict"):
            return sheet_of(where, table.to_pydict())
        if hasattr(table, "columns") and hasattr(table, "to_dict"):
            return sheet_of(where, _frame(table))
        if isinstance(table, Mapping):
            return sheet_of(where, {name: list(cells) for name, cells in table.items()})
        if isinstance(table, Iterable) and not isinstance(table, (str, bytes)):
            return sheet_of(where, _turned(_record(item) for item in table))
    except Exception as error:
        raise _unreadable(error, where) from error
    raise StudyError(f"a {where} is no table", why="not a path, data frame, dict of columns or list of dicts",
                     fix="pass one of these", where=where)  # fmt: skip


def _unreadable(error: Exception, where: str) -> StudyError:
    return StudyError(
        "the table cannot be read", why=f"{type(error).__name__}: {error}".splitlines()[0],
        fix="give UTF-8 CSV, JSON Lines, Parquet, an MLflow store, or a runs/ folder", where=where,
    )  # fmt: skip


def _frame(frame: Any) -> dict[str, list[Any]]:
    """Columns of a frame; a named index is a column too, as it is when a frame is written to a file."""
    if any(name is not None for name in getattr(getattr(frame, "index", None), "names", ())):
        frame = frame.reset_index()
    names = list(frame.columns)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"columns named twice: {', '.join(twice)}")
    series = ((str(name), frame[name]) for name in names)
    return {name: one.tolist() if hasattr(one, "tolist") else one.to_list() for name, one in series}


def _columns(path: Path) -> Mapping[str, Sequence[Any]]:
    name = path.name.lower()
    kind = name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        return _parquet(path)
    data = path.read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8-sig")
    if kind in ("jsonl", "ndjson"):
        return _turned(_record(json.loads(line)) for line in text.splitlines() if line.strip())
    if kind == "json":
        tree = json.loads(text)
        rows = tree.get("rows") if isinstance(tree, dict) else tree
        if not isinstance(rows, list):
            raise ValueError("neither a list of objects nor an object with rows")
        return _turned(map(_record, rows))
    return _csv(text)


def _parquet(path: Path) -> dict[str, list[Any]]:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    names, found = table.column_names, {}
    if len(set(names)) < len(names):
        raise ValueError("columns named twice: " + ", ".join(sorted({name for name in names if names.count(name) > 1})))
    for name, column in zip(names, table.columns):
        plain = pyarrow.types.is_floating(column.type) or pyarrow.types.is_integer(column.type)
        found[name] = column.to_numpy().tolist() if plain and not column.null_count else column.to_pylist()
    return found


def _record(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"a row is not an object with names but {type(value).__name__}")
    return value


def _turned(records: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows to columns; a name that a row lacks is an empty cell there."""
    found: dict[str, list[Any]] = {}
    height = 0
    for record in records:
        for name, cell in record.items():
            column = found.get(name)
            if column is None:
                column = found[name] = []
            column.extend(itertools.repeat(None, height - len(column)))
            column.append(cell)
        height += 1
    for column in found.values():
        column.extend(itertools.repeat(None, height - len(column)))
    return found


def _csv(text: str) -> dict[str, list[Any]]:
    if "\x00" in text:
        raise ValueError("it holds bytes that are no text")
    head = text[: text.find("\n") + 1] or text
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",\t;", key=head.count), strict=True)
    names = next(reader, [])
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"columns named twice: {', '.join(twice)}")
    columns: list[list[Any]] = [[] for _ in names]
    rows = (row for row in reader if row)
    for chunk in iter(lambda: list(itertools.islice(rows, CHUNK_ROWS)), []):
        most = max(map(len, chunk))
        if most > len(names):
            at = next(i for i, row in enumerate(chunk) if len(row) > len(names))
            raise ValueError(f"row {len(columns[0]) + at + 1} has more cells than the header")
        turned = list(itertools.zip_longest(*chunk))
        for at, column in enumerate(columns):
            column.extend(turned[at] if at < most else itertools.repeat(None, len(chunk)))
    return dict(zip(names, columns))


def _flat(columns: Iterable[tuple[str, Sequence[Any]]]) -> Iterator[tuple[str, list[Any]]]:
    """Columns whose cells are dicts, as one column a key, however deep."""
    for name, cells in columns:
        first = next((cell for cell in cells if cell is not None and cell != ""), None)
        if name in LITERALS and isinstance(first, str) and first.startswith("{"):
            cells = [_literal(cell) if cell else {} for cell in cells]
            first = {}
        if isinstance(first, Mapping):
            yield from _flat((f"{name}.{key}", inner) for key, inner in _turned(map(_or_empty, cells)).items())
        else:
            yield name, cells if isinstance(cells, list) else list(cells)


def _or_empty(cell: Any) -> Mapping[str, Any]:
    return cell if isinstance(cell, Mapping) else {}


def _literal(cell: str) -> Any:
    """A dict in text, as JSON or as Python prints it; Python's nan and inf are no literals, so they go as JSON's."""
    try:
        return json.loads(cell)
    except ValueError:
        plain = re.sub(r"(?<=[:\[,] )(-?)(nan|inf)(?=[,}\]])", lambda found: f"'{found[0]}'", cell)
        return ast.literal_eval(plain)
