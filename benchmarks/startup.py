"""Wall time of `keel --help` and `keel plan` beside that of an empty Python: medians of 7 runs, taken in turns.

    python benchmarks/startup.py [--json]

The plan is that of the demo's study (generated text). Its corpus is measured before the clock starts; its machine is
stated, since a plan's arithmetic takes as long for any machine.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TURNS = 7
EMPTY, HELP, PLAN = "python -c pass", "keel --help", "keel plan"
MACHINE = {
    "made_utc": "2025-01-01T00:00:00Z", "cores": 2, "cores_free": 2, "memory_bytes": 8 << 30,
    "memory_free_bytes": 8 << 30, "disk_free_bytes": 8 << 30, "cpu": "stated", "platform": "stated", "torch": None,
    "compiler": False, "steps": [], "precision": {"body": "fp32", "head": "fp32", "why": "stated"},
    "gemm": [{"precision": "fp32", "threads": 1, "m": 1024, "k": 1024, "n": 1024, "flop_per_s": 5e10}],
}  # fmt: skip


def prepare(folder: Path) -> None:
    """The demo's study on generated text, with evidence."""
    from keel.corpus import markov
    from keel.corpus.look import measure_corpus, source_of
    from keel.demo_sources import TEXT
    from keel.files import write_json, write_text
    from keel.study import load

    markov.write(folder / "text", markov.chain(600, 12, seed=1), documents=100, words_each=1500, seed=2)
    write_text(folder / "study.toml", TEXT.format(train='"text"', vocabulary=512, seed=0))
    study = load(folder)
    corpus, tokenizer = measure_corpus(source_of(folder, study), study)
    write_text(folder / "evidence" / "tokenizer.json", tokenizer)
    write_json(folder / "evidence" / "corpus.json", "keel.corpus/1", corpus)
    write_json(folder / "evidence" / "machine.json", "keel.machine/1", MACHINE)


def seconds(command: list[str]) -> float:
    """Wall seconds of a process, its output thrown away; a process that fails ends the benchmark."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with code {done.returncode}:\n{done.stderr}")
    return took


def measure(commands: dict[str, list[str]]) -> dict[str, float]:
    """Median wall seconds of each command; one run of each before the clock starts fills the caches."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(TURNS + 1):
        for name, command in commands.items():
            took = seconds(command)
            if turn:
                times[name].append(took)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure and print."""
    keel = [sys.executable, "-m", "keel"]
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        medians = measure({
            EMPTY: [sys.executable, "-c", "pass"], HELP: [*keel, "--help"], PLAN: [*keel, "plan", "--study", name],
        })  # fmt: skip
    if "--json" in sys.argv[1:]:
        print(json.dumps({"unit": "s", "median_of": TURNS, "seconds": medians}))
        return
    for command, median in medians.items():
        extra = "" if command == EMPTY else f"  ({1000 * (median - medians[EMPTY]):+.0f} ms)"
        print(f"{command:<16}{1000 * median:6.0f} ms{extra}")


if __name__ == "__main__":
    main()
