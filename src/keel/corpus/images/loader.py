"""Views of images in a given order, made ahead by worker processes; the same bits whatever their number.

Worker w makes all views of every n-th image of the order into a slot of a file that all have mapped, and says so;
nothing large goes through a pipe. The file has no name, and a worker ends when its input does: neither outlives this
process.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from keel.corpus.images.augment import Settings, check, views_of
from keel.corpus.images.bad import Bad
from keel.corpus.images.kept import Kept
from keel.corpus.images.store import Store
from keel.errors import StudyError

JOB, REPLY = struct.Struct("<qqq"), struct.Struct("<qq")
# At most so many images a worker lie ready: their jobs and replies fit in a pipe, so that nobody waits for nobody.
AHEAD, SHARED = 16, Path("/dev/shm")
PATIENCE_S = 5.0
Views = tuple[np.ndarray, ...]


class Job(NamedTuple):
    """Which image, and in which epoch it is drawn for."""

    epoch: int
    number: int


class Loader:
    """Opens a store, starts the workers, and meters how long it was waited for. `asked`: settings of each view.

    Raises:
        StudyError: settings that no image can be made with; there is no room for the workers' arrays.
    """

    def __init__(self, store: Store, asked: Sequence[Settings], seed: int, workers: int = 0) -> None:
        for settings in asked:
            check(settings)
        self.store, self.asked, self.seed = store, tuple(asked), seed
        self.waited_s = self.took_s = 0.0
        self.images = 0
        self.closed = False
        self.kept = Kept(store, self.asked[0].background)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.shape = (max(1, AHEAD * workers), floats(self.asked))
        self.slots, self.handle = np.empty(0, np.float32), -1
        if workers:
            self.slots, self.handle = _slots(self.shape)
        try:
            self.workers = [self._start() for _ in range(workers)]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def share_waited(self) -> float:
        """Seconds waited for images / seconds between the first image asked for and the last given; 0 before."""
        return self.waited_s / self.took_s if self.took_s else 0.0

    def views(self, jobs: Iterable[Job]) -> Iterator[Views]:
        """All views of each job, in order, each of shape (3, size, size).

        Raises:
            StudyError: an image that cannot be decoded any more; a worker that ended.
        """
        assert not self.closed, "a loader that was closed"
        began = time.perf_counter()
        with closing(self._parallel(jobs) if self.workers else self._alone(jobs)) as made:
            while True:
                start = time.perf_counter()
                found = next(made, None)
                now = time.perf_counter()
                self.waited_s, self.took_s = self.waited_s + now - start, self.took_s + now - began
                began = now
                if found is None:
                    return
                self.images += 1
                yield found

    def close(self) -> None:
        """End the workers and forget the slots."""
        self.closed = True
        for worker in self.workers:
            for pipe in (worker.stdin, worker.stdout):
                if pipe:
                    with suppress(OSError):
                        pipe.close()
        for worker in self.workers:
            try:
                worker.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self.workers = []
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def _alone(self, jobs: Iterable[Job]) -> Generator[Views]:
        for job in jobs:
            image = self.kept.image(job.number)
            if isinstance(image, Bad):
                raise self._bad(job.number, f"{image.what}: {image.why}")
            yield views_of(image, self.asked, self.seed, job.epoch, job.number)

    def _parallel(self, jobs: Iterable[Job]) -> Generator[Views]:
        waiting, todo, sent = deque[tuple[int, int, int]](), iter(jobs), 0
        free = [deque(range(place, self.shape[0], len(self.workers))) for place in range(len(self.workers))]
        more, broken = True, True
        try:
            while more or waiting:
                place = sent % len(self.workers)
                while more and free[place]:
                    job = next(todo, None)
                    more = job is not None
                    if job is None:
                        break
                    slot = free[place].popleft()
                    self._send(place, slot, job)
                    waiting.append((place, slot, job.number))
                    sent += 1
                    place = sent % len(self.workers)
                if waiting:
                    place, slot, number = waiting.popleft()
                    self._receive(place, slot, number)
                    found = cut(self.slots[slot].copy(), self.asked)
                    free[place].append(slot)
                    broken = False
                    yield found
                    broken = True
            broken = False
        finally:
            if broken:  # an answer may lie half read: these workers are of no further use
                self.close()
            else:
                for place, slot, number in waiting:
                    self._receive(place, slot, number)

    def _start(self) -> subprocess.Popen[bytes]:
        """A worker of its own session: Ctrl-C is this process's to handle."""
        given = {"store": str(self.store.folder), "views": [settings._asdict() for settings in self.asked],
                 "seed": self.seed, "slots": self.handle, "shape": self.shape}  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "keel.corpus.images.worker", json.dumps(given)], start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
            pass_fds=(self.handle,),
        )  # fmt: skip

    def _send(self, place: int, slot: int, job: Job) -> None:
        pipe = self.workers[place].stdin
        assert pipe
        try:
            pipe.write(JOB.pack(slot, job.epoch, job.number))
            pipe.flush()
        except OSError as error:
            raise self._ended(place) from error

    def _receive(self, place: int, slot: int, number: int) -> None:
        """Wait for a worker's answer: its slot, and the length of a reason where it failed."""
        pipe = self.workers[place].stdout
        assert pipe
        answer = pipe.read(REPLY.size)
        if len(answer) < REPLY.size:
            raise self._ended(place)
        done, length = REPLY.unpack(answer)
        assert done == slot, "answers come in the order of their jobs"
        if length:
            raise self._bad(number, pipe.read(length).decode(errors="replace"))

    def _ended(self, place: int) -> StudyError:
        code = self.workers[place].poll()
        return StudyError("a worker that makes images has ended", why=f"its exit code is {code}; -9: out of memory",
                          fix="use fewer workers, or smaller images", where=str(self.store.folder))  # fmt: skip

    def _bad(self, number: int, why: str) -> StudyError:
        return StudyError(f"image {number} cannot be decoded", why=why, where=str(self.store.folder),
                          fix="delete the store and run again: it is made anew from the images")  # fmt: skip


