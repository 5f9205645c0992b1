"""One table of every benchmark: python benchmarks/run.py [--quick]

Ratios are keel / peer, the median of paired rounds, beside the smallest and largest. Run it on a quiet machine: with
another process busy, threads wait for each other and every figure falls. `--quick` is for a look, not for a claim.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import data_speed
import image_loader
import loss_speed
import train_speed
from table import Row, machine, markdown

HERE = Path(__file__).parent
QUICK_CELLS = ("1M/8192", "10M/50304")


def startup() -> list[Row]:
    """Wall time of commands that need no torch, beside an empty Python."""
    if importlib.util.find_spec("startup") is None:
        return []
    done = subprocess.run(
        [sys.executable, str(HERE / "startup.py"), "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"startup.py failed:\n{done.stderr}", file=sys.stderr)
        return []
    taken = json.loads(done.stdout.strip().splitlines()[-1])["seconds"]
    (empty, base), *commands = taken.items()
    return [
        Row(f"start-up: {name}, beside {empty}", 1e3 * s, 1e3 * base, "ms", (s / base,)) for name, s in commands
    ]  # fmt: skip


def main() -> None:
    """Run all, print one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rounds and less text")
    quick = parser.parse_args().quick
    rows = [*startup(), *data_speed.measure(quick), *image_loader.measure(quick), *train_speed.measure(quick),
            *loss_speed.measure(quick)]  # fmt: skip
    print(markdown(rows), machine(), sep="\n\n")


if __name__ == "__main__":
    main()
