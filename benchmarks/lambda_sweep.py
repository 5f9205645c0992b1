"""Which weights of CoCa's two losses win, on rich images with thin text and on weak images with excellent text.

    python benchmarks/lambda_sweep.py [--seeds 1 2] [--steps 300] [--images 2000] [--processes 2] [--figure sweep.svg]

Both corpora are generated scenes (corpus/scenes.py): in the one captions name colours alone, in the other images are
blurred to blocks under noise and captions say all. Every run has the same parts, steps and FLOP; weights add to 3, as
the paper's 1 : 2 do. Measured on the same held-out pairs: R@1 (mean of both ways, equal captions all right), bits a
byte of captions given their images, and the norm of each loss's own gradient at the end. The rule that is tried: thin
text asks for more contrast, weak images for more captioning.

Reference: Yu et al. 2022, arXiv:2205.01917, section 4.1 (1 : 2); the rule is a heuristic (choose/lambdas.py).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lambda_plot import Line, draw

from keel.corpus import scene_pictures, scenes
from keel.corpus.images import named, prepare
from keel.corpus.images.items import open_images
from keel.corpus.images.look import SCHEMA, measured
from keel.corpus.images.prepare import EVIDENCE
from keel.corpus.store import open_corpus
from keel.files import read_json, write_json, write_text
from keel.plan.spec import Spec, example_spec
from keel.run.finish import finish
from keel.run.train import Place, train
from keel.study import Study

SIDE, PATCH, WIDTH, LAYERS, PAIRS = 36, 12, 48, 1, 48
RATIOS = ((1, 0), (4, 1), (2, 1), (1, 1), (1, 2), (1, 4), (0, 1))
WHOLE = 3.0
THIN, WEAK = "rich images, thin text", "weak images, excellent text"
CORPORA: Mapping[str, scenes.Options] = {
    THIN: scenes.Options(most_objects=2, side=SIDE, thin=True),
    WEAK: scenes.Options(most_objects=2, side=SIDE, weak=True),
}
STUDY = {"data": {"train": "scenes", "image": "file", "text": "twin"}}


class Measured(NamedTuple):
    """What one run came to: R@1, bits a byte, and the norms of both losses' gradients, contrast first."""

    recall: float
    bits: float
    norms: tuple[float, float]


class Wanted(NamedTuple):
    """A run to make."""

    corpus: str
    ratio: tuple[int, int]
    seed: int
    root: Path
    steps: int


def written(root: Path, options: scenes.Options, images: int) -> None:
    """Scenes under `root`, looked at."""
    study = Study.model_validate(STUDY)
    with contextlib.redirect_stderr(io.StringIO()):
        scene_pictures.write(root / "scenes", images, 0, options)
        found, tokenizer_json = measured(open_images(root, study.data), study)
        assert tokenizer_json is not None
        write_text(root / "evidence/tokenizer.json", tokenizer_json)
        write_json(root / EVIDENCE, SCHEMA, found)
        prepare.prepare(root, open_images(root, study.data), data_of(root))


def data_of(root: Path) -> dict[str, Any]:
    """What a spec says of a corpus."""
    seen = read_json(root / EVIDENCE, SCHEMA)
    of = seen["tokenizer"]
    return named.named(seen) | {"vocabulary": of["vocabulary"], "tokenizer_sha256": of["sha256"]}


