"""A CSV in the catalogue's own columns, from any other source: it goes through the same gates."""

from __future__ import annotations

from keel.catalog.refresh.candidate import Candidate
from keel.catalog.refresh.payload import lines
from keel.catalog.store import Catalogue
from keel.catalog.tables import Table, required


def parse(table: Table, data: bytes, name: str, known: Catalogue, day: str) -> tuple[list[Candidate], list[str]]:
    """Each row as it stands; one without a date has none, and a price without a date is refused."""
    rows = lines(data, name, *required(table))
    key = [column for field in table.key for column, (own, _) in table.columns.items() if own == field]
    return [Candidate(" ".join(filter(None, (row.get(column, "") for column in key))), row) for row in rows], []