def _slots(shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """A mapped file of arrays and its handle: in memory where there is room for it, else where temporary files lie."""
    size = 4 * int(np.prod(shape))
    for folder in (SHARED, Path(tempfile.gettempdir())):
        try:
            handle, path = tempfile.mkstemp(prefix="keel-images-", dir=folder)
        except OSError:
            continue
        os.unlink(path)
        try:
            # Room is claimed now: a full file system would end the process when it is written to.
            os.posix_fallocate(handle, 0, size) if hasattr(os, "posix_fallocate") else os.truncate(handle, size)
            return mapped(handle, shape), handle
        except OSError:
            os.close(handle)
    raise StudyError("there is no room for the workers' arrays", why=f"{size >> 20} MiB are wanted",
                     fix="use fewer workers, or smaller images", where=tempfile.gettempdir())  # fmt: skip


def mapped(handle: int, shape: tuple[int, ...]) -> np.ndarray:
    """The arrays of a handle, shared by all that map it."""
    with os.fdopen(handle, "r+b", closefd=False) as file:
        return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)


def floats(asked: Sequence[Settings]) -> int:
    """Numbers in all views of an image.

    Example:
        >>> floats([Settings(size=2), Settings(size=1)])
        15
    """
    return sum(3 * settings.size**2 for settings in asked)


def cut(row: np.ndarray, asked: Sequence[Settings]) -> Views:
    """The views of one image that stand one behind the other in a row; they share its memory."""
    ends = np.cumsum([3 * settings.size**2 for settings in asked])
    return tuple(
        piece.reshape(3, settings.size, settings.size) for piece, settings in zip(np.split(row, ends[:-1]), asked)
    )  # fmt: skip
