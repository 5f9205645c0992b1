"""From cells to numbers, a column at a time: quick where all are well, exact about the place where one is not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keel.errors import Problem, StudyError
from keel.laws.law import Floats
from keel.laws.read.columns import Column
from keel.laws.read.sheets import Sheet
from keel.units import parse_count

MOST_SHOWN = 20


class Bad(NamedTuple):
    """A cell that is no number of its kind: its row (from 0), its column and what is wrong."""

    row: int
    column: str
    why: str


def numbers(cells: Sequence[Any], column: Column) -> tuple[Floats, list[Bad]]:
    """A column's numbers, positive and finite, in ones; a bad cell is NaN there and told.

    Example:
        >>> found, bad = numbers(["7", "1.3B", "x", "-1"], Column("N", 1e6))
        >>> found.tolist(), [(b.row, b.why) for b in bad]
        ([7000000.0, 1300000000.0, nan, nan], [(2, 'not a number'), (3, 'not positive')])
    """
    found = _quick(cells)
    if found is None:
        pairs = [_number(cell) for cell in cells]
        found = np.array([number for number, _ in pairs], dtype=float)
        whole = np.array([exact for _, exact in pairs], dtype=bool)
    else:
        whole = np.zeros(len(found), dtype=bool)
    scale = np.where(whole, 1.0, column.scale)  # "1.3B" says its unit itself, whatever the heading says
    with np.errstate(over="ignore", under="ignore"):
        found = scale * np.power(column.log, found) if column.log > 0 else scale * found
    good = np.isfinite(found) & (found > 0)
    bad = [Bad(row, column.name, _why(cells[row], column)) for row in map(int, np.flatnonzero(~good))]
    return np.where(good, found, math.nan), bad


def unique_of(tokens: Floats, epochs: Floats) -> Floats:
    """Unique tokens: tokens over passes; NaN where either is unknown or the ratio is no number."""
    with np.errstate(over="ignore"):
        unique = tokens / epochs
    return np.where(np.isfinite(unique), unique, math.nan)


def is_number(cell: Any) -> bool:
    """Whether a cell reads as a number at all, also one that is not finite."""
    return not isinstance(cell, bool) and (not math.isnan(_number(cell)[0]) or _is_nan(cell))


def value(cell: Any) -> float:
    """The cell's number as it stands, NaN where it is none.

    Example:
        >>> value("1.3B"), value("nan"), value("-inf"), value("x")
        (1300000000.0, nan, -inf, nan)
    """
    return _number(cell)[0]


def is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def bad_cells(sheet: Sheet, bad: Iterable[Bad], fix: str = "") -> None:
    """Tell every bad cell: one problem a column and kind, with the places; `fix` where rows cannot be left out.

    Raises:
        StudyError: if there is any.
    """
    kinds: dict[tuple[str, str], list[int]] = {}
    for row, name, why in sorted(bad):
        kinds.setdefault((name, why), []).append(row)
    problems = []
    for (name, why), rows in kinds.items():
        places = places_of([sheet.lines[row] for row in rows])
        some = dict.fromkeys(repr(sheet.columns[name][row]) for row in rows[:MOST_SHOWN])
        cells = f"the cell is {next(iter(some))}" if len(rows) == 1 else "the cells are " + ", ".join(some)
        way_out = f"mend {'it' if len(rows) == 1 else 'them'}; or leave such rows out: --where {name + '>0'!r}"
        problems.append(Problem(f"{places}, {name}: {why}", cells, fix or way_out, sheet.where))
    if problems:
        raise StudyError.all(problems)


def places_of(lines: Sequence[int]) -> str:
    """Rows by number, the first twenty.

    Example:
        >>> places_of([3]), places_of([3, 5])
        ('row 3', '2 rows (3, 5)')
    """
    if len(lines) == 1:
        return f"row {lines[0]}"
    more = ", ..." if len(lines) > MOST_SHOWN else ""
    return f"{len(lines)} rows ({', '.join(map(str, lines[:MOST_SHOWN]))}{more})"


def _quick(cells: Sequence[Any]) -> Floats | None:
    """All at once, or None where a cell needs a closer look; None (an empty cell) becomes NaN."""
    if any(isinstance(cell, bool) for cell in cells):
        return None
    try:
        return np.asarray(cells, dtype=float).reshape(len(cells))
    except (TypeError, ValueError, OverflowError):
        return None


def _number(cell: Any) -> tuple[float, bool]:
    """The cell's number (NaN where there is none), and whether it says its own unit ("7B")."""
    if isinstance(cell, bool) or is_empty(cell):
        return math.nan, False
    try:
        return float(cell), False
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf, False
    except (TypeError, ValueError):
        try:
            return parse_count(cell), str(cell).strip()[-1].isalpha()
        except StudyError:
            return math.nan, False


def _is_nan(cell: Any) -> bool:
    try:
        return math.isnan(float(cell))
    except (TypeError, ValueError, OverflowError):
        return False


def _why(cell: Any, column: Column) -> str:
    if is_empty(cell):
        return "empty"
    number, _ = _number(cell)
    if math.isnan(number) and not _is_nan(cell):
        return "not a number"
    if not math.isfinite(number):
        return "not finite"
    return "too large" if number > 0 or column.log else "not positive"


def texts(columns: Iterable[tuple[str, Sequence[Any]]]) -> frozenset[str]:
    """The columns that hold no numbers, going by their first hundred cells that are not empty."""
    found = set()
    for name, cells in columns:
        some = list(itertools.islice((cell for cell in cells if not is_empty(cell)), 100))
        if some and not any(map(is_number, some)):
            found.add(name)
    return frozenset(found)
