"""Kill a study with SIGKILL at random moments, run the same command again, and compare results byte for byte."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from helpers import looked_and_planned

from keel.corpus import markov

WIDTHS = {16: (20_480, 40_960), 24: (20_480, 30_720), 32: (20_480, 30_720), 40: (61_440,)}
STUDY = """[data]
train = "text"
[set.tokenizer]
vocabulary = 512
[set.model]
layers = 1
context = 64
[set.ladder]
widths = [16, 24, 32, 40]
[set.ladder.tokens]
{tokens}
[set.train]
batch_tokens = 512
warmup_tokens = 5120
precision = "fp32"
"""
ENV = os.environ | {"KEEL_SAVE_EVERY_S": "0.2"}


class Finished(NamedTuple):
    """A study carried out without any trouble, and the seconds that took."""

    folder: Path
    span_s: float


def make(folder: Path, scale: int = 1) -> None:
    """A tiny study on generated text, looked at and planned; `scale` makes every run longer."""
    markov.write(folder / "text", markov.chain(200, 8, seed=1), documents=40, words_each=1500, seed=2)
    (folder / "study.toml").write_text(STUDY.format(tokens=_tokens(scale)))
    looked_and_planned(folder, cores=1)  # beside another worker of the tests


def _tokens(scale: int) -> str:
    return "\n".join(f"{width} = {[scale * count for count in counts]}" for width, counts in WIDTHS.items())


def start(folder: Path) -> subprocess.Popen[bytes]:
    """`keel run` in a process group of its own."""
    command = [sys.executable, "-m", "keel", "run", "--study", str(folder)]
    return subprocess.Popen(command, env=ENV, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(folder: Path) -> float:
    """Run to the end; seconds it took.

    Raises:
        RuntimeError: it ended otherwise than well; with what it said.
    """
    started_s = time.monotonic()
    process = start(folder)
    said = process.communicate(timeout=300)[0].decode()
    if process.returncode:
        raise RuntimeError(f"exit {process.returncode}: {said}")
    return time.monotonic() - started_s


def kill_some(folder: Path, kills: int, span_s: float, seed: int, first: int = 0) -> list[str]:
    """Start and SIGKILL `kills` times after random delays; every third time the parent alone. Says what was there."""
    rng, seen = random.Random(seed), []
    for number in range(first, first + kills):
        process = start(folder)
        # Starting up takes a third of the time and is the dullest moment to be killed in.
        delay_s = (rng.uniform(0.0, 0.35) if number % 5 == 4 else rng.uniform(0.35, 1.0)) * span_s
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            if number % 3 == 2:
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        seen.append(f"{delay_s:5.2f} s  {state(folder)}")
    return seen


def state(folder: Path) -> str:
    """How far a killed study was."""
    runs = folder / "runs"
    done = len(list(runs.glob("*/result.json")))
    saved = len(list(runs.glob("*/checkpoints/step-*")))
    partial = [path for path in runs.rglob(".*") if path.name.startswith((".step-", ".result", ".train-", ".model"))]
    sealed = len(list(runs.glob("*/forecast.json")))
    shards = "shards" if list(runs.glob(".shards-*/index.json")) else "no shards yet"
    return f"{shards}, {done} runs done, {saved} checkpoints, {sealed} sealed, {len(partial)} half-written files"


def results(folder: Path) -> dict[str, bytes]:
    """result.json of every run, and weights of every exported model."""
    found = {path.parent.name: path.read_bytes() for path in sorted((folder / "runs").glob("*/result.json"))}
    weights = sorted((folder / "runs").glob("*/model/model.safetensors"))
    return found | {f"{path.parent.parent.name}/weights": path.read_bytes() for path in weights}
