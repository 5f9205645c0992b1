"""Files as byte streams, unpacked on the fly and never past reason: gzip, zstd, or plain."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

from keel.errors import StudyError

BOMB_BYTES, BOMB_RATIO = 1 << 30, 1000
# zstd turns one byte into at most some 32 KiB, so that one step of this many stays within 128 MiB even on a bomb.
ZST_STEP_BYTES = 4096


def open_bytes(path: Path) -> io.BufferedReader:
    """A buffered stream of a file's content; what is packed is unpacked.

    Raises:
        StudyError: (while reading) the file is cut short, damaged, or unpacks a thousandfold past a gibibyte.
    """
    lower = path.name.lower()
    if lower.endswith(".gz"):
        return io.BufferedReader(_Guarded(gzip.open(path, "rb"), path), 1 << 20)
    if lower.endswith(".zst"):
        return io.BufferedReader(_Guarded(_Zst(path), path), 1 << 20)
    return io.BufferedReader(io.FileIO(path), 1 << 20)


def unreadable(path: Path, error: BaseException) -> StudyError:
    """A file that cannot be read, and what to do about it."""
    if isinstance(error, PermissionError):
        return StudyError(f"{path.name} cannot be read", why="no permission to read it", where=str(path),
                          fix="change its owner or permissions, or leave it out")  # fmt: skip
    return StudyError(f"{path.name} cannot be read", why=(str(error) or type(error).__name__)[:300], where=str(path),
                      fix="the file is truncated or damaged: fetch it again, or remove it")  # fmt: skip


class _Zst:
    """A zstd file that says so when it ends within a frame (the library's own reader stays silent)."""

    def __init__(self, path: Path) -> None:
        import zstandard

        self.file = path.open("rb")
        self.fresh = zstandard.ZstdDecompressor().decompressobj
        self.frame: Any = None
        self.ready = b""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; b"" at the end."""
        while not self.ready:
            packed = self.file.read(ZST_STEP_BYTES)
            if not packed:
                if self.frame is not None:
                    raise EOFError("the file ends within a zstd frame")
                return b""
            self.ready = self._unpack(packed)
        data, self.ready = self.ready[:size], self.ready[size:]
        return data

    def _unpack(self, packed: bytes) -> bytes:
        parts = []
        while packed:
            self.frame = self.frame or self.fresh()
            parts.append(self.frame.decompress(packed))
            packed = b""
            if self.frame.eof:
                packed, self.frame = self.frame.unused_data, None
        return b"".join(parts)

    def close(self) -> None:
        self.file.close()


class _Guarded(io.RawIOBase):
    """An unpacked stream that refuses to grow a thousandfold past a gibibyte, and names what is damaged."""

    def __init__(self, stream: Any, path: Path) -> None:
        self.stream, self.path, self.seen, self.packed = stream, path, 0, max(1, path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as one read goes."""
        from zstandard import ZstdError

        try:
            data = self.stream.read(len(buffer))
        except (OSError, EOFError, zlib.error, ZstdError) as error:
            raise unreadable(self.path, error) from error
        buffer[: len(data)] = data
        self.seen += len(data)
        if self.seen > BOMB_BYTES and self.seen > BOMB_RATIO * self.packed:
            raise StudyError(f"{self.path.name} unpacks a thousandfold", why="it looks like a decompression bomb",
                             fix="unpack it yourself if you trust it", where=str(self.path))  # fmt: skip
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self.stream.close()
        super().close()
