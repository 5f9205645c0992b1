"""Two texts that say the same line by line -> pairs of token arrays on disk, some of them held out.

Lines end with a line feed and nothing else: Python's `splitlines` also cuts at U+2028, form feeds and more, after which
one side is a line ahead of the other for the rest of the file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keel.corpus import formats
from keel.corpus.pair_writer import END, PARTS, SCHEMA, SIDES, Kept, Rule, Writer, by_share, check_parts
from keel.corpus.pair_writer import Pair as Pair
from keel.corpus.tokenizer import load
from keel.corpus.vocabulary import vocabulary_of
from keel.errors import Problem, StudyError, nearest
from keel.files import digest, read_json, sha256_file, write_text

BATCH_LINES = 1024


def from_files(source: Path, target: Path, encoding: str = "utf-8") -> Iterator[Pair]:
    """Line n of one file with line n of the other, without their ends.

    Raises:
        StudyError: the files have unequal numbers of lines (both are counted), or cannot be read.
    """
    both = zip_longest(formats.lines(source, encoding), formats.lines(target, encoding))
    for left, right in both:
        if left is None or right is None:
            number, _ = left or right or (0, "")
            longer = number + sum(1 for _ in both)
            counts = [number - 1 if side is None else longer for side in (left, right)]
            raise StudyError(
                "two parallel files have unequal numbers of lines", where=f"{source}, {target}",
                why=f"{source.name} has {counts[0]} and {target.name} {counts[1]}, so some line has no partner",
                fix="align them again, an empty line where one side has nothing",
            )  # fmt: skip
        yield Pair(left[0], left[1].rstrip("\r\n"), right[1].rstrip("\r\n"))


def from_table(path: Path, fields: Sequence[str] = (), encoding: str = "utf-8", group: str = "") -> Iterator[Pair]:
    """Two fields of every record of a jsonl, csv, parquet or arrow file; of a tsv without header, its two columns.

    `group` names the field of records that are never split.

    Raises:
        StudyError: a field is missing or no text, or a line of a tsv has not two columns.
    """
    if path.name.lower().endswith((".tsv", ".tsv.gz", ".tsv.zst")):
        yield from _columns(path, encoding)
        return
    if len(fields) != 2:
        raise StudyError("no two fields are named", why=f"found {list(fields)}", where=str(path),
                         fix="name the field of the source and that of the target")  # fmt: skip
    for record in formats.records(path, encoding, [*fields, *([group] if group else [])]):
        wrong = [name for name in fields if not isinstance(record.values.get(name), str)]
        if wrong:
            raise StudyError(f"a record has no text in '{wrong[0]}'", fix=nearest(wrong[0], record.values),
                             why=f"found {record.values.get(wrong[0])!r}"[:200],
                             where=f"{path}:{record.number}")  # fmt: skip
        key = named(record.values, group, f"{path}:{record.number}") if group else ""
        yield Pair(record.number, record.values[fields[0]], record.values[fields[1]], key)


def named(values: Mapping[str, Any], field: str, where: str) -> str:
    """The name that a field holds: of a group, of a task.

    Raises:
        StudyError: there is no such field, or it is empty.
    """
    found = str(values.get(field, "") or "").strip()
    if not found:
        raise StudyError(f"a record has no '{field}'", why=f"found {values.get(field)!r}"[:200], where=where,
                         fix="fill it in" if field in values else nearest(field, values))  # fmt: skip
    return found


def _columns(path: Path, encoding: str) -> Iterator[Pair]:
    for number, line in formats.lines(path, encoding):
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != 2:
            raise StudyError("a line has not two columns", why=f"found {len(cells)}", where=f"{path}:{number}",
                             fix="write source, one tab, target")  # fmt: skip
        yield Pair(number, *cells)


class Lines:
    """One side of a bitext: tokens [N] of all lines in a row, and where each line ends [L]."""

    def __init__(self, tokens: np.ndarray, ends: np.ndarray) -> None:
        self.tokens, self.ends = tokens, ends

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self.ends):
            raise IndexError(index)
        return np.asarray(self.tokens[int(self.ends[index - 1]) if index else 0 : int(self.ends[index])])

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each line [L]."""
        return np.diff(self.ends, prepend=0)


