"""The catalogue: the shipped tables, with the user's own rows laid over them. A table is read when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from keel.catalog import overlay, tables
from keel.catalog.rows import Accelerator, Corpus, Model, Offer, Result
from keel.catalog.tables import TABLES, Table
from keel.errors import Problem, StudyError
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
        """The overlay files that are laid over, as paths within the study, in the order in which they are."""
        return tuple(f"{OVERLAY}/{path.name}" for table in TABLES.values() for path in self.files(table))

    @cached_property
    def digest(self) -> str:
        """sha256 of every file that the catalogue is made of."""
        shipped = {table.file: sha256_file(tables.FOLDER / table.file) for table in TABLES.values()}
        own = {path.name: sha256_file(path) for table in TABLES.values() for path in self.files(table)}
        return digest({"shipped": shipped, "overlay": own})

    def check(self) -> None:
        """Read every overlay file now.

        Raises:
            StudyError: all that is wrong with the user's rows, over all files.
        """
        found = [problem for table in TABLES.values() for problem in self._read_own(table)[1]]
        found += overlay.strays(self.overlay) if self.overlay else []
        if found:
            raise StudyError.all(found)

    def files(self, table: Table) -> list[Path]:
        """The user's files of a table, the later over the earlier: refreshes by their date, then their own."""
        if self.overlay is None:
            return []
        dated = sorted(path for path in self.overlay.iterdir() if overlay.is_dated(table, path.name))
        return [*dated, *(path for path in [self.overlay / table.file] if path.is_file())]

    def _read_own(self, table: Table) -> tuple[list[Any], list[Problem]]:
        rows: list[Any] = []
        problems: list[Problem] = []
        for path in self.files(table):
            found, wrong = tables.scan(table, path, f"{OVERLAY}/{path.name}")
            rows += found
            problems += wrong + overlay.problems(table, found, Path(OVERLAY) / path.name, self.names)
        return rows, problems

    @cached_property
    def names(self) -> Mapping[str, frozenset[str]]:
        """Ids that a row may point to: the shipped ones and those of the overlay that can be read."""
        found = {}
        for name, table in (("models", tables.MODELS), ("accelerators", tables.ACCELERATORS)):
            own = [row for path in self.files(table) for row in tables.scan(table, path)[0]]
            found[name] = frozenset(row.id for row in [*shipped(table.file), *own])
        return found

    def _rows(self, table: Table) -> list[Any]:
        rows = shipped(table.file)
        own, problems = self._read_own(table)
        if problems:
            raise StudyError.all(problems)
        return list({_key(table, row): row for row in [*rows, *own]}.values())


@cache
def shipped(file: str) -> tuple[Any, ...]:
    """The rows of a shipped table, read once."""
    table = next(table for table in TABLES.values() if table.file == file)
    return tuple(tables.read(table, tables.FOLDER / file))


def of_study(folder: Path) -> Catalogue:
    """The catalogue that a study sees: its own rows lie in its folder `catalog/`."""
    return Catalogue(folder / OVERLAY)


def _key(table: Table, row: Any) -> tuple[Any, ...]:
    return tuple(getattr(row, field) for field in table.key)
