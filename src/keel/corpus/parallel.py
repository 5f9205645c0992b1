"""Two texts that say the same line by line -> pairs of token arrays on disk, some of them held out.

Lines end with a line feed and nothing else: Python's `splitlines` also cuts at U+2028, form feeds and more, after which
one side is a line ahead of the other for the rest of the file.
"""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from keel.corpus import formats
from keel.corpus.split import key_hash, place
from keel.corpus.tokenizer import load
from keel.errors import Problem, StudyError, nearest
from keel.files import read_json, replacing, sha256_file, write_json, write_text

SCHEMA = "keel.parallel/1"
PARTS, SIDES = ("train", "heldout"), ("source", "target")
BATCH_LINES = 1024
SHOWN = 5


class Pair(NamedTuple):
    """A line and its translation; `number` is that of the line or record, from 1.

    Pairs of one `key`, of one source where there is none, are all trained on or all held out.
    """

    number: int
    source: str
    target: str
    key: str = ""


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


def from_table(path: Path, fields: Sequence[str] = (), encoding: str = "utf-8") -> Iterator[Pair]:
    """Two fields of every record of a jsonl, csv, parquet or arrow file; of a tsv without header, its two columns.

    Raises:
        StudyError: a field is missing or no text, or a line of a tsv has not two columns.
    """
    if path.name.lower().endswith((".tsv", ".tsv.gz", ".tsv.zst")):
        yield from _columns(path, encoding)
        return
    if len(fields) != 2:
        raise StudyError("no two fields are named", why=f"found {list(fields)}", where=str(path),
                         fix="name the field of the source and that of the target")  # fmt: skip
    for record in formats.records(path, encoding, list(fields)):
        wrong = [name for name in fields if not isinstance(record.values.get(name), str)]
        if wrong:
            raise StudyError(f"a record has no text in '{wrong[0]}'", fix=nearest(wrong[0], record.values),
                             why=f"found {record.values.get(wrong[0])!r}"[:200],
                             where=f"{path}:{record.number}")  # fmt: skip
        yield Pair(record.number, record.values[fields[0]], record.values[fields[1]])


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

    def __init__(self, folder: Path, index: Mapping[str, Any]) -> None:
        self.folder, self.tokenizer_path = folder, folder / "tokenizer.json"
        self.languages: tuple[str, str] = (index["languages"][0], index["languages"][1])
        self.vocabulary, self.empty, self.num_empty = int(index["vocabulary"]), index["empty"], int(index["num_empty"])
        dtype = np.dtype(index["dtype"])
        self.train, self.heldout = (
            tuple(Lines(_read(folder / f"{part}.{side}.bin", dtype), _read(folder / f"{part}.{side}.ends", END))
                  for side in SIDES)
            for part in PARTS
        )  # fmt: skip

    @property
    def problems(self) -> list[Problem]:
        """What was left out, and where it stood."""
        if not self.num_empty:
            return []
        shown = ", ".join(str(number) for number in self.empty) + (" ..." if self.num_empty > len(self.empty) else "")
        return [Problem(f"{self.num_empty} pairs have an empty side and are left out", f"lines {shown}",
                        "nothing to do, unless you expected a translation there", str(self.folder))]  # fmt: skip


END = np.dtype("<i8")


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
        if not (folder / name).exists() or sha256_file(folder / name) != known:
            raise StudyError(
                f"{name} is not what was written", why="it is missing, truncated or edited (sha256 differs)",
                fix=f"delete the folder {folder.name} and make it again", where=str(folder / name),
            )  # fmt: skip
    return Bitext(folder, index)


def write(
    folder: Path, pairs: Iterable[Pair], tokenizer_json: str, languages: tuple[str, str], heldout_share: float = 0.02
) -> None:
    """Tokenise pairs into `folder`; those with an empty side are left out and named, equal sources stay on one side.

    The index comes last, so that a folder without one is made again.

    Raises:
        StudyError: no pair is left to train on, or none is held out.
    """
    if folder.exists():
        shutil.rmtree(folder)
    tokenizer = load(tokenizer_json)
    dtype = np.dtype("<u2") if tokenizer.get_vocab_size() <= 1 << 16 else np.dtype("<u4")
    empty: list[int] = []
    ends = {(part, side): array("q") for part in PARTS for side in SIDES}
    with ExitStack() as stack:
        files = {(part, side): stack.enter_context(replacing(folder / f"{part}.{side}.bin")) for part, side in ends}
        kept = (pair for pair in pairs if _has_both(pair, empty))
        while batch := list(islice(kept, BATCH_LINES)):
            _encode(batch, tokenizer, dtype, heldout_share, files, ends)
    for (part, side), found in ends.items():
        with replacing(folder / f"{part}.{side}.ends") as file:
            file.write(np.array(found, END).tobytes())
    _check_parts({part: len(ends[part, "source"]) for part in PARTS}, folder)
    write_text(folder / "tokenizer.json", tokenizer_json)
    names = [f"{part}.{side}.{end}" for part, side in ends for end in ("bin", "ends")]
    write_json(folder / "index.json", SCHEMA, {
        "languages": list(languages), "dtype": dtype.str, "vocabulary": tokenizer.get_vocab_size(),
        "empty": empty[:SHOWN], "num_empty": len(empty),
        "files": {name: sha256_file(folder / name) for name in [*names, "tokenizer.json"]},
    })  # fmt: skip


def _has_both(pair: Pair, empty: list[int]) -> bool:
    """Whether both sides say something; the number of one that does not is noted."""
    whole = bool(pair.source.strip() and pair.target.strip())
    if not whole:
        empty.append(pair.number)
    return whole


def _encode(
    batch: Sequence[Pair], tokenizer: Any, dtype: np.dtype[Any], heldout_share: float,
    files: Mapping[tuple[str, str], BinaryIO], ends: Mapping[tuple[str, str], array[int]],
) -> None:  # fmt: skip
    parts = ["heldout" if place(key_hash(pair.key or pair.source)) < heldout_share else "train" for pair in batch]
    for side in SIDES:
        encoded = tokenizer.encode_batch_fast([getattr(pair, side) for pair in batch], add_special_tokens=False)
        for part, item in zip(parts, encoded):
            files[part, side].write(np.asarray(item.ids, dtype).tobytes())
            known = ends[part, side]
            known.append((known[-1] if known else 0) + len(item.ids))


def _check_parts(counts: Mapping[str, int], folder: Path) -> None:
    problems = {"train": "no pair is left to train on", "heldout": "no pair is held out"}
    why = f"{sum(counts.values())} pairs have text on both sides"
    found = [Problem(problems[part], why, "bring more pairs", str(folder)) for part in PARTS if not counts[part]]
    if found:
        raise StudyError.all(found)
