"""Which runs to forecast: written on the command line, or a file of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keel.errors import Problem, StudyError
from keel.laws.law import Floats
from keel.laws.read import cells, checks
from keel.laws.read.columns import Asked, Column, find, is_epochs
from keel.laws.read.sheets import Sheet, read_file
from keel.units import parse_count

NAMES = {"params": "params", "tokens": "tokens", "compute": "compute", "flop": "flop", "unique": "unique_tokens",
         "unique_tokens": "unique_tokens"}  # fmt: skip
WRITE = "write --at params=7e9,tokens=140e9, with unique=1e12 if tokens repeat, or --at compute=1e22"
IDS = ("id", "name", "run", "target")


def parse_target(text: str) -> dict[str, float]:
    """ "params=7e9,tokens=140e9", "params=7e9,tokens=4e12,unique=1e12" or "compute=1e22" as numbers.

    Raises:
        StudyError: anything else.

    Example:
        >>> parse_target("params=7B, tokens=4e12, unique=1e12")
        {'params': 7000000000.0, 'tokens': 4000000000000.0, 'unique_tokens': 1000000000000.0}
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or name not in NAMES:
            raise StudyError(f"--at {text!r} is not a target", fix=WRITE,
                             why=f"{part.strip()!r} is not params=, tokens=, unique=, flop= or compute=")  # fmt: skip
        if NAMES[name] in found:
            raise StudyError(f"--at {text!r} is not a target", why=f"{name} is given twice", fix=WRITE)
        found[NAMES[name]] = parse_count(value, "--at")
    given = set(found) - {"unique_tokens", "flop"}
    whole = given == {"params", "tokens"} or set(found) in ({"compute"}, {"compute", "unique_tokens"})
    if not whole or not all(0 < value < float("inf") for value in found.values()):
        raise StudyError(f"--at {text!r} is not a target", fix=WRITE,
                         why="it needs params and tokens, or compute, all positive and finite")  # fmt: skip
    return found


def read_targets(path: Path) -> list[dict[str, Any]]:
    """Targets of a file: columns params and tokens, or compute; also flop, unique tokens and id where they are.

    Raises:
        StudyError: no such file, no such columns, a cell that is no positive number, a row that is no target.
    """
    sheet = read_file(path)
    if not sheet.lines:
        raise StudyError(
            "there is no target", why="the file has no rows", fix="write one target a row", where=str(path)
        )
    found = find(list(sheet.columns), Asked(), str(path), required=())
    columns: dict[str, Column] = {
        role: found.columns[role] for role in ("params", "tokens", "flop", "unique") if role in found.columns
    }
    numbers: dict[str, Floats] = {}
    bad = []
    for role, column in columns.items():
        numbers[role], wrong = cells.numbers(sheet.columns[column.name], column)
        bad += [one for one in wrong if one.why != "empty"]
    if "unique" in columns and is_epochs(columns["unique"]):
        unknown = np.full(len(sheet.lines), np.nan)
        numbers["unique"] = cells.unique_of(numbers.get("tokens", unknown), numbers["unique"])
    # There are no flags for this file's columns, so what is unclear is mended in the file.
    twice = [*found.problems, *(note for note in found.notes if note.what.split()[1] in NAMES)]
    problems = [one._replace(fix="keep one of these columns") for one in twice]
    problems += [
        one._replace(fix="write the unit in the heading: params (M), tokens (B), compute (exaflop)")
        for one in checks.unclear_sizes(columns, numbers, str(path))
    ]
    if problems:
        raise StudyError.all(problems)
    cells.bad_cells(sheet, bad, fix="mend it, or take the row out")
    return _targets(sheet, numbers)


def _targets(sheet: Sheet, numbers: dict[str, Floats]) -> list[dict[str, Any]]:
    names = next((column for name, column in sheet.columns.items() if name.strip().lower() in IDS), None)
    found, problems = [], []
    for at, line in enumerate(sheet.lines):
        known = {role: float(column[at]) for role, column in numbers.items() if np.isfinite(column[at])}
        target: dict[str, Any] = {}
        if {"params", "tokens"} <= set(known):
            target = {NAMES[role]: value for role, value in known.items()}
        elif "flop" in known and not {"params", "tokens"} & set(known):
            target = {"compute": known["flop"]} | ({"unique_tokens": known["unique"]} if "unique" in known else {})
        else:
            problems.append(Problem(f"row {line} is no target", "it has " + (", ".join(known) or "nothing"),
                                    "give params and tokens, or compute", sheet.where))  # fmt: skip
        found.append(target | ({"id": str(names[at])} if names else {}))
    if problems:
        raise StudyError.all(problems[: cells.MOST_SHOWN])
    return found


def all_targets(at: Sequence[str], path: Path | None) -> list[dict[str, Any]]:
    """Those of the command line, then those of the file."""
    return [*map(parse_target, at), *(read_targets(path) if path else [])]
