"""Runs kept by an experiment tracker, as a sheet: an MLflow store (sqlite or folder), and run states of any export.

MLflow itself is not needed: its sqlite tables (runs, params, latest_metrics or metrics, experiments) and its folder
(mlruns/EXPERIMENT/RUN/meta.yaml, params/KEY, metrics/KEY) are read as they lie. Of a metric the last value is taken:
that of the highest step, then of the latest time.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keel.errors import StudyError
from keel.laws.read.sheets import Sheet, sheet_of

SQLITE = b"SQLite format 3\x00"
# Folder stores number their states, mlflow.entities.RunStatus.
STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
DONE = ("finished", "completed", "done")
UNDONE = ("running", "crashed", "failed", "killed", "preempted", "preempting", "pending", "scheduled", "deleted")
STATES = ("state", "status")
MOST_FINITE = 1.7976931348623157e308  # MLflow's sqlite holds infinities as the largest floats


def is_mlflow(path: Path) -> bool:
    """A sqlite file, or a folder that holds MLflow's runs."""
    if path.is_dir():
        return any(path.glob("*/*/meta.yaml")) or any(path.glob("mlruns/*/*/meta.yaml"))
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def read_mlflow(path: Path) -> Sheet:
    """Every run of a store, one a row: run_id, run_name, status, experiment, params.KEY, metrics.KEY.

    Raises:
        StudyError: not a store, or one that cannot be read.
    """
    try:
        runs = list(_from_folder(path) if path.is_dir() else _from_sqlite(path))
    except (OSError, sqlite3.Error, ValueError, LookupError) as error:
        raise StudyError(
            "the MLflow store cannot be read", why=f"{type(error).__name__}: {error}".splitlines()[0],
            fix="name the mlflow.db file or the mlruns folder itself, or export its runs as CSV", where=str(path),
        ) from error  # fmt: skip
    names = list(dict.fromkeys(name for run in runs for name in run))
    return sheet_of(str(path), {name: [run.get(name) for run in runs] for name in names})


def left_out(sheet: Sheet) -> tuple[Sheet, list[str]]:
    """The finished runs where a column tells a run's state, and why each other row is left out, in `lines` order.

    The second part has one entry a row of the sheet, "" where it stays.
    """
    for name, cells in sheet.columns.items():
        if name.rpartition(".")[2].strip().lower() not in STATES:
            continue
        states = [str(cell).strip().lower() for cell in cells]
        known = set(states)
        if known <= {*DONE, *UNDONE} and known & set(UNDONE):
            why = ["" if state in DONE else f"{name}: {state}" for state in states]
            return sheet.take([not reason for reason in why]), why
    return sheet, [""] * len(sheet.lines)


def _from_sqlite(path: Path) -> Iterator[dict[str, Any]]:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as base:
        tables = {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
        if not {"runs", "params", "metrics"} <= tables:
            raise ValueError(f"no tables runs, params, metrics in it, but {', '.join(sorted(tables)) or 'none'}")
        runs: dict[str, dict[str, Any]] = {}
        query = (
            "SELECT r.run_uuid, r.name, r.status, r.lifecycle_stage, e.name FROM runs r "
            "LEFT JOIN experiments e ON e.experiment_id = r.experiment_id ORDER BY r.start_time, r.run_uuid"
        )
        for run, name, status, stage, experiment in base.execute(query):
            state = "deleted" if stage == "deleted" else status
            runs[run] = {"run_id": run, "run_name": name or run, "status": state, "experiment": experiment}
        for run, key, value in base.execute(
            "SELECT p.run_uuid, p.key, p.value FROM params p JOIN runs r USING (run_uuid)"
        ):
            runs[run][f"params.{key}"] = value
        last = "latest_metrics" if "latest_metrics" in tables else "metrics"
        for run, key, value, is_nan in base.execute(
            f"SELECT m.run_uuid, m.key, m.value, m.is_nan FROM {last} m JOIN runs USING (run_uuid) "
            "ORDER BY m.step, m.timestamp, m.value"
        ):
            runs[run][f"metrics.{key}"] = math.nan if is_nan else _with_infinity(value)
    yield from runs.values()


def _with_infinity(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= MOST_FINITE else value


def _from_folder(path: Path) -> Iterator[dict[str, Any]]:
    root = path / "mlruns" if any(path.glob("mlruns/*/*/meta.yaml")) else path
    for meta in sorted(root.glob("*/*/meta.yaml")):
        about, folder = _meta(meta), meta.parent
        if "run_id" not in about and "run_uuid" not in about:
            continue  # a registered model's or an artefact's, not a run's
        name = about.get("run_name") or _text(folder / "tags" / "mlflow.runName") or folder.name
        state = "deleted" if about.get("lifecycle_stage") == "deleted" else about.get("status", "")
        experiment = _meta(folder.parent / "meta.yaml").get("name", folder.parent.name)
        run = {"run_id": folder.name, "run_name": name, "status": STATUS.get(state, state), "experiment": experiment}
        run |= {f"params.{key}": _text(file) for key, file in _files(folder / "params")}
        yield run | {f"metrics.{key}": _last(file) for key, file in _files(folder / "metrics")}


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """A key with a slash ("val/loss") is a file in a folder."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield file.relative_to(folder).as_posix(), file


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _last(file: Path) -> float:
    """The last of a metric's lines "time value step", as MLflow orders them."""
    points = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    last = max(points, key=lambda point: (int(point[2]) if len(point) > 2 else 0, int(point[0]), float(point[1])))
    return float(last[1])


def _meta(file: Path) -> Mapping[str, str]:
    """The plain "name: value" lines of a small YAML file."""
    pairs = (line.partition(": ") for line in _text(file).splitlines() if not line.startswith((" ", "-", "#")))
    return {name: value.strip().strip("'\"") for name, sep, value in pairs if sep}
