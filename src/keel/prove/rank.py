"""The ranks of the pool: tasks as files in, results as files out. `python -m keel.prove.rank FOLDER RANKS`.

TASK.json {"spec", "world", "step", "cells": [[ranks, pieces]]} -> TASK-RANKS-PIECES-RANK.npz for each cell that has a
rank, or TASK-RANK.error with a line that says what was raised; an empty file `end` ends them. Libraries are imported
once and the ranks forked from there, before any of them has a thread.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

WAIT, LOOK_S = datetime.timedelta(seconds=60), 0.005


def main() -> None:
    """Fork the ranks and wait for them; they end when this process or `end` says so."""
    folder, ranks = Path(sys.argv[1]), int(sys.argv[2])
    import torch
    import transformers  # noqa: F401

    import keel.prove.grid  # noqa: F401

    torch.set_num_threads(1)
    children = []
    for rank in range(ranks):
        child = os.fork()
        if not child:
            _serve(rank, folder)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(next((code for code in codes if code), 0))


def _serve(rank: int, folder: Path) -> None:
    """Tasks in order, then out without the interpreter's own end, in which gloo's threads may abort."""
    parent, number = os.getppid(), 1
    while not (folder / "end").exists() and os.getppid() == parent:
        path = folder / f"{number}.json"
        if not path.exists():
            time.sleep(LOOK_S)
            continue
        try:
            _work(number, json.loads(path.read_text(encoding="utf-8")), rank, folder)
        except Exception as error:
            _note(error, folder / f"{number}-{rank}.error")
        number += 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _work(number: int, task: dict[str, Any], rank: int, folder: Path) -> None:
    """All cells of one loss that have this rank."""
    import torch.distributed as dist

    from keel.plan.spec import from_json
    from keel.prove.bench import build
    from keel.prove.grid import Cell, made

    bench = build(from_json(task["spec"]), Path(task["world"]))
    for cell in (Cell(*of) for of in task["cells"]):
        if rank >= cell.ranks:
            continue
        name = f"{number}-{cell.ranks}-{cell.pieces}"
        dist.init_process_group(
            "gloo", init_method=f"file://{folder / name}.meet", rank=rank, world_size=cell.ranks, timeout=WAIT
        )
        made(bench, cell, task["step"]).save(folder / f"{name}-{rank}.npz")
        dist.barrier()
        dist.destroy_process_group()


def _note(error: Exception, path: Path) -> None:
    from keel.errors import StudyError
    from keel.files import write_text
    from keel.prove.result import said

    write_text(path, str(error) if isinstance(error, StudyError) else said(error))


if __name__ == "__main__":
    main()
