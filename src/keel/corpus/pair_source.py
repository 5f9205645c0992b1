"""Pairs of a study: two files of lines, two fields of records, or prompts with their answers, as one stream.

Files of one language and those of the other belong together where what stands for the `*` of their globs is the same.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keel.corpus import formats, instructions, parallel, places
from keel.corpus.instructions import Task, Template
from keel.corpus.parallel import Pair
from keel.corpus.readers import peek
from keel.data import Data
from keel.errors import Problem, StudyError, nearest

SHOWN = 5
WHERE = "study.toml: [data] parallel"
WILD = re.compile(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])")


@dataclass
class PairSource:
    """Files and fields of a corpus of pairs; `empty` and `num_empty` fill while pairs are read.

    `sets` are files that are read together: two of lines, or one of records.
    """

    root: Path
    data: Data
    format: str
    sets: list[tuple[Path, ...]]
    base: Path
    problems: list[Problem] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    num_empty: int = 0

    @property
    def kind(self) -> str:
        """ "parallel" or "instructions"."""
        return self.data.kind

    @property
    def files(self) -> list[Path]:
        """All files, in the order in which they are read."""
        return [path for each in self.sets for path in each]

    @property
    def bytes(self) -> int:
        """Bytes of the files as they lie on disk."""
        return sum(path.stat().st_size for path in self.files)

    def name(self, path: Path) -> str:
        """A file's path relative to the study's folder."""
        return Path(os.path.relpath(path, self.root)).as_posix()

    def key(self, path: Path) -> str:
        """A file's name below the data's own folder."""
        return Path(os.path.relpath(path, self.base)).as_posix()

    def pairs(self) -> Iterator[Pair]:
        """Every pair with text on both sides; what has an empty side is counted, and the first five are named.

        Raises:
            StudyError: two files of unequal numbers of lines (all such), a file that cannot be read, a record without
                one of the fields, half a character.
        """
        self.empty, self.num_empty, problems = [], 0, list[Problem]()
        for files in self.sets:
            try:
                yield from self._whole(files)
            except StudyError as error:
                problems += error.problems
        if problems:
            raise StudyError.all(problems)

    def _whole(self, files: tuple[Path, ...]) -> Iterator[Pair]:
        for pair in self._read(files):
            for text in (pair.source, pair.target):
                _check_characters(text, f"{self.name(files[0])}:{pair.number}")
            if pair.source.strip() and pair.target.strip():
                yield pair
                continue
            self.num_empty += 1
            if len(self.empty) < SHOWN:
                self.empty.append(f"{self.name(files[0])}:{pair.number}")

    def _read(self, files: tuple[Path, ...]) -> Iterator[Pair]:
        data = self.data
        if data.kind == "instructions":
            told = [Template(*each) for each in data.templates]
            return instructions.pairs(Task(files[0], told, data.encoding, data.task or "", data.group or ""))
        if len(files) == 2:
            return parallel.from_files(files[0], files[1], data.encoding)
        return parallel.from_table(files[0], list((data.parallel or {}).values()), data.encoding, data.group or "")


def _check_characters(text: str, where: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise StudyError("a text holds half a character", why=f"{error.object[error.start]!r}: {error.reason}",
                         fix="mend that record: UTF-8 cannot hold it", where=where) from error  # fmt: skip


def open_pairs(root: Path, data: Data) -> PairSource:
    """Find the files of a study's pairs, and its fields in the first record; `root` is the study's folder.

    Raises:
        StudyError: nothing there, files without a partner, plain text where records are needed, a field that the first
            record has not; all problems at once.
    """
    if not data.train:
        sets = _matched(root, dict(data.parallel or {}))
        base = Path(os.path.commonpath([os.path.abspath(path.parent) for each in sets for path in each]))
        return PairSource(root, data, "lines", sets, base)
    found = places.find(root, data.patterns)
    seen = peek(root, data.patterns, data.encoding)
    if set(seen.format.split(" + ")) & formats.PLAIN:
        raise StudyError("plain text has no fields", why="[data] names fields of records", where="study.toml",
                         fix="bring jsonl, csv or parquet; or name two files of lines: "
                         "parallel = { en = ..., de = ... } without train")  # fmt: skip
    if problems := _fields(data, list(seen.fields)):
        raise StudyError.all(problems)
    return PairSource(root, data, seen.format, [(path,) for path in found.files], found.base, list(found.notes))


def _fields(data: Data, known: list[str]) -> list[Problem]:
    """Fields that the study names and the first record has not."""
    roles = [(f"parallel.{language}", name) for language, name in (data.parallel or {}).items()]
    for role, texts in zip(("prompt", "answer"), zip(*data.templates)):
        roles += [(role, name) for text in texts for name in instructions.fields(text)]
    roles += [(role, name) for role, name in (("group", data.group), ("task", data.task)) if name]
    shown = "the first record has: " + (", ".join(known) or "no fields")
    return [
        Problem(f"there is no field '{name}'", shown, nearest(name, known) if known else "mend the first record",
                f"study.toml: [data] {role}")
        for role, name in dict.fromkeys(roles) if name not in known
    ]  # fmt: skip


# ---- two files of lines ----


def _matched(root: Path, named: dict[str, str]) -> list[tuple[Path, ...]]:
    """Files of the first language with those of the second, by what their wildcards stand for."""
    found, problems = [], []
    for language, pattern in named.items():
        files = _named(root, pattern)
        if not files:
            why = "it is a folder" if (root / pattern).is_dir() else "nothing is there"
            problems.append(Problem(f"no file of lines at '{pattern}'", why, "name a file, or a glob of files",
                                    f"{WHERE}.{language}"))  # fmt: skip
        found.append(files)
    if problems:
        raise StudyError.all(problems)
    left, right = found
    alone = [*(left[key] for key in left.keys() - right.keys()), *(right[key] for key in right.keys() - left.keys())]
    if alone:
        shown = ", ".join(sorted(path.name for path in alone)[:SHOWN]) + (" ..." if len(alone) > SHOWN else "")
        raise StudyError(f"{len(alone)} files have no partner in the other language", why=shown, where=WHERE,
                         fix="name globs that differ in the language alone: en = 'x/*.en', de = 'x/*.de'")  # fmt: skip
    return [(left[key], right[key]) for key in sorted(left)]


def _named(root: Path, pattern: str) -> dict[tuple[str, ...], Path]:
    """What stands for a glob's wildcards -> the file; of a plain name nothing does."""
    start = root / pattern
    if start.exists():
        return {(): start} if start.is_file() else {}
    parts = [_regex(part) for part in WILD.split(pattern)]
    paths = (Path(name) for name in sorted(glob.glob(pattern, root_dir=root, recursive=True)))
    files = {path.as_posix(): root / path for path in paths if (root / path).is_file()}
    matches = {name: re.fullmatch("".join(parts), name) for name in files}
    return {match.groups(): files[name] for name, match in matches.items() if match}


def _regex(part: str) -> str:
    """A wildcard as a group of a regular expression; other text as itself."""
    known = {"**/": "((?:.*/)?)", "**": "(.*)", "*": "([^/]*)", "?": "([^/])"}
    if part in known:
        return known[part]
    if part.startswith("[") and part.endswith("]"):
        inside = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"([{'^' + inside[1:] if inside.startswith('!') else inside}])"
    return re.escape(part)
