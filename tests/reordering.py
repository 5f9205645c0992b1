"""A loss on images that reads everything before an epoch and chooses what it sees; as a program, one of two ranks.

RANK FOLDER STORE.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import digits
import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from keel.corpus.images.store import open_store
from keel.files import read_json
from keel.objective.base import Batch, Carry, Key, Sample, Stats, Sums
from keel.objective.classify import Classify
from keel.objective.reading import Read, Renewed
from keel.plan.spec import SCHEMA, Spec, from_json
from keel.run.train import Loop, Place

EVERY = 2


class Hard(Classify):
    """Images by the length of their state; only the upper half is seen, each as often as the draw says."""

    reorders = True

    def before_epoch(self, parts: Mapping[str, nn.Module], read: Read, carry: Carry, epoch: int) -> Renewed:
        assert not any(part.training for part in parts.values())
        if epoch % EVERY == 0:
            model: Any = parts["model"]
            found = read.states(lambda some: model(_pixels(some)).pooled)
            assert not found.requires_grad
            carry = {"sizes": found.norm(dim=1), "scale": 1.0 + found.norm(dim=1).mean()}
        best = torch.argsort(carry["sizes"], stable=True).numpy()[read.number // 2 :]
        rng = np.random.default_rng([read.seed, epoch])
        return carry, best[rng.integers(len(best), size=read.number)]

    def losses(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> tuple[Sums, None, Stats]:
        sums, _, stats = super().losses(parts, batch, carry, key)
        return {name: term * carry["scale"] for name, term in sums.items()}, None, stats


def _pixels(some: Sequence[Sample]) -> torch.Tensor:
    return torch.from_numpy(np.stack([sample.image for sample in some]))  # type: ignore[type-var]


def spec_of(root: Path) -> Spec:
    """Epochs begin within steps, and none but the first at a step's first image."""
    plain = {"steps": 8, "warmup_steps": 2, "decay_start": 6, "size": {"width": 16, "layers": 1, "head_width": 8}}
    return digits.spec_of("vit", root, 32, objective="reordering:Hard", options={"crop": "random"}, **plain)


def main() -> None:
    """Each spec-NAME.json over both ranks to its end; what this rank ends with, in NAME-RANK.npz."""
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    for path in sorted(folder.glob("spec-*.json")):
        spec, name = from_json(read_json(path, SCHEMA)), path.stem.removeprefix("spec-")
        loop = Loop(spec, Place(folder=folder / name), open_store(Path(sys.argv[3])))
        losses = [loop.one_step().loss for _ in range(spec.steps)]
        made = {name: value.numpy() for name, value in loop.carry.items()}
        np.savez(folder / f"{name}-{rank}.npz", losses=losses, order=loop.batches.orders.newest, **made)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)


if __name__ == "__main__":
    main()
