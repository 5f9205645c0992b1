"""The catalogue: the shipped tables, with the user's own rows laid over them. A table is read when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from keel.catalog import tables
from keel.catalog.rows import Accelerator, Corpus, Model, Offer, Result
from keel.catalog.tables import TABLES, Table
from keel.files import digest, sha256_file

OVERLAY = "catalog"  # the folder of a study that holds the user's rows, in files named as the shipped ones


class Catalogue:
    """Known facts by id; a row of the overlay wins over the shipped row of the same key.

    Example:
        >>> known = Catalogue()
        >>> known.models["bert-base-uncased"].licence_class, known.accelerators["t4"].bf16_native
        ('permissive', False)
    """

    def __init__(self, overlay: Path | None = None) -> None:
        self.overlay = overlay if overlay is not None and overlay.is_dir() else None

    @cached_property
    def models(self) -> Mapping[str, Model]:
        return {row.id: row for row in self._rows(tables.MODELS)}

    @cached_property
    def results(self) -> tuple[Result, ...]:
        return tuple(self._rows(tables.RESULTS))

    @cached_property
    def corpora(self) -> Mapping[str, Corpus]:
        return {row.id: row for row in self._rows(tables.CORPORA)}

    @cached_property
    def accelerators(self) -> Mapping[str, Accelerator]:
        return {row.id: row for row in self._rows(tables.ACCELERATORS)}

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        return tuple(self._rows(tables.OFFERS))

    @cached_property
    def overlays(self) -> tuple[str, ...]:
        """The overlay files that are laid over, as paths within the study."""
        found = [table.file for table in TABLES.values() if self._own(table)]
        return tuple(f"{OVERLAY}/{name}" for name in found)

    @cached_property
    def digest(self) -> str:
        """sha256 of every file that the catalogue is made of."""
        shipped = {table.file: sha256_file(tables.FOLDER / table.file) for table in TABLES.values()}
        own = {table.file: sha256_file(path) for table in TABLES.values() if (path := self._own(table))}
        return digest({"shipped": shipped, "overlay": own})

    def _own(self, table: Table) -> Path | None:
        path = self.overlay / table.file if self.overlay else None
        return path if path is not None and path.is_file() else None

    def _rows(self, table: Table) -> list[Any]:
        rows = tables.read(table, tables.FOLDER / table.file)
        if (path := self._own(table)) is None:
            return rows
        found = {_key(table, row): row for row in rows}
        found |= {_key(table, row): row for row in tables.read(table, path, f"{OVERLAY}/{table.file}")}
        return list(found.values())


def of_study(folder: Path) -> Catalogue:
    """The catalogue that a study sees: its own rows lie in its folder `catalog/`."""
    return Catalogue(folder / OVERLAY)


def _key(table: Table, row: Any) -> tuple[Any, ...]:
    return tuple(getattr(row, field) for field in table.key)
