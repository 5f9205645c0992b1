"""Losses on views of images, small enough for a test. As a program it is one of two ranks: RANK FOLDER."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from keel import objective
from keel.model.shapes import Size
from keel.objective.base import Batch, Carry, Key, Objective, Sample, Scratch
from keel.plan.spec import Spec, example_spec
from keel.run import engine, parts

IMAGES, SIDE, PATCH = 8, 12, 2
SIZE = Size(width=16, layers=2, vocabulary=0, context=36, head_width=8, patch=PATCH)
OPTIONS: dict[str, dict[str, Any]] = {
    "simclr": {"out": 8},
    "dino": {"prototypes": 10, "out": 6, "hidden": 12, "local_views": 2, "centre": 0.5, "momentum": 0.9},
}
STEPS = 3


def loss(name: str, **options: Any) -> Objective:
    """A loss with small options, and these."""
    return objective.load(name, OPTIONS[name] | options)


def spec(family: str = "vit", size: Size = SIZE) -> Spec:
    return example_spec(family=family, size=size.json())


def key(step: int = 0) -> Key:
    return Key(0, step, tuple(range(IMAGES)))


def modules(of: Objective, family: str = "vit", dtype: torch.dtype = torch.float64) -> dict[str, nn.Module]:
    """Fresh parts, no weight without effect, those that follow as they begin."""
    plan = of.parts(family, SIZE, Scratch())
    made = parts.build(plan, spec(family))
    generator = torch.Generator().manual_seed(0)
    for name, part in plan.items():
        if part.role == "train":
            for weight in made[name].parameters():
                weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    for name, part in plan.items():
        if part.ema_of:
            made[name].load_state_dict(made[part.ema_of].state_dict())
    parts.hold(made, plan, 0)
    return {name: module.to(dtype) for name, module in made.items()}


def samples(of: Objective, number: int = IMAGES, seed: int = 0) -> list[Sample]:
    """Images of noise in as many views as the loss asks, each of its side."""
    rng, sides = np.random.default_rng(seed), [each.size for each in of.views(SIDE, "white", PATCH)]
    drawn = [tuple(rng.normal(size=(3, side, side)).astype(np.float32) for side in sides) for _ in range(number)]
    return [Sample(place, np.empty(0, np.int64), image=each[0], views=each) for place, each in enumerate(drawn)]


def batches(of: Objective, cut: Sequence[int], first: int = 0, seed: int = 0) -> list[Batch]:
    """Micro-batches of the given sizes, from image `first` on."""
    made, rng, drawn = [], np.random.default_rng(0), samples(of, seed=seed)
    for size in cut:
        some = drawn[first : first + size]
        made.append(of.collate([of.example(one, rng) for one in some], [one.id for one in some]))
        first += size
    return made


def stepped(name: str, cut: Sequence[int], first: int = 0) -> tuple[Mapping[str, nn.Module], Carry, engine.Step]:
    """Parts, carry and the last step behind a few plain steps."""
    of = loss(name)
    made, plan = modules(of), of.parts("vit", SIZE, Scratch())
    carry = {each: value.double() for each, value in of.init_carry(made).items()}
    for step in range(STEPS):
        found = engine.accumulate(of, made, batches(of, cut, first, step), carry, 0, step)
        for part in made.values():
            for weight in part.parameters():
                if weight.grad is not None:
                    weight.data -= 0.1 * weight.grad
                    weight.grad = None
        parts.follow(made, plan, of, step + 1, 0.0)
        carry = of.after_step(made, carry, found.stats, step + 1)
    return made, carry, found


def flat(of: Mapping[str, nn.Module]) -> Tensor:
    """All weights in one row."""
    return torch.cat([weight.detach().reshape(-1) for part in of.values() for weight in part.parameters()])


def main() -> None:
    """Half of every step on this rank, in two micro-batches."""
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    found: dict[str, Any] = {}
    for name in OPTIONS:
        made, carry, step = stepped(name, [1, 3], first=4 * rank)
        found |= {f"{name} weights": flat(made).numpy(), f"{name} mean": step.terms[name]}
        found |= {f"{name} {key}": value.numpy() for key, value in carry.items()}
    np.savez(folder / f"{rank}.npz", **found)
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
