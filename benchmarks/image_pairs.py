"""CLIP on real pictures with captions: emoji of one drawing style, judged on held-out emoji of it and of another style.

    python benchmarks/image_pairs.py emoji GOOGLE TWITTER NAMES [--flop 2e13] [--text-from MINILM]
    python benchmarks/image_pairs.py stamps TUX [--flop 1e13] [--loss captioning]

Folders are unpacked packages (benchmarks/image_data.py says how they come). Held out are 200 emoji whole, all skin
tones with them, and candidates are those without a tone; of stamps 100 pictures. The floor is ridge regression from
frozen SqueezeNet features to MiniLM's vectors of captions, measured elsewhere on 200 and 100 candidates: emoji R@1
.305 and R@10 .655; stamps .25 and .67. It has seen ImageNet and a billion pairs of sentences; these models nothing.
Captions are judged by their bits a byte, beside those with the image of another pair, and by what is written.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import image_data
import numpy as np
import torch
from image_runs import Cut, spec_of, trained

from keel.corpus.images import store
from keel.corpus.images.items import open_images
from keel.corpus.images.look import measure_images
from keel.corpus.images.store import TOKENIZER, Store
from keel.corpus.tokenizer import train as train_tokenizer
from keel.evaluate import retrieved, written
from keel.files import write_text
from keel.model.shapes import Size
from keel.objective.released_text import sha256_of
from keel.run import heldout
from keel.run.pictures import want_of
from keel.run.train import Loop, Place
from keel.study import Study

SIZE = Size(width=96, layers=4, vocabulary=0, context=64, head_width=32, patch=8, embedding_width=96)
RATE, TABLES, WORDS, LONGEST = 2e-3, 3e-3, 1024, 62
OPTIONS = {"text_context": LONGEST + 2, "too_long": "shorten"}
HELD = {"emoji": 200, "stamps": 100}
HEADS = {
    "clip": "| judged on | candidates | nats | image to caption R@1 | R@10 | caption to image R@1 | R@10 |",
    "captioning": "| judged on | captions | bits a byte | by frequencies | exact | CIDEr-D | chrF |",
}


def stored(folder: Path, data: dict[str, Any], tokenizer: Path | None = None) -> Store:
    """Pairs as a store, with a tokenizer of their own captions or the one that is given."""
    study = Study.model_validate({"data": data})
    with contextlib.redirect_stderr(io.StringIO()):
        seen = measure_images(open_images(folder, study.data), study)
        said = [item.caption or "" for item in open_images(folder, study.data).items()]
        text = tokenizer.read_text(encoding="utf-8") if tokenizer else train_tokenizer(said, WORDS)
        write_text(folder / "store" / TOKENIZER, text)
        return store.write(folder / "store", open_images(folder, study.data), seen)


def groups(whole: Store) -> np.ndarray:
    """The group of each pair, else its key."""
    return np.array([whole[number].group or whole[number].key for number in range(len(whole))])


def divided(whole: Store, held: set[str]) -> Cut:
    """Pairs of groups in `held`, captions without a skin tone alone, are judged; all other groups are trained on."""
    found = groups(whole)
    inside = np.isin(found, sorted(held))
    toned = np.array(["skin tone" in str(whole[number].caption) for number in range(len(whole))])
    return Cut(whole, np.flatnonzero(~inside), np.flatnonzero(inside & ~toned))


def told(name: str, found: dict[str, Any]) -> str:
    """A row: R@1 and R@10 with intervals, each way."""
    ways = found["recall"]
    cells = [f"{each['value']:.3f} ({each['low']:.3f} to {each['high']:.3f})" for way in
             ("caption_of_image", "image_of_caption") for each in (ways[way]["R@1"], ways[way]["R@10"])]  # fmt: skip
    return f"| {name} | {found['candidates']} | {found['retrieval_nats']:.3f} | " + " | ".join(cells) + " |"


def judged(spec: Any, folder: Path, corpus: Store) -> dict[str, Any]:
    """A trained run on other held-out pairs than its own: its weights come from its last checkpoint."""
    loop = Loop(spec, Place(folder=folder), corpus)
    questions = heldout.samples_of(loop.objective, corpus, want_of(loop.shape, spec.seed))
    return retrieved.judge(loop.parts, loop.objective, questions).told()


def captioned(spec: Any, folder: Path, corpus: Store, shift: int) -> written.Captioned:
    """Held-out captions, each with the image of the pair `shift` places on: 0 is its own."""
    loop = Loop(spec, Place(folder=folder), corpus)
    found = list(heldout.samples_of(loop.objective, corpus, want_of(loop.shape, spec.seed)))
    shown = [one._replace(image=other.image, views=other.views) for one, other in
             zip(found, found[shift:] + found[:shift])]  # fmt: skip
    return written.judge(loop.parts, loop.objective, shown, corpus)


def said(name: str, found: written.Captioned) -> str:
    """A row: bits a byte, what frequencies reach, and what was written."""
    answers = found.answers
    cells = [f"{each.value:.3f} ({each.low:.3f} to {each.high:.3f})" if each else "" for each in
             (answers.exact, answers.cider_d, answers.chrf)]  # fmt: skip
    bits = f"{found.value:.3f} +- {1.645 * found.bits.standard_error:.3f}"
    return f"| {name} | {answers.images} | {bits} | {found.bar:.3f} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=list(HELD))
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--flop", type=float, default=2e13)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--text-from", type=Path)
    parser.add_argument("--loss", choices=list(HEADS), default="clip")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for line in run(given, Path(name)):
            print(line, flush=True)


def run(given: argparse.Namespace, place: Path) -> list[str]:
    """The rows of the table."""
    options: dict[str, Any] = dict(OPTIONS)
    if given.text_from:
        from keel.model.shapes import folder as releases

        options |= {"text_from": str(given.text_from), "text_sha256": sha256_of(releases.read(given.text_from))}
    if given.which == "emoji":
        google, twitter, names = given.folders
        image_data.emoji(google, names, "google", place / "google")
        image_data.emoji(twitter, names, "twitter", place / "twitter")
        data = {"train": "pairs.jsonl", "image": "image", "text": "text", "group": "group"}
    else:
        image_data.stamps(given.folders[0], place / "google" / "stamps")
        data = {"train": "stamps", "image": "file", "text": "twin"}
    whole = stored(place / "google", data)
    known = sorted(set(groups(whole)))
    held = set(np.random.default_rng(0).choice(known, HELD[given.which], replace=False))
    rows = [HEADS[given.loss], "|---" * 7 + "|"]
    for seed in given.seeds:
        spec = spec_of(given.loss, "clip-vision", SIZE, given.flop, RATE, TABLES, seed, options)
        folder, corpus = place / "runs" / f"seed-{seed}", divided(whole, held)
        found, name = trained(spec, corpus, folder), f"{given.which}, seed {seed}, {spec.steps} steps"
        if given.loss == "captioning":
            rows += [said(each, captioned(spec, folder, corpus, shift)) for shift, each in
                     enumerate((name, "the same, each with the next image"))]  # fmt: skip
            continue
        rows.append(told(name, found))
        if given.which == "emoji":
            other = stored(place / "twitter", data, place / "google" / "store" / TOKENIZER)
            rows.append(told("the same emoji, the other style", judged(spec, folder, divided(other, held))))
    return rows


if __name__ == "__main__":
    main()
