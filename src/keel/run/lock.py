"""One `keel run` a study: the second is told who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keel.errors import StudyError
from keel.files import place_error, utc_now

PATIENCE_S = 3.0


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """Hold the study's lock; yields its file descriptor, which workers inherit so that orphans keep it until they end.

    Raises:
        StudyError: another process holds it (named), or the folder cannot be written.
    """
    path = folder / "runs" / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise place_error(error, path) from error
    try:
        _take(handle, path)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(_me()).encode(), 0)
        yield handle
    finally:
        os.close(handle)


def _take(handle: int, path: Path) -> None:
    """Lock, waiting a moment for workers of a killed run to notice and end."""
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if time.monotonic() > give_up_s:
                raise StudyError(
                    "this study is being run", why=f"held by {_holder(handle)}",
                    fix="wait for it, or stop it, then run the same command again", where=str(path.parent.parent),
                ) from error  # fmt: skip
        time.sleep(0.1)


def holder(folder: Path) -> str | None:
    """Who runs this study now, or None."""
    path = folder / "runs" / ".lock"
    if not path.exists():
        return None
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _holder(file.fileno())
    return None


def _holder(handle: int) -> str:
    text = os.pread(handle, 4096, 0)
    try:
        who = json.loads(text)
        return f"process {who['pid']} on {who['host']} since {who['since_utc']}"
    except (ValueError, KeyError):
        return "another process"


def _me() -> dict[str, object]:
    since = utc_now()
    return {"pid": os.getpid(), "host": os.uname().nodename, "since_utc": since}
