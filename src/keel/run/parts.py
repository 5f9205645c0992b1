"""The modules of a run: built from the parts of an objective, frozen and thawed by step, averaged where they follow."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from keel import model
from keel.objective.base import Branch, Objective, Part, Scratch, Start
from keel.plan.spec import Spec

SEED_STRIDE = 1 << 20  # seeds of runs are small numbers: parts of different runs never share one


def start_of(spec: Spec) -> Start:
    """The spec's start as a value."""
    known = {"scratch": Scratch, "branch": Branch}
    return known[spec.start["kind"]](**{name: value for name, value in spec.start.items() if name != "kind"})


def build(parts: Mapping[str, Part], spec: Spec) -> dict[str, nn.Module]:
    """Every part's module, each with initial weights from a seed of its own; an "ema" part begins as its source."""
    built: dict[str, nn.Module] = {}
    for place, (name, part) in enumerate(parts.items()):
        family = model.load(part.family)
        built[name] = family.build(family.shape(part.size), spec.precision, spec.seed + place * SEED_STRIDE)
    for name, part in parts.items():
        if part.role == "ema":
            assert part.ema_of is not None, f"part {name} follows nobody"
            built[name].load_state_dict(built[part.ema_of].state_dict())
    return built


def hold(modules: Mapping[str, nn.Module], parts: Mapping[str, Part], step: int) -> None:
    """Let the weights move that train at `step` (steps done), and no other: sharing with a part that trains wins."""
    moving = {
        weight for name, part in parts.items() if part.role == "train" and step >= part.thaw_step
        for weight in modules[name].parameters()
    }  # fmt: skip
    for name, module in modules.items():
        for weight in module.parameters():
            weight.requires_grad_(weight in moving)
            if weight not in moving:
                weight.grad = None
        module.train(parts[name].role == "train" and step >= parts[name].thaw_step)


@torch.no_grad()
def follow(modules: Mapping[str, nn.Module], parts: Mapping[str, Part], objective: Objective, step: int) -> None:
    """ema <- m ema + (1 - m) source, for every part that follows one."""
    for name, part in parts.items():
        if part.ema_of is None:
            continue
        keep = objective.momentum(step)
        for weight, source in zip(modules[name].parameters(), modules[part.ema_of].parameters()):
            weight.lerp_(source, 1.0 - keep)
