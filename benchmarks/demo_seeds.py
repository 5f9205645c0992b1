"""The README's demo table: `keel demo` on five seeds, then on a corpus that no setting was chosen on.

`demo_seeds.py [--seeds 0 1 2] [--corpus FOLDER] [--source markov]` prints a row a seed and the medians.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Run every seed in a process of its own, one after the other, and print what was sealed and measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--source", default="sotu")
    parser.add_argument("--corpus", type=Path)
    asked = parser.parse_args()
    print("| seed | sealed | 90 % interval | half-width | measured | error | factor | nearest run | verdict | time |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    rows = [_one(seed, asked.source, asked.corpus) for seed in asked.seeds]
    hits = sum(row["hit"] for row in rows)
    error = statistics.median(abs(row["error"]) for row in rows)
    print(f"\n{hits} of {len(rows)} inside; median |error| {error:.2f} %, "
          f"median half-width {statistics.median(row['half'] for row in rows):.1f} %, "
          f"factor {min(row['factor'] for row in rows):.1f} at least, "
          f"copying the nearest run {statistics.median(abs(row['naive']) for row in rows):.1f} % off, "
          f"longest {max(row['seconds'] for row in rows):.0f} s")  # fmt: skip


def _one(seed: int, source: str, corpus: Path | None) -> dict[str, Any]:
    root = Path(tempfile.mkdtemp(prefix="keel-demo-"))
    command = [
        sys.executable,
        "-m",
        "keel",
        "demo",
        "--json",
        "--seed",
        str(seed),
        "--source",
        source,
        "--to",
        str(root / "demo"),
    ]
    command += ["--corpus", str(corpus.resolve())] if corpus else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"seed {seed}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    seconds = json.loads(done.stdout)["result"]["seconds"]
    score = json.loads(next((root / "demo" / "runs").glob("*/score.json")).read_text())
    sealed = json.loads(next((root / "demo" / "runs").glob("*/forecast.json")).read_text())
    shutil.rmtree(root)
    row = {
        "hit": score["hit"], "error": 100 * score["error"],
        "half": 50 * (score["high"] - score["low"]) / score["value"],
        "factor": 10 ** sealed["distance"], "naive": 100 * (score["measured"] / sealed["naive"]["nearest_run"] - 1),
        "seconds": seconds,
    }  # fmt: skip
    print(f"| {seed} | {score['value']:.4f} | {score['low']:.4f}-{score['high']:.4f} | +-{row['half']:.1f} % | "
          f"{score['measured']:.4f} | {row['error']:+.2f} % | {row['factor']:.1f}x | {row['naive']:+.1f} % | "
          f"{'hit' if score['hit'] else 'miss'} | {seconds:.0f} s |", flush=True)  # fmt: skip
    return row


if __name__ == "__main__":
    main()
