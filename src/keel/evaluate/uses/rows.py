"""The user's labelled rows from jsonl, csv, parquet or arrow, and their split by hash. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keel.corpus import formats
from keel.corpus.split import key_hash, place
from keel.errors import Problem, StudyError, nearest

SHARE = 0.2
SHOWN = 5


class Row(NamedTuple):
    """A text and what is to be said of it: a label, a summary, a translation, or the text that answers a query.

    Rows of one `group` (an author, a page) are all trained on or all tested on. `number` is that of its record.
    """

    text: str
    answer: str
    group: str = ""
    number: int = 0


class Split(NamedTuple):
    """Rows to learn from, and rows to be judged by."""

    train: list[Row]
    test: list[Row]


def read(path: Path, text: str = "text", answer: str = "label", group: str = "", encoding: str = "utf-8") -> list[Row]:
    """All rows of a file; `text`, `answer` and `group` name its fields.

    Raises:
        StudyError: no rows, or some without a text, an answer or a group (all counted, the first five shown).
    """
    fields = [text, answer, *([group] if group else [])]
    rows, problems, wrong = list[Row](), list[Problem](), 0
    for record in formats.records(path, encoding, fields):
        found = [_value(record.values.get(name)) for name in fields]
        missing = [name for name, value in zip(fields, found) if not value]
        if missing:
            wrong += 1
            if len(problems) < SHOWN:
                problems.append(_problem(record, missing[0], path))
        else:
            rows.append(Row(found[0], found[1], found[2] if group else "", record.number))
    if problems:
        if wrong > len(problems):
            problems.append(Problem(f"{wrong} rows in all cannot be used", "see those before", "mend or remove them",
                                    str(path)))  # fmt: skip
        raise StudyError.all(problems)
    if not rows:
        raise StudyError("there are no rows", why="the file is empty", where=str(path),
                         fix=f'write one {{"{text}": ..., "{answer}": ...}} a line')  # fmt: skip
    return rows


def _value(value: Any) -> str:
    """Text as it is, a number as it is written; nothing for what is empty or neither."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return str(value).lower() if isinstance(value, bool) else ""
    text = str(value)
    return text if text.strip() and value == value else ""


def _problem(record: formats.Record, name: str, path: Path) -> Problem:
    keys = record.keys or tuple(record.values)
    there = name in keys
    why = f"found {record.values.get(name)!r}"[:120] if there else f"its fields are {', '.join(keys) or 'none'}"[:300]
    fix = "fill it in, or remove the row" if there else f"name the field; {nearest(name, keys)}"
    return Problem(f"a row has no '{name}'", why, fix, f"{path}:{record.number}")


def split(rows: Sequence[Row], share: float = SHARE, salt: str = "") -> Split:
    """Rows whose group (else text, case and spaces apart) hashes below `share` are to be judged by.

    So no order, no other row and no seed moves a row, and equal texts stay on one side. Rows that are left of one split
    need another `salt` to be split again.

    Raises:
        StudyError: a side is left empty.

    Example:
        >>> made = split([Row(f"text {number}", "a") for number in range(100)])
        >>> len(made.train) + len(made.test), 10 < len(made.test) < 30
        (100, True)
    """
    keys = [row.group or " ".join(row.text.casefold().split()) for row in rows]
    held = [place(key_hash(salt + key)) < share for key in keys]
    found = Split([row for row, test in zip(rows, held) if not test], [row for row, test in zip(rows, held) if test])
    if not found.train or not found.test:
        what = "no row is left to learn from" if not found.train else "no row is left to be judged by"
        raise StudyError(what, why=f"{len(rows)} rows of {len(set(held))} sort, split by the hash of group or text",
                         fix="bring more rows, or split them yourself", where="rows")  # fmt: skip
    return found


def check_classes(split: Split) -> list[str]:
    """The labels to learn, sorted.

    Raises:
        StudyError: fewer than two labels, labels that no row to learn from has, or a side without rows; all of it.
    """
    for name, side in zip(Split._fields, split):
        if not side:
            raise StudyError(f"there is no row to {'learn from' if name == 'train' else 'be judged by'}",
                             why="that side of the split is empty", fix="bring more rows", where="rows")  # fmt: skip
    known, asked = Counter(row.answer for row in split.train), Counter(row.answer for row in split.test)
    problems = []
    if len(known) < 2:
        problems.append(Problem("all rows to learn from have one label", f"'{next(iter(known))}' on {len(split.train)}",
                                "bring rows of at least two labels", "rows"))  # fmt: skip
    if unseen := sorted(asked.keys() - known.keys()):
        shown = ", ".join(f"'{label}' ({asked[label]})" for label in unseen[:SHOWN])
        more = f" and {len(unseen) - SHOWN} more" if len(unseen) > SHOWN else ""
        problems.append(Problem("rows are to be judged by labels that no row to learn from has", f"{shown}{more}",
                                "bring more rows of these, or join or remove rare labels", "rows"))  # fmt: skip
    if problems:
        raise StudyError.all(problems)
    return sorted(known)


def groups_of(rows: Iterable[Row]) -> list[str]:
    """The group of each row where any is named; a row without one is a group of its own."""
    found = [row.group or f"row {place}" for place, row in enumerate(rows)]
    return found if any(not name.startswith("row ") for name in found) else []
