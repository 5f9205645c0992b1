"""Towers, pairs and steps small enough for a test. As a program it is one of four ranks: RANK FOLDER."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from keel.corpus.vocabulary import BEGINS, SPECIAL, Vocabulary
from keel.model.shapes import Size
from keel.objective.base import Batch, Features, Sample, Scratch, Sums
from keel.objective.contrastive import CLIP, Contrastive, SigLIP
from keel.plan.spec import Spec, example_spec
from keel.run import engine, parts

PAIRS, SIDE, WORDS, CONTEXT = 16, 8, 30, 8
SIZE = Size(
    width=16, layers=2, vocabulary=0, context=4, head_width=8, patch=4, embedding_width=16
)  # fmt: skip
LOSSES: Mapping[str, type[Contrastive]] = {"clip": CLIP, "siglip": SigLIP}


def vocabulary(words: int = WORDS) -> Vocabulary:
    """The end token has id 0, as in keel's own, and the start the last id: the highest id of a caption is no end."""
    kind = np.array([SPECIAL, *[BEGINS] * words, SPECIAL], np.uint8)
    return Vocabulary(len(kind), {"separator": 0, "start": words + 1}, kind, np.zeros(len(kind), np.bool_))


def loss(name: str = "clip", **options: Any) -> Contrastive:
    """A loss whose text tower reads 8 positions."""
    return LOSSES[name]({"text_context": CONTEXT, **options}, vocabulary())


def spec() -> Spec:
    return example_spec(family="clip-vision", size=SIZE.json())


def modules(of: Contrastive, dtype: torch.dtype = torch.float64, seed: int = 0) -> dict[str, nn.Module]:
    """Fresh towers and the scale, no weight without effect."""
    made = parts.build(of.parts("clip-vision", SIZE, Scratch()), spec(), of.vocabulary)
    generator = torch.Generator().manual_seed(seed)
    for tower in (made["model"], made["text"]):
        for weight in tower.parameters():
            weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return {name: module.to(dtype) for name, module in made.items()}


def samples(number: int = PAIRS, twins: bool = False) -> list[Sample]:
    """Pairs with captions of one to six words; with `twins`, every third caption is that of the pair three before."""
    rng, made = np.random.default_rng(0), list[Sample]()
    for place in range(number):
        words = rng.integers(1, WORDS + 1, 1 + place % (CONTEXT - 2))
        if twins and place >= 3 and place % 3 == 0:
            words = made[place - 3].tokens
        made.append(Sample(place, words, image=rng.normal(size=(3, SIDE, SIDE)).astype(np.float32)))
    return made


def batches(of: Contrastive, cut: Sequence[int], first: int = 0, twins: bool = False) -> list[Batch]:
    """Micro-batches of the given sizes, from pair `first` on."""
    made, rng, pairs = [], np.random.default_rng(0), samples(twins=twins)
    for size in cut:
        some = pairs[first : first + size]
        made.append(of.collate([of.example(one, rng) for one in some], [one.id for one in some]))
        first += size
    return made


def flat(of: Mapping[str, nn.Module]) -> Tensor:
    """All gradients in one row."""
    found = [weight.grad for part in of.values() for weight in part.parameters()]
    return torch.cat([grad.reshape(-1) for grad in found if grad is not None])


def gradient(
    of: Contrastive, cut: Sequence[int], first: int = 0, *, norms: bool = False, twins: bool = False
) -> tuple[Tensor, float]:
    """The gradient of all weights, and the mean loss."""
    made = modules(of)
    step = engine.accumulate(of, made, batches(of, cut, first, twins), {}, seed=0, step=0, norms=norms)
    return flat(made), step.terms[of.name]


class OwnRows(CLIP):
    """The usual mistake: features of other ranks are gathered, and nothing is pulled through them."""

    def batch_losses(self, parts: Mapping[str, nn.Module], everyone: Features, mine: slice) -> Sums:
        return super().batch_losses(parts, own_alone(everyone, mine), mine)


class WholeLossMeaned(CLIP):
    """The common trainer's default: each rank has the whole loss, pulls its own features, and ranks are averaged."""

    def batch_losses(self, parts: Mapping[str, nn.Module], everyone: Features, mine: slice) -> Sums:
        number = len(everyone["image"])
        whole = super().batch_losses(parts, own_alone(everyone, mine), slice(0, number))
        return {name: total * (mine.stop - mine.start) / number for name, total in whole.items()}


def own_alone(everyone: Features, mine: slice) -> Features:
    """All features, those of other ranks cut from the graph."""
    return {
        name: torch.cat([of[: mine.start].detach(), of[mine], of[mine.stop :].detach()])
        for name, of in everyone.items()
    }


class Kinds:
    """What each rank does, by name."""

    of: ClassVar[Mapping[str, type[Contrastive]]] = {**LOSSES, "own rows": OwnRows, "meaned": WholeLossMeaned}


def main() -> None:
    """Ranks 0 and 1 first meet alone, with two micro-batches of four each; then all four, with one of four each."""
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    for world, cut in ((2, [4, 4]), (4, [4])):
        if rank >= world:
            continue
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{world}", rank=rank, world_size=world)
        found: dict[str, Any] = {}
        for name, kind in Kinds.of.items():
            of = kind({"text_context": CONTEXT}, vocabulary())
            for twins in (False, True):
                made, mean = gradient(of, cut, rank * sum(cut), twins=twins)
                found |= {f"{name} {twins}": made.numpy(), f"{name} {twins} mean": mean}
        np.savez(folder / f"{world}-{rank}.npz", **found)
        dist.barrier()
        if world == 2:
            dist.destroy_process_group()
    # Leaving without goodbye: tearing gloo down may hang long after the work is done.
    os._exit(0)


if __name__ == "__main__":
    main()
