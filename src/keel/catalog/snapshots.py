"""Reading a leaderboard's snapshot: a CSV with a column a task, or one line a score."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from keel.errors import Problem, StudyError, nearest

ABOUT = ("model", "date", "licence", "contaminated")
SAME = {"license": "licence", "name": "model", "as_of": "date", "contamination": "contaminated"}
YES, NO = ("y", "yes", "true", "1", "x"), ("", "n", "no", "false", "0", "-")


class Entry(NamedTuple):
    """One model of a snapshot; `contaminated` None: the snapshot does not say."""

    model: str
    scores: Mapping[str, float]
    licence: str
    contaminated: bool | None


class Snapshot(NamedTuple):
    """A leaderboard on one day."""

    name: str
    date: str
    tasks: tuple[str, ...]
    entries: tuple[Entry, ...]


def read(path: Path) -> list[Snapshot]:
    """A CSV with a column a task, or with model, task, score; dates within it make several snapshots.

    Raises:
        StudyError: no models, no tasks, scores that are no numbers, a model twice; all of them.
    """
    if not path.is_file():
        raise StudyError(f"{path} is not there", why="a snapshot is a CSV file", fix="give its path", where=str(path))
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file)
        names = [SAME.get(name.strip().lower(), name.strip()) for name in lines.fieldnames or ()]
        lines.fieldnames = [name.lower() if name.lower() in (*ABOUT, "task", "score") else name for name in names]
        rows = list(lines)
    long = {"task", "score"} <= set(lines.fieldnames)
    tasks = [] if long else [name for name in lines.fieldnames if name not in ABOUT]
    problems = _columns(path, lines.fieldnames, rows, tasks, long)
    found = [] if problems else _snapshots(path, rows, tasks, long, problems)
    if problems:
        raise StudyError.all(problems)
    return found


def _columns(
    path: Path, names: Sequence[str], rows: Sequence[object], tasks: Sequence[str], long: bool
) -> list[Problem]:
    found = []
    if "model" not in names:
        found.append(Problem("no column 'model'", "found: " + (", ".join(names) or "nothing"),
                             nearest("model", names) if names else "write one", str(path)))  # fmt: skip
    if not rows:
        found.append(Problem("the snapshot holds no models", "it has no line below its heading", "export it again",
                             str(path)))  # fmt: skip
    if not (tasks or long):
        found.append(Problem("no task is scored", "a snapshot has a column a task, or the columns task and score",
                             "add them", str(path)))  # fmt: skip
    return found


def _snapshots(
    path: Path, rows: Sequence[Mapping[str, str | None]], tasks: Sequence[str], long: bool, problems: list[Problem]
) -> list[Snapshot]:
    gathered: dict[str, dict[str, Entry]] = {}
    for number, row in enumerate(rows, 2):
        where = f"{path}, line {number}"
        name, date = (row.get("model") or "").strip(), (row.get("date") or "").strip()
        pairs = (
            [((row.get("task") or "").strip(), row.get("score"))] if long else [(task, row.get(task)) for task in tasks]
        )
        scores = {task: value for task, cell in pairs if (value := _score(cell, task, where, problems)) is not None}
        day = gathered.setdefault(date, {})
        before = day.get(name)
        if not name:
            problems.append(
                Problem("a line names no model", "the cell is empty", "fill it or leave the line out", where)
            )
        if before and (not long or set(before.scores) & set(scores)):
            problems.append(
                Problem(f"'{name}' is there twice", "which of them counts cannot be known", "leave one out", where)
            )
            continue
        flag = _flag(row.get("contaminated"), where, problems) if "contaminated" in row else None
        flags = [item for item in (before and before.contaminated, flag) if item is not None]
        day[name] = Entry(name, {**(before.scores if before else {}), **scores}, (row.get("licence") or "").strip(),
                          any(flags) if flags else None)  # fmt: skip
    return [_snapshot(path, date, day) for date, day in sorted(gathered.items())]


def _snapshot(path: Path, date: str, entries: Mapping[str, Entry]) -> Snapshot:
    tasks = tuple(dict.fromkeys(task for entry in entries.values() for task in entry.scores))
    return Snapshot(f"{path.name} {date}".strip(), date, tasks, tuple(entries.values()))


def _score(cell: str | None, task: str, where: str, problems: list[Problem]) -> float | None:
    text = (cell or "").strip().rstrip("%")
    if not text or text in ("-", "n/a", "N/A"):
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        problems.append(
            Problem(f"'{cell}' is no score", f"it stands under {task}", "mend it, or leave it empty", where)
        )
        return None
    return value


def _flag(cell: str | None, where: str, problems: list[Problem]) -> bool | None:
    text = (cell or "").strip().lower()
    if text in ("", "?", "unknown"):
        return None
    if text not in (*YES, *NO):
        problems.append(Problem(f"contaminated is '{cell}'", "it says if it saw the test sets", "y, n or empty",
                                where))  # fmt: skip
    return text in YES
