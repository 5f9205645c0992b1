"""One file of any known kind as records, in constant memory; what is broken is named by file and line."""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keel.corpus import tables
from keel.corpus.packed import open_bytes, unreadable
from keel.errors import StudyError

PIECE_CHARACTERS = 4 << 20
LINE_BYTES = 64 << 20
ENDINGS = {
    ".txt": "txt", ".md": "md", ".jsonl": "jsonl", ".jsonl.gz": "jsonl", ".jsonl.zst": "jsonl", ".ndjson": "jsonl",
    ".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".arrow": "arrow",
}  # fmt: skip
PLAIN = frozenset({"txt", "md"})


class Record(NamedTuple):
    """Values of one record; `keys` are all its keys where `values` holds only the wanted ones."""

    number: int
    values: Mapping[str, Any]
    keys: tuple[str, ...] = ()


def name_of(path: Path, endings: Mapping[str, str] = ENDINGS) -> str:
    """The kind of a file by its ending, or "".

    Example:
        >>> name_of(Path("a/b.jsonl.zst")), name_of(Path("c.pdf"))
        ('jsonl', '')
    """
    lower = path.name.lower()
    return next((kind for ending, kind in endings.items() if lower.endswith(ending)), "")


def records(path: Path, encoding: str, columns: list[str] | None) -> Iterator[Record]:
    """The records of a file; `columns` limits what is read where the format allows it."""
    kind = name_of(path)
    try:
        if kind in PLAIN:
            yield from _pieces(path, _codec(encoding))
        elif kind == "jsonl":
            yield from _json_lines(path, _codec(encoding))
        elif kind == "csv":
            yield from _csv_rows(path, _codec(encoding))
        else:
            for number, (values, keys) in enumerate(tables.rows(path, columns), 1):
                yield Record(number, values, keys)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error


# ---- encodings ----


def _codec(encoding: str) -> str:
    """The encoding's canonical name.

    Raises:
        StudyError: Python knows no such text encoding.
    """
    try:
        "".encode(encoding)
        return codecs.lookup(encoding).name
    except (LookupError, UnicodeError, ValueError) as error:
        raise StudyError(f"unknown encoding '{encoding}'", why=str(error), fix='write a known one, such as "latin-1"',
                         where="study.toml: [data] encoding") from error  # fmt: skip


def _is_wide(codec: str) -> bool:
    """Whether a line end takes more than the one byte that ASCII gives it."""
    return "\n".encode(codec) != b"\n"


def _check_start(start: bytes, path: Path, codec: str) -> None:
    if _is_wide(codec):
        return
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise StudyError(f"{path.name} is not {codec.upper()}", why="it begins with a UTF-16 mark",
                         fix='set [data] encoding = "utf-16"', where=str(path))  # fmt: skip
    if b"\0" in start:
        raise _binary(path, start.index(b"\0"))


def _binary(path: Path, offset: int) -> StudyError:
    return StudyError(f"{path.name} is not text", why=f"byte {offset} is zero: a binary file named as text",
                      fix="remove it from the data folder", where=str(path))  # fmt: skip


def _wrong_encoding(path: Path, error: UnicodeDecodeError, offset: int, where: str = "") -> StudyError:
    return StudyError(
        f"{path.name} is not {error.encoding.upper()}", why=f"byte {max(0, offset + error.start)}: {error.reason}",
        fix='save it as UTF-8, or set [data] encoding = "latin-1" (or what it is)', where=where or str(path),
    )  # fmt: skip


def _not_wide(path: Path, codec: str, error: UnicodeError, where: str) -> StudyError:
    return StudyError(f"{path.name} is not {codec.upper()}", why=str(error)[:200], where=where,
                      fix="set [data] encoding to what it is")  # fmt: skip


# ---- plain text ----


def _pieces(path: Path, codec: str) -> Iterator[Record]:
    """A text file in pieces of at most 4 Mi characters, cut at a paragraph, else a line, a space, or anywhere."""
    decoder = codecs.getincrementaldecoder("utf-8-sig" if codec == "utf-8" else codec)("strict")
    rest, number, offset = "", 0, 0
    with path.open("rb") as file:
        while True:
            block = file.read(PIECE_CHARACTERS)
            if offset == 0:
                _check_start(block[:4096], path, codec)
            rest += _decode(decoder, block, path, offset, codec)
            offset += len(block)
            while len(rest) > PIECE_CHARACTERS:
                cut = _cut(rest, PIECE_CHARACTERS)
                yield Record(number, {"text": rest[:cut]})
                rest, number = rest[cut:], number + 1
            if not block:
                break
    yield Record(number, {"text": rest})


