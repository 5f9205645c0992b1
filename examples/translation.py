"""Two files of lines become a judged translation model: `python examples/translation.py`, under half a minute.

The text is made here: sentences of a small English grammar, and the same in an invented language, where words have
other letters and a noun stands before its adjective. new, look, plan and run do the rest; then the exported model is
asked for held-out lines, beside the source copied. Fails where it does no better.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from keel.corpus.parallel import open_bitext
from keel.corpus.tokenizer import load
from keel.evaluate.tasks.generation import translation
from keel.evaluate.tasks.subject import opened
from keel.evaluate.uses.rows import Row, Split

ADJECTIVES = "red old small bright quiet heavy early simple".split()  # noqa: SIM905
NOUNS = "house river letter garden teacher window bridge market".split()  # noqa: SIM905
VERBS = "sees follows carries opens paints needs finds leaves".split()  # noqa: SIM905
SIDES = ("en", "eo")
LINES = 3000

SETTINGS = """
[set.tokenizer]
vocabulary = 512
[set.model]
layers = 1
context = 32
[set.ladder]
widths = [16, 48]
[set.ladder.tokens]
16 = [40_960]
48 = [307_200]
[set.train]
batch_tokens = 2048
precision = "fp32"
"""


def invented(word: str) -> str:
    """A word of the other language: turned round, with another ending."""
    return f"{word[::-1]}o"


def sentences(seed: int = 0) -> list[tuple[str, str]]:
    """Lines of both languages."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(LINES):
        one, two = rng.choice(ADJECTIVES, 2)
        who, whom = rng.choice(NOUNS, 2)
        verb, number = str(rng.choice(VERBS)), int(rng.integers(2, 99))
        source = f"the {one} {who} {verb} {number} {two} {whom}s"
        words = (invented(each) for each in (who, one, verb))
        made.append((source, f"la {' '.join(words)} {number} {invented(whom)}j {invented(two)}j"))
    return made


def keel(*words: str, folder: Path) -> None:
    """One verb; its words are shown when it fails."""
    done = subprocess.run([sys.executable, "-m", "keel", *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"keel {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    print(f"$ keel {' '.join(words)}\n" + "\n".join(done.stdout.splitlines()[:3]), flush=True)


def split_of(runs: Path) -> Split:
    """The pairs that `keel look` held out, as text again."""
    corpus = open_bitext(next(runs.glob(".shards-*")))
    tokenizer = load(corpus.tokenizer_path.read_text(encoding="utf-8"))

    def rows(sides: tuple[object, ...]) -> list[Row]:
        texts = ([tokenizer.decode(line.tolist()) for line in side] for side in sides)  # type: ignore[attr-defined]
        return [Row(*pair) for pair in zip(*texts)]

    return Split(rows(corpus.train)[:500], rows(corpus.heldout)[:100])


def main() -> None:
    """The whole way, then the question whether it was worth it."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "lines").mkdir()
        for side, name in enumerate(SIDES):
            text = "".join(f"{pair[side]}\n" for pair in sentences())
            (root / "lines" / f"lines.{name}").write_text(text, encoding="utf-8")
        keel("new", "lines", folder=root)
        study = root / "lines-study"
        with (study / "study.toml").open("a") as file:
            file.write(SETTINGS)
        keel("look", folder=study)
        keel("plan", folder=study)
        made = json.loads((study / "plan.json").read_text())
        run = made["experiments"][-1]["id"]
        keel("run", run, folder=study)
        found = translation(opened(study / "runs" / run / "model"), split_of(study / "runs"), SIDES)
        print(found, f"{time.monotonic() - began_s:.0f} s", sep="\n")
        if found.over.low <= 0:
            raise SystemExit("no better than the source copied")


if __name__ == "__main__":
    main()
