"""Translation of help pages, en -> de, through keel's verbs: does the loss fall, does chrF beat copying the source?

    python benchmarks/translation.py --data help [--to FOLDER] [--steps 3000] [--width 64] [--vocabulary 2048]

Two runs of one study have the same size, one of them a tenth of the tokens. The held-out pairs are those that
`keel look` set aside; it looks for near duplicates in a sample, so lines without any are judged apart too. Intervals:
bootstrap over pairs. Again with the same --to: what was trained is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from help_pairs import pairs_of

from keel.corpus import duplicates
from keel.corpus.parallel import open_bitext
from keel.corpus.tokenizer import load
from keel.evaluate import intervals
from keel.evaluate.tasks.asking import Asked, nats, write
from keel.evaluate.tasks.generation import translation
from keel.evaluate.tasks.overlap import chrf
from keel.evaluate.tasks.subject import Subject, opened
from keel.evaluate.uses.rows import Row, Split

LANGUAGES = ("en", "de")
CONTEXT, BATCH = 32, 32
JUDGED = 500
SHOWN = 5

STUDY = """[data]
parallel = {{ en = "help.en", de = "help.de" }}

[[use_case]]
name = "help pages"
task = "translation"

[set]
tokenizer.vocabulary = {vocabulary}
model.layers = {layers}
model.context = {context}
ladder.widths = [{half}, {width}]
ladder.tokens.{half} = [{short}, {tokens}]
ladder.tokens.{width} = [{short}, {tokens}]
train.batch_tokens = {batch}
train.options.too_long = "leave out"
train.lr_scale = {lr}
"""


def keel(*words: str, folder: Path) -> None:
    """One verb, shown as it runs; this ends where it fails."""
    print(f"$ keel {' '.join(words)}", flush=True)
    if subprocess.run([sys.executable, "-m", "keel", *words], cwd=folder, check=False).returncode:
        raise SystemExit(f"keel {words[0]} failed")


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """The pairs as two files of lines, and the study."""
    found = pairs_of(asked.data)
    print(found)
    for place, language in enumerate(LANGUAGES):
        lines = "".join(f"{pair[place]}\n" for pair in found.pairs)
        (folder / f"help.{language}").write_text(lines, encoding="utf-8")
    tokens = asked.steps * BATCH * CONTEXT
    (folder / "study.toml").write_text(STUDY.format(
        vocabulary=asked.vocabulary, layers=asked.layers, context=CONTEXT, half=asked.width // 16 * 8,
        width=asked.width, short=tokens // 10, tokens=tokens, batch=BATCH * CONTEXT, lr=asked.lr,
    ))  # fmt: skip


def train(folder: Path) -> list[Path]:
    """Plan, and train the two branches of the larger size; their folders, the short one first."""
    keel("plan", folder=folder)
    plan = json.loads((folder / "plan.json").read_text())
    chosen = [item["id"] for item in plan["experiments"] if item["kind"] == "branch" and item["held_out"]]
    for run in chosen:
        began_s = time.monotonic()
        keel("run", run, folder=folder)
        print(f"{run}: {time.monotonic() - began_s:.0f} s", flush=True)
    return [folder / "runs" / run for run in chosen]


def split_of(folder: Path) -> Split:
    """Pairs that fit the context, as text again: all that were trained on, and some that were held out."""
    place = next((folder / "runs").glob(".shards-*"))
    bitext, tokenizer = open_bitext(place), load((place / "tokenizer.json").read_text(encoding="utf-8"))

    def rows(part: Any, most: int | None = None) -> list[Row]:
        source, target = part
        longest = np.maximum(source.lengths, target.lengths)
        fits = np.flatnonzero(longest <= CONTEXT - 2)[:most]
        return [Row(*(tokenizer.decode(side[int(n)].tolist()) for side in (source, target))) for n in fits]

    return Split(rows(bitext.train), rows(bitext.heldout, JUDGED))


def asked_of(subject: Subject, rows: list[Row]) -> list[Asked]:
    """tag, source, end -> start, tag; then target, end."""
    tags = [subject.vocabulary.id_of(f"language {language}") for language in LANGUAGES]
    start, end = int(subject.library.config.decoder_start_token_id), subject.vocabulary.id_of("separator")
    sides = [subject.tokens([row.text for row in rows]), subject.tokens([row.answer for row in rows])]
    return [
        Asked(np.array([tags[0], *source, end]), np.array([start, tags[1]]), np.array([*target, end]))
        for source, target in zip(*sides)
    ]


def unlike(split: Split) -> np.ndarray:
    """Which rows to be judged by have no near duplicate among those trained on: `keel look` tells them on a sample."""
    number = len(split.train)
    near = np.zeros(len(split.test), bool)
    for cluster in duplicates.find([row.text for row in (*split.train, *split.test)]).near:
        if cluster[0] < number:
            near[[place - number for place in cluster if place >= number]] = True
    return ~near


def mean(scores: np.ndarray) -> intervals.Interval:
    """The mean and its bootstrap interval."""
    return intervals.of(lambda places: float(scores[places].mean()), len(scores))


def main() -> None:
    """Everything, one table at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("help"), help="where dpkg -x put the packages")
    parser.add_argument("--to", type=Path, help="keep the study here")
    parser.add_argument("--steps", type=int, default=3000, help=f"of {BATCH} pairs")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2, help="of each stack")
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--lr", type=float, default=0.2, help="train.lr_scale")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as place:
        folder = asked.to or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        prepare(asked, folder)
        if not (folder / "evidence" / "corpus.json").exists():
            keel("look", folder=folder)
        report(train(folder), split_of(folder))


def report(runs: list[Path], split: Split) -> None:
    """The loss of both runs on held-out pairs, chrF of the longer one beside that of the source, and some lines."""
    subjects = [opened(run / "model", CONTEXT) for run in runs]
    asked = asked_of(subjects[1], split.test)
    losses = [nats(subject, asked) / np.array([len(each.target) for each in asked]) for subject in subjects]
    for run, found in zip(runs, losses):
        print(f"{run.name}: {mean(found)} nats a target token, held out, mean of {len(found)} pairs")
    print(f"ten times the tokens: the loss falls by {mean(losses[0] - losses[1])}")
    result, fresh = translation(subjects[1], split, LANGUAGES, most=CONTEXT - 2), unlike(split)
    copied = chrf([row.text for row in split.test], [row.answer for row in split.test])
    over = mean((result.items - copied)[fresh])
    print(result)
    print(f"  the {fresh.sum()} lines without a near duplicate in training: chrF {mean(result.items[fresh])}, "
          f"source copied {mean(copied[fresh])}, over it {over}")  # fmt: skip
    for row, text in zip(split.test, write(subjects[1], asked[:SHOWN], CONTEXT - 2)):
        print(f"  en  {row.text}\n  de  {row.answer}\n  ->  {text.strip()}")


if __name__ == "__main__":
    main()
