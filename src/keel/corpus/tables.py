"""Rows of parquet files, and of arrow files and streams (as `datasets` saves them), a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keel.corpus.packed import BOMB_BYTES, BOMB_RATIO, unreadable
from keel.errors import StudyError

ROWS, BATCH_BYTES = 256, 64 << 20


def rows(path: Path, columns: list[str] | None) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Each row as values of the wanted columns, with the names of all columns."""
    try:
        for batch, keys in _parquet(path, columns) if path.suffix.lower() == ".parquet" else _arrow(path, columns):
            values = [_values(column) for column in batch.columns]
            for row in zip(*values):
                yield dict(zip(batch.schema.names, row)), keys
            if not values:
                yield from [({}, keys)] * batch.num_rows
    except StudyError:
        raise
    except Exception as error:  # a damaged file may raise almost anything from within the library
        raise unreadable(path, error) from error


def _values(column: Any) -> list[Any]:
    """A column as Python values; a cell that Python cannot hold (a nanosecond, a far date) as its text."""
    try:
        found: list[Any] = column.to_pylist()
    except (ValueError, OverflowError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        found = [None if cell is None else str(cell) for cell in column.cast("string").to_pylist()]
    return found


def _parquet(path: Path, columns: list[str] | None) -> Iterator[tuple[Any, tuple[str, ...]]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        size = path.stat().st_size
        unpacked = sum(file.metadata.row_group(place).total_byte_size for place in range(file.metadata.num_row_groups))
        if unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * size:
            raise StudyError(f"{path.name} unpacks a thousandfold", why="it looks like a decompression bomb",
                             fix="rewrite it if you trust it", where=str(path))  # fmt: skip
        keys = _keys(path, file.schema_arrow.names)
        wanted = [name for name in columns if name in keys] if columns else None
        for batch in file.iter_batches(batch_size=_step(unpacked, file.metadata.num_rows), columns=wanted):
            batch.validate(full=True)
            yield batch, keys


def _arrow(path: Path, columns: list[str] | None) -> Iterator[tuple[Any, tuple[str, ...]]]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as stored:
        try:
            file = pa.ipc.open_file(stored)
            parts: Any = (file.get_batch(place) for place in range(file.num_record_batches))
            schema = file.schema
        except pa.ArrowInvalid:
            stored.seek(0)
            parts = pa.ipc.open_stream(stored)
            schema = parts.schema
        keys = _keys(path, schema.names)
        wanted = [name for name in columns if name in keys] if columns else list(keys)
        for batch in parts:
            # From here on the file's own offsets are trusted: a damaged one would crash Python itself.
            batch.validate(full=True)
            step = _step(batch.nbytes, batch.num_rows)
            for first in range(0, batch.num_rows, step):
                yield batch.slice(first, step).select(wanted), keys


def _step(num_bytes: int, num_rows: int) -> int:
    """Rows at a time: 256, or fewer where rows are large (images), so that they stay within 64 MiB.

    Example:
        >>> _step(1000, 10), _step(10 << 30, 10_000)
        (256, 62)
    """
    return max(1, min(ROWS, BATCH_BYTES * num_rows // max(1, num_bytes)))


def _keys(path: Path, names: list[str]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StudyError(f"{path.name} has two columns of one name", why=", ".join(twice), fix="rename one",
                         where=str(path))  # fmt: skip
    return tuple(names)
