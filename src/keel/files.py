"""Artefacts on disk: written whole or not at all, read only with the schema they claim."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from keel.errors import StudyError


def sha256_bytes(data: bytes) -> str:
    """Hex digest of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path, block_bytes: int = 1 << 20) -> str:
    """Hex digest of a file's content, in constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(block_bytes):
            digest.update(block)
    return digest.hexdigest()


def canonical(value: Any) -> bytes:
    """The one byte string that stands for a JSON value: sorted keys, no spaces, finite numbers only.

    Example:
        >>> canonical({"b": 1, "a": [2.5]})
        b'{"a":[2.5],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(value: Any) -> str:
    """sha256 of a JSON value's canonical form."""
    return sha256_bytes(canonical(value))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of `path` that takes its place when the block ends well.

    The file and its folder are synced first, so that a power cut leaves the old file or the new one.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise place_error(error, path) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        _forget(name)
        raise place_error(error, path) from error
    except BaseException:
        _forget(name)
        raise


def _forget(name: str) -> None:
    if os.path.exists(name):
        os.unlink(name)


def place_error(error: OSError, path: Path) -> StudyError:
    """Say what a failed write means: the disk is full, the folder is read-only, or else the system's own words."""
    reasons = {
        28: ("the disk is full", "free some space, then run the same command again: nothing written so far is lost"),
        30: ("the file system is read-only", "choose another folder or remount it writable"),
        13: ("no permission to write here", "change the folder's owner or permissions, or choose another folder"),
    }
    why, fix = reasons.get(error.errno or 0, (error.strerror or str(error), "check the path and try again"))
    return StudyError(f"cannot write {path.name}", why=why, fix=fix, where=str(path))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, schema: str, value: dict[str, Any]) -> str:
    """Write `value` with its schema name ("keel.corpus/1") and return the file's sha256."""
    data = json.dumps({"schema": schema, **value}, indent=1, allow_nan=False).encode() + b"\n"
    write_bytes(path, data)
    return sha256_bytes(data)


def read_json(path: Path, schema: str) -> dict[str, Any]:
    """Read an artefact; another schema, or text that is not JSON, is refused by name, never guessed."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise StudyError(
            f"{path.name} is not there", why="no such file", fix="run the verb that writes it", where=str(path)
        ) from error
    except (ValueError, OSError) as error:
        raise StudyError(
            f"{path.name} cannot be read", why=str(error), fix="delete it and make it again", where=str(path)
        ) from error
    found = value.get("schema") if isinstance(value, dict) else None
    if found != schema:
        raise StudyError(
            f"{path.name} has schema {found!r}",
            why=f"this keel reads {schema!r}",
            fix="make it again with this keel, or use the keel that wrote it",
            where=str(path),
        )
    assert isinstance(value, dict)
    return value


def utc_now() -> str:
    """The time as artefacts write it: 2026-01-31T12:00:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def finite(value: float | None) -> float | None:
    """The number, or None where JSON could not hold it."""
    return value if value is not None and math.isfinite(value) else None