class Bitext:
    """Pairs of tokenised lines, memory-mapped: `train` and `heldout` are (source, target)."""

    kind: ClassVar[str] = "parallel"

    def __init__(self, folder: Path, index: Mapping[str, Any]) -> None:
        self.folder, self.tokenizer_path = folder, folder / "tokenizer.json"
        self.languages: tuple[str, str] = (index["languages"][0], index["languages"][1])
        self.vocabulary, self.empty, self.num_empty = int(index["vocabulary"]), index["empty"], int(index["num_empty"])
        self.num_trained, self.heldout_bytes = int(index["num_trained"]), int(index["heldout_bytes"])
        self.heldout_sha256 = digest([index["files"][f"heldout.{side}.{end}"] for side in SIDES
                                      for end in ("bin", "ends")])  # fmt: skip
        dtype = np.dtype(index["dtype"])
        self.train, self.heldout = (
            tuple(Lines(_read(folder / f"{part}.{side}.bin", dtype), _read(folder / f"{part}.{side}.ends", END))
                  for side in SIDES)
            for part in PARTS
        )  # fmt: skip

    def heldout_tokens(self) -> np.ndarray:
        """All held-out tokens, those of the source first."""
        return np.concatenate([np.asarray(side.tokens) for side in self.heldout]).astype(np.int64)

    def token_counts(self) -> np.ndarray:
        """How often each token stands on either side of the pairs to train on, shape (vocabulary,)."""
        return np.asarray(sum(np.bincount(side.tokens, minlength=self.vocabulary) for side in self.train))

    @property
    def problems(self) -> list[Problem]:
        """What was left out, and where it stood."""
        found, where = [], str(self.folder)
        if self.num_empty:
            shown = ", ".join(map(str, self.empty)) + (" ..." if self.num_empty > len(self.empty) else "")
            found.append(Problem(f"{self.num_empty} pairs have an empty side and are left out", f"lines {shown}",
                                 "nothing to do, unless you expected a translation there", where))  # fmt: skip
        if self.num_trained:
            found.append(Problem(f"{self.num_trained} held-out pairs are left out",
                                 "their source is also trained on, in another group", "nothing to do",
                                 where))  # fmt: skip
        return found


def _read(path: Path, dtype: np.dtype[Any]) -> np.ndarray:
    # An empty file cannot be mapped.
    return np.memmap(path, dtype=dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)


def open_bitext(folder: Path) -> Bitext:
    """Open what `write` left after holding every file against its checksum.

    Raises:
        StudyError: a file is missing, truncated or edited; it is named.
    """
    index = read_json(folder / "index.json", SCHEMA)
    for name, known in index["files"].items():
        check_file(folder, name, known)
    return Bitext(folder, index)


def check_file(folder: Path, name: str, known: str) -> None:
    """Hold a file against its checksum.

    Raises:
        StudyError: it is missing, truncated or edited.
    """
    if not (folder / name).exists() or sha256_file(folder / name) != known:
        raise StudyError(
            f"{name} is not what was written", why="it is missing, truncated or edited (sha256 differs)",
            fix=f"delete the folder {folder.name} and make it again", where=str(folder / name),
        )  # fmt: skip


def write(
    folder: Path, pairs: Iterable[Pair], tokenizer_json: str, languages: Sequence[str], heldout_share: float = 0.02,
    rule: Rule | None = None, identity: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Tokenise pairs into `folder`; those with an empty side are left out and named, equal sources stay on one side.

    `rule` says what is held out, in place of a share. The index comes last, so that a folder without one is made again.

    Raises:
        StudyError: no pair is left to train on, or none is held out.
    """
    if folder.exists():
        shutil.rmtree(folder)
    writer = Writer(
        folder,
        load(tokenizer_json),
        languages,
        rule or Rule(vocabulary_of(tokenizer_json).size, by_share(heldout_share)),
        Kept(),
    )
    left = iter(pairs)
    while batch := list(islice(left, BATCH_LINES)):
        writer.add(batch)
    write_text(folder / "tokenizer.json", tokenizer_json)
    counts = writer.close(identity, ["tokenizer.json"])
    if not all(counts.values()):
        (folder / "index.json").unlink()
    check_parts(counts, folder)