def spec_of(wanted: Wanted) -> Spec:
    """CoCa with weights in a ratio, and room for the longest caption."""
    seen, data = read_json(wanted.root / EVIDENCE, SCHEMA), data_of(wanted.root)
    con, cap = (WHOLE * each / sum(wanted.ratio) for each in wanted.ratio)
    options = {"lambda_con": con, "lambda_cap": cap, "text_context": int(seen["tokens"][-1]["longest"]) + 2}
    context = (SIDE // PATCH) ** 2
    size = {"width": WIDTH, "layers": LAYERS, "vocabulary": data["vocabulary"] + 1, "context": context,
            "head_width": 16, "embedding_width": WIDTH, "patch": PATCH}  # fmt: skip
    return example_spec(
        objective="coca", options=options, family="clip-vision", size=size, data=data, batch_tokens=PAIRS * context,
        steps=wanted.steps, warmup_steps=20, decay_start=wanted.steps // 2, lr_hidden=2e-3, lr_embedding=4e-2,
        beta2=0.98, weight_decay=0.05, seed=wanted.seed,
    )  # fmt: skip


def run(wanted: Wanted) -> tuple[Wanted, Measured]:
    """Train and judge, as `keel run` does."""
    spec = spec_of(wanted)
    study = Study.model_validate(STUDY)
    with contextlib.redirect_stderr(io.StringIO()), tempfile.TemporaryDirectory() as place:
        corpus = open_corpus(prepare.prepare(wanted.root, open_images(wanted.root, study.data), spec.data))
        folder = Path(place) / "runs" / "one"
        trained = train(spec, Place(folder=folder), corpus, spec.steps, set(), lambda _: None, lambda: False)
        result = finish(spec, folder, corpus, trained)
        lines = (folder / "metrics.jsonl").read_text().splitlines()[1:]
    recall = [result["recall"][way]["R@1"]["value"] for way in ("caption_of_image", "image_of_caption")]
    return wanted, Measured(float(np.mean(recall)), result["bits_per_byte"], norms_of(lines))


def norms_of(lines: Sequence[str]) -> tuple[float, float]:
    """Of the contrast and of the captions, before their weights: means over the last quarter of what was logged."""
    last = [json.loads(line)["grad_norms"] for line in lines[-max(1, len(lines) // 4) :]]
    con, cap = (float(np.mean([each[name] for each in last])) for name in ("contrast", "caption"))
    return con, cap


Found = Mapping[str, Mapping[tuple[int, int], Sequence[Measured]]]


def swept(seeds: Sequence[int], steps: int, images: int, processes: int) -> Found:
    """Every ratio on both corpora with every seed."""
    found: dict[str, dict[tuple[int, int], list[Measured]]] = {name: {at: [] for at in RATIOS} for name in CORPORA}
    with tempfile.TemporaryDirectory() as place:
        wanted = []
        for number, (name, options) in enumerate(CORPORA.items()):
            root = Path(place) / str(number)
            written(root, options, images)
            wanted += [Wanted(name, ratio, seed, root, steps) for ratio in RATIOS for seed in seeds]
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for done, made in pool.imap_unordered(run, wanted):
                found[done.corpus][done.ratio].append(made)
    return found


def lines_of(found: Found) -> Iterator[Line]:
    """Means over seeds with their least and most, as the figure draws them."""
    for corpus, rows in found.items():
        for (con, cap), made in rows.items():
            for measure, values in (("R@1", [one.recall for one in made]), ("bits a byte", [one.bits for one in made])):
                mean = float(np.mean(values))
                yield Line(corpus, measure, f"{con} : {cap}", con / (con + cap), mean, min(values), max(values))


def best(found: Found, corpus: str) -> dict[str, tuple[int, int]]:
    """The ratio that wins each measure, and the one that loses least of both.

    Loss of a measure: how far a ratio's mean is from the best, as a share of the distance of best and worst, among
    those that train both; a loss that is left out makes its measure so bad that all others would look alike.
    """
    rows = found[corpus]
    recall = {at: -float(np.mean([one.recall for one in made])) for at, made in rows.items()}
    bits = {at: float(np.mean([one.bits for one in made])) for at, made in rows.items()}
    mixed = [at for at in rows if all(at)]
    apart = [lost({at: of[at] for at in mixed}) for of in (recall, bits)]
    both = {at: sum(of[at] for of in apart) for at in mixed}
    return {name: min(of, key=lambda at: of[at])
            for name, of in (("R@1", recall), ("bits a byte", bits), ("both", both))}  # fmt: skip


def lost(costs: Mapping[tuple[int, int], float]) -> Mapping[tuple[int, int], float]:
    """Shares of the way from the best to the worst.

    Example:
        >>> lost({(1, 0): 1.0, (1, 1): 2.0, (0, 1): 5.0})
        {(1, 0): 0.0, (1, 1): 0.25, (0, 1): 1.0}
    """
    least, most = min(costs.values()), max(costs.values())
    return {at: (cost - least) / ((most - least) or 1.0) for at, cost in costs.items()}


def told(found: Found) -> Iterator[str]:
    """The table, the winners, and what became of the rule."""
    for corpus, rows in found.items():
        yield f"\n{corpus} (mean, least and most of {len(next(iter(rows.values())))} seeds)"
        yield f"{'con : cap':>10}  {'R@1':^22}  {'bits a byte':^24}  {'norm con':>9}{'norm cap':>9}"
        for (con, cap), made in rows.items():
            norms = np.mean([one.norms for one in made], axis=0)
            yield (f"{con:>4} : {cap:<3}  {_span([one.recall for one in made]):^22}  "
                   f"{_span([one.bits for one in made]):^24}  {norms[0]:>9.3f}{norms[1]:>9.3f}")  # fmt: skip
        for measure, (con, cap) in best(found, corpus).items():
            yield f"best for {measure}: {con} : {cap}"
    thin, weak = (best(found, corpus)["both"] for corpus in (THIN, WEAK))
    shares = [con / (con + cap) for con, cap in (thin, weak)]
    word = "held" if shares[0] > shares[1] else "did not hold" if shares[0] < shares[1] else "was not seen: both alike"
    yield (f"\nthin text asks for {thin[0]} : {thin[1]}, weak images for {weak[0]} : {weak[1]}: "
           f"the rule (thin text, more contrast; weak images, more captioning) {word}")  # fmt: skip


def _span(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def main() -> None:
    """Run the sweep, print it, draw it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--figure", type=Path, default=None)
    given = parser.parse_args()
    found = swept(given.seeds, given.steps, given.images, given.processes)
    print("\n".join(told(found)))
    if given.figure:
        draw(list(lines_of(found)), given.figure)
        print(f"figure: {given.figure}")


if __name__ == "__main__":
    main()
