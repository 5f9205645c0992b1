"""Four processes that are ranks on gloo, for all losses of a call: a task's cells -> what each rank made of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

from keel.files import write_text
from keel.plan.spec import Spec
from keel.prove.cells import APART, Cell, Made
from keel.run.pool import QUIET

RANKS, WAIT_S, END_S, LOOK_S, SETTLE_S = 4, 120.0, 20.0, 0.01, 0.2
LOOPBACK = {"linux": "lo", "darwin": "lo0"}


class RankError(Exception):
    """A rank raised, ended, or never answered."""


class Ranks(AbstractContextManager["Ranks"]):
    """Use as a context. Ranks meet through a file and talk over the loopback interface alone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sets = folder, 0

    def __enter__(self) -> Ranks:
        env = os.environ | QUIET | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        env |= {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        if sys.platform in LOOPBACK:
            env |= {"GLOO_SOCKET_IFNAME": LOOPBACK[sys.platform]}
        self._start()
        command = [sys.executable, "-m", "keel.prove.rank", str(self.folder), str(RANKS)]
        # A session of its own: Ctrl-C is heard by the suite alone, which then ends them.
        self.process = subprocess.Popen(command, env=env, start_new_session=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if (self.folder / "ready").exists():
            write_text(self.folder / "end", "")
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=END_S)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _start(self) -> None:
        """Ask for a set of ranks with a folder of its own; its tasks count from 1."""
        self.sets, self.task = self.sets + 1, 0
        self.place = self.folder / f"set-{self.sets}"
        self.place.mkdir(parents=True)

    def ask(self, spec: Spec, world: Path, step: int, cells: Sequence[Cell] = APART) -> int:
        """Hand a task to every rank, at once; its number, for `answer`."""
        self.task += 1
        asked = {"spec": spec.json(), "world": str(world), "step": step, "cells": list(cells)}
        write_text(self.place / f"{self.task}.json", json.dumps(asked))
        return self.task

    def answer(self, task: int, cells: Sequence[Cell] = APART) -> Mapping[Cell, Sequence[Made]]:
        """Wait for every rank of every cell.

        Raises:
            RankError: a rank raised or ended; a fresh set takes over, as the others wait for it in vain.
        """
        wanted = {
            cell: [self.place / f"{task}-{cell.ranks}-{cell.pieces}-{rank}.npz" for rank in range(cell.ranks)]
            for cell in cells
        }
        until_s = time.monotonic() + WAIT_S
        while not all(path.exists() for paths in wanted.values() for path in paths):
            if self._trouble() or time.monotonic() > until_s:
                # A rank that is gone makes others raise: what came first may be told last.
                time.sleep(SETTLE_S)
                trouble = self._trouble() or f"no answer in {WAIT_S:.0f} s"
                self._start()
                raise RankError(trouble)
            time.sleep(LOOK_S)
        return {cell: [Made.read(path) for path in paths] for cell, paths in wanted.items()}

    def _trouble(self) -> str:
        """How a rank ended, or what it said."""
        if self.process.poll() is not None:
            return f"the ranks ended with code {self.process.returncode}"
        for word, said in (("ended", "ended with code"), ("error", "raised")):
            for rank in range(RANKS):
                note = self.place / f"{rank}.{word}"
                if note.exists():
                    return f"rank {rank} {said} {note.read_text(encoding='utf-8')}"
        return ""
