"""The ranks of the pool: tasks as files in, results as files out. `python -m keel.prove.rank FOLDER RANKS`.

Libraries are imported once (then there is a file `ready`), and ranks forked from there before there is a thread: a set
of them for each folder `set-N`, the earlier set ended first; a file `end` ends them all. Within a set: TASK.json
{"spec", "world", "step", "cells": [[ranks, pieces]]} -> TASK-RANKS-PIECES-RANK.npz for each cell that has a rank, or
RANK.error with a line that says what was raised, or RANK.ended with the exit code of a rank that is gone.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

WAIT, LOOK_S = datetime.timedelta(seconds=60), 0.005


def main() -> None:
    """Fork sets of ranks until `end`, or until whoever asked for them is gone."""
    folder, ranks, parent = Path(sys.argv[1]), int(sys.argv[2]), os.getppid()
    import torch
    import transformers.modeling_utils  # noqa: F401  # what every model of the library would import in each rank

    import keel.prove.grid  # noqa: F401

    torch.set_num_threads(1)
    (folder / "ready").touch()
    children: dict[int, int] = {}
    number = 1
    while not (folder / "end").exists() and os.getppid() == parent:
        place = folder / f"set-{number}"
        if place.exists():
            _end(children)
            children = {_fork(rank, place): rank for rank in range(ranks)}
            number += 1
        _note_ended(children, folder / f"set-{number - 1}")
        time.sleep(LOOK_S)
    _end(children)


def _fork(rank: int, place: Path) -> int:
    child = os.fork()
    if not child:
        _serve(rank, place)
    return child


def _end(children: dict[int, int]) -> None:
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _note_ended(children: dict[int, int], place: Path) -> None:
    for child in list(children):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            rank = children.pop(child)
            (place / f"{rank}.ended").write_text(str(os.waitstatus_to_exitcode(status)))


def _serve(rank: int, place: Path) -> NoReturn:
    """Tasks in order; then out without the interpreter's own end, in which gloo's threads may abort."""
    parent, number = os.getppid(), 1
    while not (place.parent / "end").exists() and os.getppid() == parent:
        path = place / f"{number}.json"
        if not path.exists():
            time.sleep(LOOK_S)
            continue
        try:
            _work(number, json.loads(path.read_text(encoding="utf-8")), rank, place)
        except Exception as error:
            _note(error, place / f"{rank}.error")
        number += 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _work(number: int, task: dict[str, Any], rank: int, place: Path) -> None:
    """All cells of one loss that have this rank."""
    import torch.distributed as dist

    from keel.plan.spec import from_json
    from keel.prove.bench import build
    from keel.prove.cells import Cell
    from keel.prove.grid import made

    bench = build(from_json(task["spec"]), Path(task["world"]))
    for cell in (Cell(*of) for of in task["cells"]):
        if rank >= cell.ranks:
            continue
        name = f"{number}-{cell.ranks}-{cell.pieces}"
        dist.init_process_group(
            "gloo", init_method=f"file://{place / name}.meet", rank=rank, world_size=cell.ranks, timeout=WAIT
        )
        made(bench, cell, task["step"]).save(place / f"{name}-{rank}.npz")
        dist.barrier()
        dist.destroy_process_group()


def _note(error: Exception, path: Path) -> None:
    from keel.errors import StudyError
    from keel.files import write_text
    from keel.prove.result import said

    write_text(path, str(error) if isinstance(error, StudyError) else said(error))


if __name__ == "__main__":
    main()
