"""One file of any known kind as records, in constant memory; what is broken is named by file and line."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from keel.errors import StudyError

PIECE_BYTES = 4 << 20
LINE_BYTES = 64 << 20
BOMB_BYTES, BOMB_RATIO = 1 << 30, 1000
ENDINGS = {
    ".txt": "txt", ".md": "md", ".jsonl": "jsonl", ".jsonl.gz": "jsonl", ".jsonl.zst": "jsonl", ".ndjson": "jsonl",
    ".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".arrow": "arrow",
}  # fmt: skip
KINDS = tuple(sorted(ENDINGS))


class Record(NamedTuple):
    """Values of one record; `keys` are all its keys where `values` holds only the wanted ones."""

    number: int
    values: Mapping[str, Any]
    keys: tuple[str, ...] = ()


def name_of(path: Path) -> str:
    """The kind of a file by its ending, or "".

    Example:
        >>> name_of(Path("a/b.jsonl.zst")), name_of(Path("c.pdf"))
        ('jsonl', '')
    """
    lower = path.name.lower()
    return next((kind for ending, kind in ENDINGS.items() if lower.endswith(ending)), "")


def records(path: Path, encoding: str, columns: list[str] | None) -> Iterator[Record]:
    """The records of a file; `columns` limits what is read where the format allows it."""
    kind = name_of(path)
    try:
        if kind in ("txt", "md"):
            yield from _pieces(path, encoding)
        elif kind == "jsonl":
            yield from _json_lines(path, encoding)
        elif kind == "csv":
            yield from _csv_rows(path, encoding)
        else:
            yield from _arrow_rows(path, columns)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> StudyError:
    return StudyError(f"{path.name} cannot be read", why=str(error) or type(error).__name__,
                      fix="the file is truncated or damaged: fetch it again, or remove it", where=str(path))  # fmt: skip


def _open(path: Path) -> IO[bytes]:
    """A byte stream, unpacked on the fly."""
    lower = path.name.lower()
    if lower.endswith(".gz"):
        return _Guarded(gzip.open(path, "rb"), path)  # type: ignore[return-value]
    if lower.endswith(".zst"):
        import zstandard

        stream = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
        return _Guarded(stream, path)  # type: ignore[return-value]
    return path.open("rb")


class _Guarded(io.RawIOBase):
    """A decompressed stream that refuses to grow a thousandfold past a gibibyte."""

    def __init__(self, stream: Any, path: Path) -> None:
        self.stream, self.path, self.seen, self.packed = stream, path, 0, max(1, path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.stream.read(len(buffer))
        except Exception as error:
            raise _unreadable(self.path, error) from error
        buffer[: len(data)] = data
        self.seen += len(data)
        if self.seen > BOMB_BYTES and self.seen > BOMB_RATIO * self.packed:
            raise StudyError(f"{self.path.name} unpacks a thousandfold", why="it looks like a decompression bomb",
                             fix="unpack it yourself if you trust it", where=str(self.path))  # fmt: skip
        return len(data)

    def close(self) -> None:
        self.stream.close()
        super().close()


def _pieces(path: Path, encoding: str) -> Iterator[Record]:
    """A text file in pieces of at most 4 MiB, cut at a paragraph, else a line, else a space, else anywhere."""
    decoder = _decoder(path, encoding)
    rest, number, offset = "", 0, 0
    with path.open("rb") as file:
        while block := file.read(PIECE_BYTES):
            rest += _decode(decoder, block, path, offset, final=False)
            offset += len(block)
            while len(rest) > PIECE_BYTES:
                cut = _cut(rest, PIECE_BYTES)
                yield Record(number, {"text": rest[:cut]})
                rest, number = rest[cut:], number + 1
        rest += _decode(decoder, b"", path, offset, final=True)
    yield Record(number, {"text": rest})


def _cut(text: str, limit: int) -> int:
    """Where to cut below `limit`: never in the first half, so that pieces stay large."""
    for mark in ("\n\n", "\n", " "):
        place = text.rfind(mark, limit // 2, limit)
        if place > 0:
            return place + len(mark)
    return limit


def _decoder(path: Path, encoding: str) -> codecs.IncrementalDecoder:
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and encoding == "utf-8":
        raise StudyError(f"{path.name} is not UTF-8", why="it begins with a UTF-16 mark",
                         fix='set [data] encoding = "utf-16"', where=str(path))  # fmt: skip
    if b"\0" in start and not encoding.lower().startswith(("utf-16", "utf-32", "utf16", "utf32")):
        raise StudyError(f"{path.name} is not text", why="it holds zero bytes: a binary file named as text",
                         fix="remove it from the data folder", where=str(path))  # fmt: skip
    try:
        return codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)("strict")
    except LookupError as error:
        raise StudyError(f"unknown encoding '{encoding}'", why=str(error), fix='write a known one, such as "latin-1"',
                         where="study.toml: [data] encoding") from error  # fmt: skip


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, path: Path, offset: int, final: bool) -> str:
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{path.name} is not {error.encoding.upper()}", why=f"byte {offset + error.start}: {error.reason}",
            fix='save it as UTF-8, or set [data] encoding = "latin-1" (or what it is)', where=str(path),
        ) from error  # fmt: skip


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines of at most 64 MiB; a longer one is refused before it is read whole."""
    with io.BufferedReader(_open(path), 1 << 20) as file:  # type: ignore[type-var]
        number = 0
        while line := file.readline(LINE_BYTES + 1):
            number += 1
            if len(line) > LINE_BYTES:
                raise StudyError(f"line {number} is longer than {LINE_BYTES >> 20} MiB", why="one record must fit in memory",
                                 fix="put one record on a line", where=f"{path}:{number}")  # fmt: skip
            yield number, line


