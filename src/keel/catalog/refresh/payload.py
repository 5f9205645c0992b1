"""What providers share: JSON and CSV as downloaded, and the cells of a row that is already known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.catalog import tables
from keel.catalog.store import Catalogue
from keel.catalog.tables import Table
from keel.errors import StudyError


def parsed(data: bytes, name: str) -> Any:
    """JSON of a payload.

    Raises:
        StudyError: it is none.
    """
    try:
        return json.loads(data)
    except (ValueError, UnicodeDecodeError) as error:
        raise StudyError(f"{name} is no JSON", why=str(error), fix="download it again", where=name) from error


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    """A JSON object, or what to do where the payload is another thing."""
    if not isinstance(value, Mapping):
        raise StudyError(f"{name} is not what this provider sends", why=f"found {type(value).__name__}, not an object",
                         fix="pass the file of the address that `keel catalog refresh` names", where=name)  # fmt: skip
    return value


def lines(data: bytes, name: str, *columns: str) -> list[dict[str, str]]:
    """CSV rows of a payload that has these columns.

    Raises:
        StudyError: it is no UTF-8 text, or a column is missing.
    """
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise StudyError(f"{name} is no UTF-8 text", why=str(error), fix="download it again", where=name) from error
    missing = [column for column in columns if column not in (rows.fieldnames or ())]
    if missing:
        raise StudyError(f"{name} has no column {', '.join(missing)}", why=f"found {', '.join(rows.fieldnames or ())}",
                         fix="pass the file of the address that `keel catalog refresh` names", where=name)  # fmt: skip
    return [{key: value or "" for key, value in row.items() if key} for row in rows]


def cells_of(known: Catalogue, table: Table) -> dict[tuple[str, ...], dict[str, str]]:
    """Rows as text, by their key, the shipped ones under the user's."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    key = [column for field in table.key for column, (name, _) in table.columns.items() if name == field]
    for path in [tables.FOLDER / table.file, *known.files(table)]:
        for row in lines(Path(path).read_bytes(), path.name):
            found[tuple(row.get(column, "").strip() for column in key)] = row
    return found
