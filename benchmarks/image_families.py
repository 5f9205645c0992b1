"""Which architecture wins at how many labelled images: a vision transformer, a hybrid, two networks of convolutions.

    python benchmarks/image_families.py PACKAGE [--seeds 1 2] [--flop 8e11] [--counts 100 1000 8000]

PACKAGE is where animal-mnist lies (benchmarks/image_data.py says how it comes). All runs have the same FLOP, sizes with
about the same FLOP an image, and the same 800 held-out images. Rates were chosen for each family by held-out nats of
1,000 *training* images that the runs of that choice did not see (--choose; seed 0), and frozen in RATES before the
seeds that are reported.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import image_data
import numpy as np
import torch
from image_runs import cut, right, spec_of, stored, trained

from keel.corpus.images.store import Store
from keel.model.shapes import Size
from keel.plan.family_arms import size_of
from keel.plan.ladder import Frame

FAMILIES = ("vit", "vit-hybrid", "resnet-basic", "convnext")
SIDE, PATCH, WIDTH, LAYERS = 32, 4, 32, 4
CHOICES, TABLES = (1e-3, 2e-3, 4e-3, 8e-3), 1e-2
RATES: Mapping[str, float] = {"vit": 4e-3, "vit-hybrid": 4e-3, "resnet-basic": 8e-3, "convnext": 8e-3}
CHOSEN_AT = 1000


def sizes() -> dict[str, Size]:
    """The vision transformer, and of each other family the size nearest to its FLOP an image."""
    context = (SIDE // PATCH) ** 2
    base = Size(width=WIDTH, layers=LAYERS, vocabulary=0, context=context, head_width=8, patch=PATCH,
                classes=len(image_data.ANIMALS))  # fmt: skip
    frame = Frame("classify", {}, "vit", (base,), context, 0)
    found = {"vit": base}
    for family in FAMILIES[1:]:
        size = size_of(frame, base.json(), family)
        assert isinstance(size, Size), size
        found[family] = size
    return found


def choose(whole: Store, flop: float, place: Path) -> Iterator[str]:
    """Validation nats of each family and rate."""
    corpus = cut(whole, CHOSEN_AT, validate=True)
    for family, size in sizes().items():
        found = [
            trained(spec_of("classify", family, size, flop, rate, TABLES, 0), corpus, place / f"{family}-{rate}")
            for rate in CHOICES
        ]
        nats = [one["class_nats"] or np.inf for one in found]
        told = "  ".join(f"{rate:g}: {each:.3f}" for rate, each in zip(CHOICES, nats))
        yield f"{family:<13} {told}  -> {CHOICES[int(np.argmin(nats))]:g}"


def table(whole: Store, flop: float, counts: Sequence[int], seeds: Sequence[int], place: Path) -> Iterator[str]:
    """A row a family and count: accuracy of every seed with the interval of the first, and the mean nats."""
    yield "| images | family | params | right, first seed | the others | nats, mean |"
    yield "|---|---|---|---|---|---|"
    for count in counts:
        corpus = cut(whole, count, validate=False)
        for family, size in sizes().items():
            specs = [spec_of("classify", family, size, flop, RATES[family], TABLES, seed) for seed in seeds]
            found = [trained(spec, corpus, place / f"{family}-{count}-{spec.seed}") for spec in specs]
            others = ", ".join(f"{one['accuracy']['value']:.3f}" for one in found[1:])
            nats = float(np.mean([one["class_nats"] for one in found]))
            params = f"{found[0]['params']['total']:,}"
            yield f"| {count:,} | {family} | {params} | {right(found[0])} | {others} | {nats:.3f} |"


def main() -> None:
    """Print the choice of rates, or the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--flop", type=float, default=8e11)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 8000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        whole, runs = stored(given.package, place), place / "runs"
        rows = choose(whole, given.flop, runs) if given.choose else table(
            whole, given.flop, given.counts, given.seeds, runs)  # fmt: skip
        for row in rows:
            print(row)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
