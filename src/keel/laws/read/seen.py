"""Runs as rows with what their numbers mean, and the one table that shows it before anything is fitted."""

from __future__ import annotations

from typing import NamedTuple

from keel.errors import Problem
from keel.laws.law import Row
from keel.units import show_count

COUNTED = ("params", "tokens", "flop", "unique", "batch")  # roles whose numbers are counts


class Seen(NamedTuple):
    """What a column was taken for: its unit, the params it counts, its range in ones, how many rows have a number."""

    role: str
    column: str
    unit: str
    counted: str = ""
    low: float | None = None
    high: float | None = None
    known: int = 0


class Table(NamedTuple):
    """Rows with what their numbers mean; `notes` are things a reader must know, `excluded` runs left out with why.

    `counted` is the count of parameters ("body", "total", "with-head" or "unknown"), `source` where the rows are from.
    """

    rows: tuple[Row, ...]
    unit: str
    counted: str
    flop_from: str
    excluded: tuple[dict[str, str], ...] = ()
    notes: tuple[Problem, ...] = ()
    held_out: frozenset[str] = frozenset()
    columns: tuple[Seen, ...] = ()
    source: str = ""


def text_of_columns(table: Table) -> str:
    """What was read, for people: one line a column, with its unit and range.

    Example:
        >>> from keel.laws.read.table import read
        >>> print(text_of_columns(read([{"N": 1e7, "D": 2e8, "loss": 3.0}, {"N": 2e7, "D": 4e8, "loss": 2.9}])))
        [[Columns]] read from list: 2 rows
          role    column  read as              from     to       rows
          params  N       ones, count unknown  10M      20M      2
          tokens  D       ones                 200M     400M     2
          loss    loss    loss                 2.9      3        2
          flop    -       6 N D                1.2e+16  4.8e+16  2
    """
    lines = [("role", "column", "read as", "from", "to", "rows")]
    for one in table.columns:
        show = show_count if one.role in COUNTED else "{:.4g}".format
        low, high = ("" if bound is None else show(bound) for bound in (one.low, one.high))
        unit = f"{one.unit}, count {one.counted}" if one.counted else one.unit
        lines.append((one.role, one.column, unit, low, high, str(one.known)))
    if not any(one.role == "flop" for one in table.columns):
        flop = [row.flop for row in table.rows]
        lines.append(("flop", "-", table.flop_from, f"{min(flop):.3g}", f"{max(flop):.3g}", str(len(flop))))
    widths = [max(map(len, column)) for column in zip(*lines)]
    body = "\n".join("  " + "  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines)
    return f"[[Columns]] read from {table.source}: {len(table.rows)} rows\n{body}"
