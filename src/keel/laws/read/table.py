"""Runs made anywhere, as rows: a file, a data frame, a tracker's export or store, or a folder of keel's own runs.

Nothing is dropped silently: a bad cell is an error with its place (all of them at once), a run that failed or has not
finished is listed as excluded, and what each column was taken for can be shown (`text_of_columns`).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keel.errors import StudyError
from keel.laws.read.columns import Asked
from keel.laws.read.rows import understand
from keel.laws.read.runs import rows_of_runs, runs_table
from keel.laws.read.seen import Seen, Table, text_of_columns
from keel.laws.read.sheets import Sheet, from_python, read_file
from keel.laws.read.stores import is_mlflow, read_mlflow

__all__ = ["Seen", "Table", "read", "read_sheet", "rows_of_runs", "text_of_columns"]


def read(source: Any, columns: Mapping[str, Any] | None = None) -> Table:
    """Read runs from a path (CSV, TSV, JSON Lines, JSON, Parquet, MLflow store, runs/ folder) or from Python.

    From Python: a data frame, a dict of columns or a list of dicts. `columns` holds what `Asked` has: the column of
    a role ("params": "N", or "N:M" for millions), "unit" of the loss, "params_count", "where".

    Raises:
        StudyError: no such file, unreadable, missing or ambiguous columns, bad cells, repeated rows.

    Example:
        >>> runs = [{"N": 1e7, "D": 2e8, "val_bpb": 1.9}, {"N": 2e7, "D": 4e8, "val_bpb": 1.7}]
        >>> table = read(runs, {"params_count": "total"})
        >>> len(table.rows), table.unit, table.counted, table.flop_from
        (2, 'bits_per_byte', 'total', '6 N D')
    """
    asked = Asked.of(columns)
    with _uncollected():
        return _read(source, asked)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection: a million rows are a million live tuples, walked again and again for nothing (half of
    the time)."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _read(source: Any, asked: Asked) -> Table:
    path = _folder_of_runs(source)
    if path is None:
        return understand(read_sheet(source), asked)
    if asked != Asked():
        said = ", ".join(name for name, value in asked._asdict().items() if value)
        raise StudyError(f"{said}: not for keel's own runs", why="a runs/ folder has no columns to choose from",
                         fix="leave these flags away", where=str(path))  # fmt: skip
    return runs_table(path)


def read_sheet(source: Any) -> Sheet:
    """The cells of what `read` takes, not yet understood; keel's own runs have none.

    Raises:
        StudyError: no such file, unreadable, or a runs/ folder.

    Example:
        >>> read_sheet({"step": [1, 2], "loss": [5.0, 4.0]}).columns["loss"]
        [5.0, 4.0]
    """
    if not isinstance(source, (str, Path)):
        return from_python(source)
    path = _path(source)
    if _folder_of_runs(source) is not None:
        raise StudyError("a folder of runs is no table of columns", why="it holds one result.json a run",
                         fix="name a CSV, JSON Lines or Parquet file, or an MLflow store", where=str(path))  # fmt: skip
    return read_mlflow(path) if is_mlflow(path) else read_file(path)


def _path(source: str | Path) -> Path:
    """Where the rows are: of a folder with an MLflow database in it, the database."""
    path = Path(source)
    inside = path.is_dir() and not _is_runs(path) and (path / "mlflow.db").is_file()
    return path / "mlflow.db" if inside else path


def _folder_of_runs(source: Any) -> Path | None:
    """The folder, where `source` is one of keel's own runs."""
    path = _path(source) if isinstance(source, (str, Path)) else None
    return path if path is not None and path.is_dir() and (_is_runs(path) or not is_mlflow(path)) else None


def _is_runs(path: Path) -> bool:
    """A folder of keel's runs, or a study's."""
    return (path / "runs").is_dir() or any(path.glob("*/result.json"))
