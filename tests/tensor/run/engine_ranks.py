"""A model, samples and a loss with unequal counts; run as a program, it is one of two ranks: RANK FOLDER."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from keel.model.llama import FAMILY
from keel.model.shapes import Size
from keel.objective.base import Batch, Carry, Example, Key, Sample, Stats, Sums
from keel.objective.clm import CLM
from keel.run import engine

SIZE = Size(width=16, layers=1, vocabulary=64, context=12, head_width=8)


class Uneven(CLM):
    """Only tokens above a bound that grows with the sample are targets: the last samples have the fewest."""

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        made = super().collate(examples, ids)
        wanted = made.tensors["targets"] > 4 * torch.tensor(ids)[:, None] - 10
        return Batch({**made.tensors, "wanted": wanted}, {"clm": int(wanted.sum())}, made.ids)

    def losses(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> tuple[Sums, None, Stats]:
        model: Any = parts["model"]
        wanted = batch.tensors["wanted"]
        hidden = model(input_ids=batch.tensors["inputs"])[wanted]
        return {"clm": model.nll(hidden, batch.tensors["targets"][wanted])}, None, {}


class Lopsided(CLM):
    """A loss of two terms, each with weights and stats that only one half of the samples uses."""

    terms = optional = ("first", "second", "third")

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        made = super().collate(examples, ids)
        counts = dict.fromkeys(self.terms, 0) | {self.half(ids): made.counts["clm"]}
        return Batch(made.tensors, counts, made.ids)

    def half(self, ids: Sequence[int]) -> str:
        return "first" if max(ids) < 8 else "second"

    def losses(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> tuple[Sums, None, Stats]:
        name = self.half(batch.ids)
        part: Any = parts[name]
        total = part.nll(part(input_ids=batch.tensors["inputs"]), batch.tensors["targets"])
        return {name: total}, None, {f"targets of the {name}": torch.full((2,), float(batch.counts[name]))}


def halves() -> dict[str, nn.Module]:
    """Three models, of which the third is never used."""
    shape, precision = FAMILY.shape(SIZE), {"body": "fp32", "head": "fp32"}
    return {
        name: FAMILY.build(shape, precision, seed).double() for seed, name in enumerate(("first", "second", "third"))
    }


def model() -> dict[str, nn.Module]:
    return {"model": FAMILY.build(FAMILY.shape(SIZE), {"body": "fp32", "head": "fp32"}, seed=0).double()}


def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [Sample(place, rng.integers(0, 64, 13)) for place in range(16)]


def batches(objective: CLM, cut: Sequence[int], first: int = 0) -> list[Batch]:
    """Micro-batches of the given sizes, from sample `first` on."""
    made, rng = [], np.random.default_rng(0)
    for size in cut:
        part = samples()[first : first + size]
        made.append(objective.collate([objective.example(one, rng) for one in part], [one.id for one in part]))
        first += size
    return made


def flat(parts: Mapping[str, nn.Module]) -> torch.Tensor:
    found = [weight.grad for part in parts.values() for weight in part.parameters()]
    return torch.cat([grad.reshape(-1) for grad in found if grad is not None])


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    parts, objective = model(), Uneven()
    terms, *_ = engine.accumulate(objective, parts, batches(objective, [4, 4], first=8 * rank), {}, seed=0, step=0)
    np.savez(folder / f"{rank}.npz", gradient=flat(parts).numpy(), mean=terms["clm"])
    for norms in (False, True):
        apart, loss = halves(), Lopsided()
        made = engine.accumulate(loss, apart, batches(loss, [4, 4], first=8 * rank), {}, seed=0, step=0, norms=norms)
        np.savez(
            folder / f"lopsided-{norms}-{rank}.npz", gradient=flat(apart).numpy(), **made.terms,
            **{f"norm of {name}": norm for name, norm in made.norms.items()},
            **{name: value.numpy() for name, value in made.stats.items()},
        )  # fmt: skip
    dist.barrier()
    # Leaving without goodbye: tearing gloo down may hang long after the work is done.
    os._exit(0)


if __name__ == "__main__":
    main()
