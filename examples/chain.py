"""new, look, plan, run, report on one small corpus in every input format: `python examples/chain.py [FORMAT ...]`.

The text is generated (keel.corpus.markov), so nothing is downloaded. Prints one line a format, and fails if any verb
does. The ladder is far too short to be forecast well: it shows the path, not the accuracy.
"""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from keel.corpus import markov

SETTINGS = """
[set.tokenizer]
vocabulary = 512
[set.model]
layers = 1
context = 64
[set.ladder]
widths = [16, 24, 32, 40]
[set.ladder.tokens]
16 = [20_480, 40_960]
24 = [20_480, 30_720]
32 = [20_480, 30_720]
40 = [81_920]
[set.train]
batch_tokens = 512
precision = "fp32"
"""


def texts() -> list[str]:
    """Forty documents of generated words."""
    with tempfile.TemporaryDirectory() as folder:
        markov.write(Path(folder), markov.chain(200, 8, seed=1), documents=40, words_each=1500, seed=2)
        return [path.read_text() for path in sorted(Path(folder).glob("*.txt"))]


def plain(ending: str) -> Callable[[Path, list[str]], None]:
    """One file a document."""

    def write(folder: Path, documents: list[str]) -> None:
        for number, text in enumerate(documents):
            (folder / f"{number:04d}.{ending}").write_text(text)

    return write


def lines(documents: list[str]) -> bytes:
    """The documents as JSON lines."""
    return "".join(json.dumps({"id": number, "body": text}) + "\n" for number, text in enumerate(documents)).encode()


def write_csv(folder: Path, documents: list[str]) -> None:
    """A header and one row a document."""
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "body"])
        writer.writerows(enumerate(documents))


def table(documents: list[str]) -> pa.Table:
    """The documents as an arrow table."""
    return pa.table({"id": list(range(len(documents))), "body": documents})


def write_arrow(folder: Path, documents: list[str]) -> None:
    """An arrow file."""
    with pa.OSFile(str(folder / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, table(documents).schema) as out:
        out.write_table(table(documents))


def write_dataset(folder: Path, documents: list[str]) -> None:
    """A data set as the library `datasets` saves it."""
    from datasets import Dataset

    Dataset(table(documents)).save_to_disk(str(folder / "saved"))


FORMATS: dict[str, Callable[[Path, list[str]], None]] = {
    "txt": plain("txt"),
    "md": plain("md"),
    "jsonl": lambda folder, documents: (folder / "rows.jsonl").write_bytes(lines(documents)) and None,
    "jsonl.gz": lambda folder, documents: (
        (folder / "rows.jsonl.gz").write_bytes(gzip.compress(lines(documents))) and None
    ),
    "jsonl.zst": lambda folder, documents: (
        (folder / "rows.jsonl.zst").write_bytes(zstandard.compress(lines(documents))) and None
    ),
    "csv": write_csv,
    "parquet": lambda folder, documents: pq.write_table(table(documents), folder / "rows.parquet"),
    "arrow": write_arrow,
    "datasets": write_dataset,
}


def keel(*words: str, folder: Path) -> None:
    """One verb; its words are shown when it fails."""
    done = subprocess.run([sys.executable, "-m", "keel", *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"keel {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")


def main() -> None:
    """The chain, format by format."""
    documents = texts()
    for name in sys.argv[1:] or FORMATS:
        with tempfile.TemporaryDirectory() as place:
            started_s, root = time.monotonic(), Path(place)
            (root / "data").mkdir()
            FORMATS[name](root / "data", documents)
            keel("new", "data", folder=root)
            study = root / "data-study"
            with (study / "study.toml").open("a") as file:
                file.write(SETTINGS)
            for verb in ("look", "plan", "run", "report"):
                keel(verb, folder=study)
            top = json.loads(next(study.glob("runs/*/score.json")).read_text())
            size = (study / "report.html").stat().st_size
            print(f"{name:<10} measured {top['measured']:.4f} bits per byte, {'hit' if top['hit'] else 'miss'}, "
                  f"report {size / 1e3:.0f} kB, {time.monotonic() - started_s:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