def _cut(text: str, limit: int) -> int:
    """Where to cut below `limit`: never in the first half, so that pieces stay large."""
    for mark in ("\n\n", "\n", " "):
        place = text.rfind(mark, limit // 2, limit)
        if place > 0:
            return place + len(mark)
    return limit


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, path: Path, offset: int, codec: str) -> str:
    """Text of a block; an empty block is the end. `offset` counts the bytes before it."""
    held = decoder.getstate()[0]
    try:
        text = decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, error, offset - len(held)) from error
    except UnicodeError as error:  # UTF-16 without its mark
        raise _not_wide(path, codec, error, str(path)) from error
    if "\0" in text:
        raise _binary(path, offset - len(held) + len(text[: text.index("\0")].encode(errors="replace")))
    return text


# ---- lines ----


def lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of a plain text file with their ends; only a line feed ends one."""
    try:
        yield from _lines(path, _codec(encoding))
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error


def _lines(path: Path, codec: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of at most 64 MiB with their ends; a longer one is refused before it is read whole."""
    with open_bytes(path) as file:
        _check_start(file.peek(4096)[:4096], path, codec)
        if _is_wide(codec):
            yield from _wide_lines(path, file, codec)
            return
        number = offset = 0
        while line := file.readline(LINE_BYTES + 1):
            number += 1
            if len(line) > LINE_BYTES:
                raise _too_long(path, number)
            try:
                text = line.decode(codec)
            except UnicodeDecodeError as error:
                raise _wrong_encoding(path, error, offset, f"{path}:{number}") from error
            offset += len(line)
            yield number, text.removeprefix("\ufeff") if number == 1 and codec == "utf-8" else text


def _wide_lines(path: Path, file: io.BufferedReader, codec: str) -> Iterator[tuple[int, str]]:
    number = 0
    with io.TextIOWrapper(file, encoding=codec, newline="\n") as stream:
        try:
            while line := stream.readline(LINE_BYTES // 2 + 1):
                number += 1
                if len(line) > LINE_BYTES // 2:
                    raise _too_long(path, number)
                yield number, line
        except UnicodeError as error:
            raise _not_wide(path, codec, error, f"{path}:{number + 1}") from error


def _too_long(path: Path, number: int) -> StudyError:
    return StudyError(f"line {number} is longer than {LINE_BYTES >> 20} MiB", why="one record must fit in memory",
                      fix="put one record on a line", where=f"{path}:{number}")  # fmt: skip


def _json_lines(path: Path, codec: str) -> Iterator[Record]:
    for number, line in _lines(path, codec):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise StudyError("a line is not JSON", why=str(error)[:200], fix="mend or remove that line",
                             where=f"{path}:{number}") from error  # fmt: skip
        if not isinstance(value, dict):
            raise StudyError("a line is not a JSON object", why=f"found {type(value).__name__}",
                             fix='write {"text": ...} on each line', where=f"{path}:{number}")  # fmt: skip
        yield Record(number, value)


def _csv_rows(path: Path, codec: str) -> Iterator[Record]:
    """Rows as {header: value}; a record's number is the line on which it begins."""
    csv.field_size_limit(min(LINE_BYTES, sys.maxsize))
    reader = csv.reader((line for _, line in _lines(path, codec)), strict=True)
    header, began = None, 1
    try:
        for row in reader:
            if header is None:
                header = _header(path, row)
            elif len(row) > len(header):
                raise StudyError(
                    "a row has more fields than the header", why=f"{len(row)} against {len(header)}",
                    fix="quote fields that hold commas", where=f"{path}:{began}",
                )  # fmt: skip
            elif row:
                yield Record(began, dict(zip(header, row)), tuple(header))
            began = reader.line_num + 1
    except csv.Error as error:
        raise StudyError(f"{path.name} is not a CSV file", why=str(error), where=f"{path}:{began}",
                         fix="quote fields that hold commas or line ends") from error  # fmt: skip


def _header(path: Path, row: list[str]) -> list[str]:
    twice = sorted({name for name in row if row.count(name) > 1})
    mark = next((mark for mark in (";", "\t") if len(row) == 1 and mark in row[0]), "")
    if twice or mark:
        raise StudyError(
            f"the header of {path.name} is not usable", where=f"{path}:1",
            why=f"{twice[0]!r} stands there twice" if twice else f"its fields are separated by {mark!r}, not by commas",
            fix="rename one" if twice else "write it with commas",
        )  # fmt: skip
    return row
