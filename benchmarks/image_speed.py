"""Training speed on images and on pairs against a plain loop around the library's own model, as pairs of windows.

    python benchmarks/image_speed.py [--quick] [--cells vit clip ...]

"like for like": one process, the same arrays in memory, fp32, the same batch, the same allocator, AdamW and clipping;
only the step differs. "as installed": a process each, PNG files on a disk to steps; keel with its store, its loader of
two workers and the allocator that `keel run` gives its workers, the peer with the library's own image processor in a
DataLoader of two workers. One side is halted while the other is timed: workers that fill their queue in the other's
window would both slow it and have their own work done for nothing. keel takes bf16 where this step is faster by it, by
the rule of `keel look`; a loop that one writes oneself is fp32 unless one says so.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from image_speed_child import (
    CELLS,
    PRECISIONS,
    Cell,
    inputs_of,
    library_model,
    loop_of,
    ours,
    scenes_at,
    seconds,
    theirs,
)
from table import Row, cores, machine, markdown

from keel.corpus.images.store import Store
from keel.corpus.machine import ALLOCATOR
from keel.run.pool import QUIET

ROUNDS = 5
CHILD = Path(__file__).with_name("image_speed_child.py")


def like_for_like(name: str, cell: Cell, corpus: Store, rounds: int) -> Row:
    """Windows in turns in this process."""
    one = loop_of(cell, corpus, 0)
    pair = [ours(loop_of(cell, corpus, 0)), theirs(library_model(one), repeat(inputs_of(one)))]
    for step in pair:
        seconds(step, 2)
    found = [[seconds(step, cell.window) for step in pair] for _ in range(rounds)]
    return row(f"{name}, like for like", cell, found, ">= 1.0")


def chosen(cell: Cell, corpus: Store, rounds: int) -> str:
    """The faster precision of this cell's step; as in keel.run.probe, bf16 has to pay by more than 5 %."""
    steps = [ours(loop_of(cell, corpus, 0, body)) for body in PRECISIONS]
    for step in steps:
        seconds(step, 2)
    spent = zip(*([seconds(step, 2) for step in steps] for _ in range(rounds)))
    full, half = map(statistics.median, spent)
    return PRECISIONS[full > 1.05 * half]


def as_installed(name: str, cell: Cell, folder: Path, body: str, rounds: int) -> Row:
    """Windows in turns of two processes."""
    children = [
        subprocess.Popen([sys.executable, str(CHILD), role, name, its, str(folder)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True, env=os.environ | QUIET | more, start_new_session=True)
        for role, its, more in (("keel", body, ALLOCATOR), ("plain", "fp32", {}))
    ]  # fmt: skip

    def hear(one: subprocess.Popen[str]) -> dict[str, Any]:
        assert one.stdout is not None
        found: dict[str, Any] = json.loads(one.stdout.readline())
        return found

    def go(one: subprocess.Popen[str]) -> float:
        assert one.stdin is not None
        os.killpg(one.pid, signal.SIGCONT)
        one.stdin.write("go\n")
        one.stdin.flush()
        took_s = float(hear(one)["s"])
        os.killpg(one.pid, signal.SIGSTOP)
        return took_s

    try:
        for one in children:
            hear(one)
            os.killpg(one.pid, signal.SIGSTOP)
        found = [[go(one) for one in children] for _ in range(rounds)]
        for one in children:
            os.killpg(one.pid, signal.SIGCONT)
            one.communicate()
    finally:  # a halted side would outlive this process
        for one in children:
            with suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
    return row(f"{name}, as installed ({body} against fp32)", cell, found, ">= 1.2")


def row(what: str, cell: Cell, found: list[list[float]], target: str) -> Row:
    """Images a second of both (medians), and the ratio by round."""
    images = cell.window * cell.batch
    first, second = (statistics.median(each) for each in zip(*found))
    return Row(f"train {what}", images / first, images / second, "images/s", tuple(b / a for a, b in found), target)


def measure(quick: bool = False, names: tuple[str, ...] = tuple(CELLS)) -> list[Row]:
    """All rows."""
    rounds, rows = 3 if quick else ROUNDS, []
    torch.set_num_threads(cores())
    for name in names:
        cell = CELLS[name]
        with tempfile.TemporaryDirectory() as place:
            corpus = scenes_at(Path(place), cell.side, captions=cell.loss == "clip")
            rows += [like_for_like(name, cell, corpus, rounds),
                     as_installed(name, cell, Path(place), chosen(cell, corpus, rounds), rounds)]  # fmt: skip
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    given = parser.parse_args()
    print(markdown(measure(given.quick, tuple(given.cells))), machine(), sep="\n\n")


if __name__ == "__main__":
    main()
