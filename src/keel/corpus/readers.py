"""Any folder of text as a stream of documents: txt, md, jsonl(.gz .zst), csv, parquet, arrow, `datasets` on disk.

Order is that of sorted paths, so it is the same everywhere; memory stays bounded however long a file or a line is.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from keel.corpus import formats
from keel.corpus.formats import Record
from keel.errors import Problem, StudyError, nearest
from keel.study import Data

TEXT_NAMES = ("text", "content", "body", "document", "raw_content", "article", "story", "passage", "description")
PLAIN = frozenset({".txt", ".md"})


class Document(NamedTuple):
    """One text with its place; `group` is never split across held-out (None = the document alone)."""

    key: str
    text: str
    group: str | None
    time: str | None


class Peek(NamedTuple):
    """What a first glance shows."""

    format: str
    files: list[Path]
    bytes: int
    fields: dict[str, str]
    text_field: str | None


@dataclass
class Source:
    """Files and fields of a corpus; `problems` fills while documents are read."""

    root: Path
    files: list[Path]
    format: str
    text_field: str | None
    data: Data
    problems: list[Problem] = field(default_factory=list)
    empty: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of the files as they lie on disk."""
        return sum(path.stat().st_size for path in self.files)

    def name(self, path: Path) -> str:
        """A file's path relative to the study, the same on every machine."""
        return Path(os.path.relpath(path, self.root)).as_posix()

    def documents(self, files: list[Path] | None = None) -> Iterator[Document]:
        """Every document with text; empty ones are counted in `empty`.

        Raises:
            StudyError: a file that cannot be read, a record without the text field, a text that is not text.
        """
        for path in self.files if files is None else files:
            yield from self._file(path)

    def _file(self, path: Path) -> Iterator[Document]:
        name, pieces = self.name(path), 0
        for record in formats.records(path, self.data.encoding, self._columns()):
            document = self._document(name, path, record)
            pieces += 1
            if document is None:
                self.empty += 1
            else:
                yield document
        if _suffix(path) in PLAIN and pieces > 1:
            self._note(name, pieces)

    def _note(self, name: str, pieces: int) -> None:
        problem = Problem(f"{name} was read in {pieces} pieces", f"it is longer than {formats.PIECE_BYTES >> 20} MiB",
                          "nothing to do: its pieces stay on one side of the split", name)  # fmt: skip
        if problem not in self.problems:
            self.problems.append(problem)

    def _columns(self) -> list[str] | None:
        wanted = [self.text_field, self.data.group, self.data.time]
        return [name for name in wanted if name] if self.text_field else None

    def _document(self, name: str, path: Path, record: Record) -> Document | None:
        key = f"{name}#{record.number}"
        if self.text_field is None:
            text, group, time = record.values["text"], name, None
        else:
            text = self._field(record, self.text_field, path)
            group = self._optional(record, self.data.group, path)
            time = self._optional(record, self.data.time, path)
        if not isinstance(text, str):
            found = "null" if text is None else type(text).__name__
            raise StudyError(f"'{self.text_field}' holds no text", why=f"found {found}, expected a string",
                             fix="name the text field: [data] text = ...", where=f"{name}:{record.number}")  # fmt: skip
        if not text.strip():
            return None
        return Document(key, text, group, time)

    def _field(self, record: Record, wanted: str, path: Path) -> object:
        if wanted not in record.values:
            raise StudyError(
                f"there is no field '{wanted}'",
                why="the first such record has: " + (", ".join(map(str, record.keys or record.values)) or "no fields"),
                fix=nearest(wanted, [str(name) for name in record.keys or record.values]),
                where=f"{self.name(path)}:{record.number}",
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
    seen = peek(root, data.patterns, data.encoding)
    if seen.format in ("txt", "md") and (data.text or data.group or data.time):
        raise StudyError("txt files have no fields", why="[data] names text, group or time", where="study.toml",
                         fix="remove it, or bring jsonl, csv or parquet")  # fmt: skip
    known = list(seen.fields)
    problems = [
        Problem(f"there is no field '{wanted}'", "the first record has: " + ", ".join(known), nearest(wanted, known),
                f"study.toml: [data] {role}")
        for role, wanted in (("text", data.text), ("group", data.group), ("time", data.time))
        if wanted and known and wanted not in known
    ]  # fmt: skip
    if problems:
        raise StudyError.all(problems)
    text_field = data.text or seen.text_field
    if known and text_field is None:
        raise StudyError("no field holds text", why="the first record has: " + ", ".join(known), where="study.toml",
                         fix="name it: [data] text = ...")  # fmt: skip
    return Source(root, seen.files, seen.format, text_field, data)


def peek(root: Path, patterns: tuple[str, ...], encoding: str = "utf-8") -> Peek:
    """The files behind `patterns` and the fields of the first record."""
    files = _files(root, patterns)
    kinds = sorted({formats.name_of(path) for path in files})
    plain = {"txt", "md"}
    if len(kinds) > 1 and not set(kinds) <= plain:
        raise StudyError("several formats in one corpus", why=", ".join(kinds), fix="name one: [data] train = \"x/*.jsonl\"",
                         where=", ".join(patterns))  # fmt: skip
    total = sum(path.stat().st_size for path in files)
    if set(kinds) <= plain:
        return Peek(kinds[0], files, total, {}, None)
    values: dict[str, object] = {}
    for path in files:
        for record in formats.records(path, encoding, None):
            values = dict(record.values)
            break
        if values:
            break
    if not values:
        raise StudyError("the corpus has no records", why=f"{len(files)} {kinds[0]} files, all empty",
                         fix="check the folder", where=", ".join(patterns))  # fmt: skip
    return Peek(kinds[0], files, total, {str(name): str(value)[:80] for name, value in values.items()}, _text_field(values))


def _text_field(values: dict[str, object]) -> str | None:
    """A common name for text, else the longest string of the record."""
    texts = {str(name): value for name, value in values.items() if isinstance(value, str)}
    for name in TEXT_NAMES:
        if name in texts:
            return name
    return max(texts, key=lambda name: len(str(texts[name]))) if texts else None


def _files(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Known files under each pattern, sorted, each once."""
    found: dict[Path, None] = {}
    problems = []
    for pattern in patterns:
        start = root / pattern
        paths = _walk(start) if start.exists() else sorted(map(Path, glob.glob(str(start), recursive=True)))
        inside = [file for path in paths for file in (_walk(path) if path.is_dir() else [path])]
        usable = [path for path in inside if formats.name_of(path)]
        if not usable:
            seen = sorted({path.suffix or path.name for path in inside})[:8]
            why = "nothing matches" if not inside else f"{len(inside)} files, none of a known kind ({', '.join(seen)})"
            problems.append(Problem(f"no data at '{pattern}'", why, f"known kinds: {', '.join(formats.KINDS)}", str(start)))
        found |= dict.fromkeys(usable)
    if problems:
        raise StudyError.all(problems)
    return sorted(found)


def _walk(path: Path) -> list[Path]:
    """Files below a folder (hidden ones left out); a link to a folder is not followed, so loops cannot trap us."""
    if path.is_file():
        return [path]
    files = []
    for folder, folders, names in os.walk(path, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # `datasets` leaves intermediate results beside a saved data set; they repeat it.
        kept = [name for name in sorted(names) if not name.startswith(".") and not name.startswith("cache-")]
        files += [Path(folder) / name for name in kept if (Path(folder) / name).is_file()]
    return files


def _suffix(path: Path) -> str:
    return path.suffix.lower()
