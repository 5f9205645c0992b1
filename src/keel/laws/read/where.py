"""Rows the user keeps or leaves out by a column: --where dataset=c4, --where "loss>0"."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from typing import Any

from keel.errors import Problem, StudyError, nearest
from keel.laws.read.cells import is_empty, value
from keel.laws.read.sheets import Sheet

COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def choose(sheet: Sheet, conditions: Sequence[str]) -> tuple[Sheet, list[Problem]]:
    """The rows that meet every condition (COL=VALUE, COL!=VALUE, COL>NUMBER, >=, <, <=), and how many do not.

    Cells that are no numbers, or not finite ones, meet no comparison.

    Raises:
        StudyError: not a condition, no such column, or no row left.

    Example:
        >>> from keel.laws.read.sheets import from_python
        >>> sheet, notes = choose(from_python({"set": ["a", "b", "a"], "loss": [3.0, 2.0, float("nan")]}), ["loss>0"])
        >>> sheet.lines, notes[0].what
        ([1, 2], '1 of 3 rows is left out, as asked')
    """
    tests = [_test(sheet, condition) for condition in conditions]
    if not tests:
        return sheet, []
    keep = [all(one) for one in zip(*tests)]
    out = [line for line, kept in zip(sheet.lines, keep) if not kept]
    said = " ".join(f"--where {condition!r}" for condition in conditions)
    if len(out) == len(keep):
        raise StudyError("no row is left", why=f"none meets {said}", fix="check the column and its values",
                         where=sheet.where)  # fmt: skip
    if not out:
        return sheet, []
    some = ", ".join(map(str, out[:8])) + (", ..." if len(out) > 8 else "")
    verb = "is" if len(out) == 1 else "are"
    return sheet.take(keep), [Problem(f"{len(out)} of {len(keep)} rows {verb} left out, as asked", said,
                                      f"leave the flag away to fit them too: rows {some}", sheet.where)]  # fmt: skip


def _test(sheet: Sheet, condition: str) -> list[bool]:
    match = re.fullmatch(r"(.+?)\s*(!=|>=|<=|==?|>|<)\s*(.*)", condition.strip(), re.DOTALL)
    if not match or match[1] not in sheet.columns:
        why = nearest(match[1], sheet.columns) if match else "it has no =, !=, >, >=, < or <="
        raise StudyError(f"--where {condition!r} is no condition on this table", why=why, where=sheet.where,
                         fix="write --where COL=VALUE or --where 'COL>0'")  # fmt: skip
    cells, sign, wanted = sheet.columns[match[1]], match[2], match[3].strip()
    if sign in COMPARE:
        limit = value(wanted)
        if math.isnan(limit):
            raise StudyError(f"--where {condition!r} is no condition on this table", why=f"{wanted!r} is not a number",
                             fix="compare with a number", where=sheet.where)  # fmt: skip
        return [math.isfinite(number) and bool(COMPARE[sign](number, limit)) for number in map(value, cells)]
    number = value(wanted)
    same = [_same(cell, wanted, number) for cell in cells]
    return same if sign in ("=", "==") else [not one for one in same]


def _same(cell: Any, wanted: str, number: float) -> bool:
    """Equal as text, or as numbers where both are."""
    return str("" if is_empty(cell) else cell).strip() == wanted or (not math.isnan(number) and value(cell) == number)
