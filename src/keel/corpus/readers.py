"""Any folder of text as a stream of documents: txt, md, jsonl(.gz .zst), csv, parquet, arrow, `datasets` on disk.

Order is that of sorted paths, so it is the same everywhere; memory stays bounded however long a file or a line is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from keel.corpus import formats, places
from keel.corpus.formats import PLAIN, Record
from keel.corpus.places import Found
from keel.data import Data
from keel.errors import Problem, StudyError, nearest

TEXT_NAMES = ("text", "content", "body", "document", "raw_content", "article", "story", "passage", "description")


class Document(NamedTuple):
    """One text with its place; `group` is never split across held-out (None = the document alone)."""

    key: str
    text: str
    group: str | None
    time: str | None


class Peek(NamedTuple):
    """What a first glance shows; `fields` are the first record's, each with the start of its value."""

    format: str
    files: list[Path]
    bytes: int
    fields: dict[str, str]
    text_field: str | None


@dataclass
class Source:
    """Files and fields of a corpus; `problems` fills while documents are read."""

    root: Path
    found: Found
    format: str
    text_field: str | None
    data: Data
    problems: list[Problem] = field(default_factory=list)
    empty: int = 0

    @property
    def files(self) -> list[Path]:
        """All files, sorted."""
        return self.found.files

    @property
    def bytes(self) -> int:
        """Bytes of the files as they lie on disk."""
        return sum(path.stat().st_size for path in self.files)

    def name(self, path: Path) -> str:
        """A file's path relative to the study's folder."""
        return Path(os.path.relpath(path, self.root)).as_posix()

    def key(self, path: Path) -> str:
        """A file's name below the data's own folder."""
        return self.found.key(path)

    def documents(self, files: list[Path] | None = None) -> Iterator[Document]:
        """Every document with text; empty ones are counted in `empty`.

        Raises:
            StudyError: a file that cannot be read, a record without the text field, a text that is not text.
        """
        for path in self.files if files is None else files:
            yield from self._file(path)

    def _file(self, path: Path) -> Iterator[Document]:
        key, pieces = self.found.key(path), 0
        for record in formats.records(path, self.data.encoding, self._columns()):
            document = self._document(key, path, record)
            pieces += 1
            if document is None:
                self.empty += 1
            else:
                yield document
        if pieces > 1 and formats.name_of(path) in PLAIN:
            self._note(path, pieces)

    def _note(self, path: Path, pieces: int) -> None:
        most = f"{formats.PIECE_CHARACTERS >> 20} Mi characters"
        problem = Problem(f"{path.name} was read in {pieces} pieces", f"it is longer than {most}",
                          "nothing to do: its pieces stay on one side of the split", self.name(path))  # fmt: skip
        if problem not in self.problems:
            self.problems.append(problem)

    def _columns(self) -> list[str] | None:
        wanted = [self.text_field, self.data.group, self.data.time]
        return [name for name in wanted if name] if self.text_field else None

    def _document(self, file_key: str, path: Path, record: Record) -> Document | None:
        group: str | None
        if self.text_field is None:
            text, group, time = record.values["text"], file_key, None
        else:
            text = self._field(record, self.text_field, path)
            group = self._optional(record, self.data.group, path)
            time = self._optional(record, self.data.time, path)
        if text is None:
            return None
        if not isinstance(text, str):
            raise StudyError(f"'{self.text_field}' holds no text", why=f"found {type(text).__name__}, not a string",
                             fix="name the text field: [data] text = ...", where=self._where(path, record))  # fmt: skip
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                why = f"{error.object[error.start]!r}: {error.reason}"
                raise StudyError("a text holds half a character", why=why, where=self._where(path, record),
                                 fix="mend that record: UTF-8 cannot hold it") from error  # fmt: skip
        return Document(f"{file_key}#{record.number}", text, group, time) if text.strip() else None

    def _where(self, path: Path, record: Record) -> str:
        return f"{self.name(path)}:{record.number}"

    def _field(self, record: Record, wanted: str, path: Path) -> object:
        if wanted not in record.values:
            raise StudyError(
                f"there is no field '{wanted}'",
                why="the first such record has: " + (", ".join(map(str, record.keys or record.values)) or "no fields"),
                fix=nearest(wanted, [str(name) for name in record.keys or record.values]),
                where=self._where(path, record),
            )
        return record.values[wanted]

    def _optional(self, record: Record, wanted: str | None, path: Path) -> str | None:
        if wanted is None:
            return None
        value = self._field(record, wanted, path)
        return None if value is None else str(value)


def open_source(root: Path, data: Data) -> Source:
    """Find the files and the text field of a study's data, `root` being the study's folder.

    Raises:
        StudyError: nothing there, no known format, or no field that holds text; all problems at once.
    """
    found = places.find(root, data.patterns)
    seen = _glance(found, data.patterns, data.encoding)
    if _is_plain(seen.format):
        if data.text or data.group or data.time:
            raise StudyError("plain text has no fields", why="[data] names text, group or time", where="study.toml",
                             fix="remove it, or bring jsonl, csv or parquet")  # fmt: skip
        return Source(root, found, seen.format, None, data, problems=list(found.notes))
    known = list(seen.fields)
    shown = "the first record has: " + (", ".join(known) or "no fields")
    problems = [
        Problem(f"there is no field '{wanted}'", shown, nearest(wanted, known) if known else "mend the first record",
                f"study.toml: [data] {role}")
        for role, wanted in (("text", data.text), ("group", data.group), ("time", data.time))
        if wanted and wanted not in known
    ]  # fmt: skip
    text_field = data.text or seen.text_field
    if text_field is None:
        problems.append(Problem("no field holds text", shown, "name it: [data] text = ...", "study.toml"))
    if problems:
        raise StudyError.all(problems)
    return Source(root, found, seen.format, text_field, data, problems=list(found.notes))


def peek(root: Path, patterns: tuple[str, ...], encoding: str = "utf-8") -> Peek:
    """The files behind `patterns` and the fields of the first record, without reading further.

    Raises:
        StudyError: nothing there, several formats, or files without a single record.
    """
    return _glance(places.find(root, patterns), patterns, encoding)


def _glance(found: Found, patterns: tuple[str, ...], encoding: str) -> Peek:
    kinds = sorted({formats.name_of(path) for path in found.files})
    total = sum(path.stat().st_size for path in found.files)
    name, where = " + ".join(kinds), ", ".join(patterns)
    if _is_plain(name):
        return Peek(name, found.files, total, {}, None)
    if len(kinds) > 1:
        raise StudyError("several formats in one corpus", why=", ".join(kinds), where=where,
                         fix=f'name one: [data] train = "folder/**/*.{kinds[0]}"')  # fmt: skip
    for path in found.files:
        for record in formats.records(path, encoding, None):
            fields = {str(field): value for field, value in record.values.items()}
            shown = {field: str(value)[:80] for field, value in fields.items()}
            return Peek(name, found.files, total, shown, _text_field(fields))
    raise StudyError("the corpus has no records", why=f"{len(found.files)} {name} files, all empty",
                     fix="check the folder", where=where)  # fmt: skip


def _is_plain(name: str) -> bool:
    """Whether the named kinds hold nothing but text, without fields."""
    return set(name.split(" + ")) <= PLAIN


def _text_field(values: dict[str, object]) -> str | None:
    """A common name for text, else the longest string of the record."""
    texts = {str(name): value for name, value in values.items() if isinstance(value, str)}
    for name in TEXT_NAMES:
        if name in texts:
            return name
    return max(texts, key=lambda name: len(str(texts[name]))) if texts else None
