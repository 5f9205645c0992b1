"""Is pretraining without labels worth it on these images: MAE, SimCLR, DINO, DeepCluster against labels alone.

    python benchmarks/image_pretraining.py PACKAGE [--seeds 1 2] [--pretrain 2e12] [--tune 4e11]

PACKAGE is where animal-mnist lies (benchmarks/image_data.py says how it comes). Each loss trains the same vision
transformer on all training images, without their labels; then a probe on frozen states, and fine-tuning of all weights
on 100, 1,000 and 8,000 labelled images. Beside them: fresh weights tuned as long, and fresh weights with the FLOP of
pretraining and tuning together. Every loss has its default options and a rate of its own, frozen before the seeds that
are reported.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from image_families import LAYERS, PATCH, SIDE, WIDTH
from image_runs import SCRATCH, cut, right, spec_of, stored, trained

from keel.corpus.images.store import Store
from keel.model.shapes import Size

TABLES, TUNED = 1e-2, 4e-3
# Each the best of .001, .004 and .016 by the probe on 1,000 training images held back, at 3e11 FLOP, seed 100.
RATES: Mapping[str, float] = {"mae": 4e-3, "simclr": 1e-3, "dino": 1.6e-2, "deepcluster": 1e-3}
LOSSES: Mapping[str, Mapping[str, Any]] = {
    "mae": {"judged": "probe"}, "simclr": {}, "dino": {"out": 512}, "deepcluster": {"clusters": 100},
}  # fmt: skip
COUNTS = (100, 1000, 8000)


def size(classes: int) -> Size:
    """The vision transformer of image_families.py."""
    return Size(width=WIDTH, layers=LAYERS, vocabulary=0, context=(SIDE // PATCH) ** 2, head_width=8, patch=PATCH,
                classes=classes)  # fmt: skip


def rows(whole: Store, seed: int, flops: tuple[float, float], losses: Sequence[str], place: Path) -> Iterator[str]:
    """A row a start: its probe, and what is right after tuning on each number of labels."""
    pretrain, tune = flops
    some = {count: cut(whole, count, validate=False) for count in COUNTS}

    def tuned(name: str, flop: float, start: Mapping[str, Any]) -> list[str]:
        spec = spec_of("classify", "vit", size(len(whole.classes)), flop, TUNED, TABLES, seed, start=start)
        return [right(trained(spec, corpus, place / f"{name}-{count}")) for count, corpus in some.items()]

    for name in losses:
        made = trained(
            spec_of(name, "vit", size(0), pretrain, RATES[name], TABLES, seed, LOSSES[name]), whole, place / name
        )
        fresh = made.get("random") or {}
        probes = [right(made), right(fresh), f"{made['knn']['value']:.3f}" if made.get("knn") else ""]
        yield _line(seed, name, [*probes, *tuned(f"{name}-tuned", tune, {"kind": "run", "run": name})])
    yield _line(seed, "none", ["", "", "", *tuned("none", tune, SCRATCH)])
    yield _line(seed, "none, as long together", ["", "", "", *tuned("longer", pretrain + tune, SCRATCH)])


def _line(seed: int, name: str, cells: Sequence[str]) -> str:
    return f"| {seed} | {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pretrain", type=float, default=2e12)
    parser.add_argument("--tune", type=float, default=4e11)
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=list(LOSSES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| seed | pretrained by | probe | of fresh weights | nearest neighbours | "
        + " | ".join(f"{n:,} labels" for n in COUNTS)
        + " |"
    )
    print("|---" * (5 + len(COUNTS)) + "|")
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            whole = stored(given.package, place)
            for line in rows(whole, seed, (given.pretrain, given.tune), given.losses, place / "runs"):
                print(line)
                sys.stdout.flush()


if __name__ == "__main__":
    main()