def _json_lines(path: Path, encoding: str) -> Iterator[Record]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8-sig" if encoding == "utf-8" else encoding))
        except (ValueError, LookupError, RecursionError) as error:
            raise StudyError("a line is not JSON", why=str(error)[:200], fix="mend or remove that line",
                             where=f"{path}:{number}") from error  # fmt: skip
        if not isinstance(value, dict):
            raise StudyError("a line is not a JSON object", why=f"found {type(value).__name__}",
                             fix='write {"text": ...} on each line', where=f"{path}:{number}")  # fmt: skip
        yield Record(number, value)


def _csv_rows(path: Path, encoding: str) -> Iterator[Record]:
    csv.field_size_limit(min(LINE_BYTES, sys.maxsize))
    codec = "utf-8-sig" if encoding == "utf-8" else encoding

    def texts() -> Iterator[str]:
        for number, line in _lines(path):
            try:
                yield line.decode(codec)
            except (UnicodeDecodeError, LookupError) as error:
                raise StudyError(f"{path.name} is not {encoding.upper()}", why=str(error), where=f"{path}:{number}",
                                 fix='save it as UTF-8, or set [data] encoding = "latin-1"') from error  # fmt: skip

    try:
        for number, row in enumerate(csv.DictReader(texts(), restkey="(more)"), 1):
            yield Record(number, row)
    except csv.Error as error:
        raise StudyError(f"{path.name} is not a CSV file", why=str(error), fix="quote fields that hold commas or newlines",
                         where=str(path)) from error  # fmt: skip


def _arrow_rows(path: Path, columns: list[str] | None) -> Iterator[Record]:
    import pyarrow as pa

    number = 0
    try:
        for batch, keys in _batches(path, columns):
            for row in batch.to_pylist():
                number += 1
                yield Record(number, row, keys)
    except pa.ArrowException as error:
        raise _unreadable(path, error) from error


def _batches(path: Path, columns: list[str] | None) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Record batches of a parquet file, or of an arrow file or stream, with all column names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if name_of(path) == "parquet":
        with pq.ParquetFile(path) as file:
            keys = tuple(file.schema_arrow.names)
            wanted = [name for name in columns if name in keys] if columns else None
            for batch in file.iter_batches(batch_size=256, columns=wanted):
                yield batch, keys
        return
    with pa.memory_map(str(path)) as stored:
        try:
            file = pa.ipc.open_file(stored)
            parts: Any = (file.get_batch(place) for place in range(file.num_record_batches))
            schema = file.schema
        except pa.ArrowInvalid:
            stored.seek(0)
            parts = pa.ipc.open_stream(stored)
            schema = parts.schema
        keys = tuple(schema.names)
        wanted = [name for name in columns if name in keys] if columns else list(keys)
        for batch in parts:
            for first in range(0, batch.num_rows, 256):
                yield batch.slice(first, 256).select(wanted), keys
