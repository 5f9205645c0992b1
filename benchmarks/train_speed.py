"""Training speed and memory of keel's loop against the Hugging Face Trainer: same model, weights, data and batch.

    python benchmarks/train_speed.py [--quick] [--cells 1M/8192 ...] [--precision fp32/fp32]

"as installed": each in its own process. The Trainer has its defaults (fp32, the C library's allocator); keel has the
allocator settings that `keel run` gives its workers, and the precision that is fastest here. The parent lets them run
in turns, one window at a time, so that a passing load falls on both. Peak memory is each process's own high-water mark.
"like for like": both in one process, same precision, same allocator, windows in turns inside one Trainer.train().

Both ratios are stated because a Trainer user can set the same variables and bf16=True.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from table import Row, machine, markdown
from train_child import CELLS, DEFAULT_CELLS, PRECISIONS, Cell, cell_of, threads

from keel.run.pool import ALLOCATOR, QUIET


class Child:
    """A process in one role; `go` lets it run its next window."""

    def __init__(self, role: str, cell: Cell, precision: str, rounds: int, kept: bool) -> None:
        env = {name: value for name, value in os.environ.items() if name not in ALLOCATOR} | QUIET
        env |= (ALLOCATOR if kept else {}) | {"OMP_NUM_THREADS": str(threads()), "MKL_NUM_THREADS": str(threads())}
        script = str(Path(__file__).with_name("train_child.py"))
        command = [sys.executable, script, role, cell.name, precision, str(rounds)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def hear(self) -> dict[str, Any]:
        """Its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a benchmark process ended with code {self.process.wait()}")
        return json.loads(line)

    def go(self) -> dict[str, Any]:
        """Its next window."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.hear()

    def end(self) -> None:
        """Let it finish."""
        self.process.communicate()


def apart(
    cell: Cell, ours: tuple[str, bool], theirs: tuple[str, bool], rounds: int
) -> tuple[list[float], list[float], float, float]:
    """Windows of two processes in turns: seconds and peak memory (bytes) of both. A side is (precision, kept)."""
    pair = [Child("keel", cell, ours[0], rounds, ours[1]), Child("trainer", cell, theirs[0], rounds, theirs[1])]
    for one in pair:
        one.hear()
    said = [[one.go() for one in pair] for _ in range(rounds)]
    for one in pair:
        one.end()
    return [a["s"] for a, _ in said], [b["s"] for _, b in said], said[-1][0]["peak"], said[-1][1]["peak"]


def together(cell: Cell, precision: str, kept: bool, rounds: int) -> tuple[list[float], list[float]]:
    """Windows of both in one process: seconds of both."""
    one = Child("both", cell, precision, rounds, kept)
    said = one.hear()
    one.end()
    return said["ours"], said["theirs"]


def speed_row(what: str, cell: Cell, ours_s: list[float], theirs_s: list[float], target: str = "") -> Row:
    """Tokens a second of both (medians), and the ratio by round."""
    tokens = cell.window * cell.batch_tokens
    ratios = tuple(b / a for a, b in zip(ours_s, theirs_s))
    return Row(
        what, tokens / statistics.median(ours_s), tokens / statistics.median(theirs_s), "tokens/s", ratios, target
    )


def measure(quick: bool = False, names: tuple[str, ...] = DEFAULT_CELLS, wanted: str | None = None) -> list[Row]:
    """All rows of the table."""
    rounds, rows = 3 if quick else 5, []
    for cell in (cell for cell in CELLS if cell.name in names):
        print(cell.describe(), file=sys.stderr)
        best = wanted or _chosen(cell, rounds)
        ours, theirs, ours_peak, theirs_peak = apart(cell, (best, True), ("fp32/fp32", False), rounds)
        rows.append(
            speed_row(f"train {cell.name}, as installed ({best} against fp32)", cell, ours, theirs, cell.as_installed)
        )
        if cell.name.startswith("10M"):
            rows.append(_peak_row(f"peak memory {cell.name}, as installed", ours_peak, theirs_peak, "<= 0.5"))
        same = best if best != "fp32/bf16" else "bf16/bf16"
        for precision in (same,) if quick else dict.fromkeys((same, "fp32/fp32")):
            target = cell.like_for_like if precision == same else ""
            rows.append(speed_row(f"train {cell.name}, like for like {precision}, both kept", cell,
                                  *together(cell, precision, True, rounds), target))  # fmt: skip
        if cell.name == "10M/50304" and not quick:
            more = cell_of("10M/50304x2048")
            sides = (best, True), ("fp32/fp32", False)
            rows.append(_peak_row(f"peak memory {more.name}, as installed", *apart(more, *sides, 1)[2:], "<= 0.5"))
            for one in (cell, more):
                what = f"peak memory {one.name}, like for like {same}, both kept"
                rows.append(_peak_row(what, *apart(one, (same, True), (same, True), 1)[2:]))
    return rows


def _chosen(cell: Cell, rounds: int) -> str:
    one = Child("choose", cell, "fp32/fp32", rounds, True)
    precision: str = one.hear()["precision"]
    one.end()
    return precision


def _peak_row(what: str, ours: float, theirs: float, target: str = "") -> Row:
    return Row(what, ours / 1e6, theirs / 1e6, "MB", (ours / theirs,), target)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cells", nargs="+", default=list(DEFAULT_CELLS), choices=[cell.name for cell in CELLS])
    parser.add_argument("--precision", choices=PRECISIONS)
    chosen = parser.parse_args()
    print(markdown(measure(chosen.quick, tuple(chosen.cells), chosen.precision)), machine(), sep="\n\n")


if __name__ == "__main__":
    main()
