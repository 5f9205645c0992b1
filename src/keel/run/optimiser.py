"""AdamW, one for each optimiser that parts name: a rate for matrices, one for tables; vectors and tables do not decay.

State is named by optimiser and by the parameter's place in it. A frozen weight has no gradient, so it neither moves nor
decays, and its moments begin when it thaws.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from keel.objective.base import Part
from keel.plan.spec import Spec
from keel.run.parallel import share, whole

MOMENTS = ("exp_avg", "exp_avg_sq", "step")
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
Optimisers = Mapping[str, torch.optim.AdamW]


def build(modules: Mapping[str, nn.Module], parts: Mapping[str, Part], spec: Spec) -> Optimisers:
    """An AdamW for each optimiser named by a part that trains, now or after its thaw.

    A weight that parts share is moved by one optimiser, that of the first of them.
    """
    of: dict[str, dict[Tensor, bool]] = {}
    taken: set[Tensor] = set()
    for name, part in parts.items():
        if part.role == "train":
            found = {weight: table for weight, table in _weights(modules[name]).items() if weight not in taken}
            of.setdefault(part.optimiser, {}).update(found)
            taken |= set(found)
    return {name: _adam(is_table, spec) for name, is_table in of.items()}


def alone(module: nn.Module, spec: Spec) -> Optimisers:
    """One AdamW for all weights of a module."""
    return {"main": _adam(_weights(module), spec)}


def _weights(module: nn.Module) -> dict[Tensor, bool]:
    """Every weight once, and whether it is a table: of the embeddings, but no layer that stands among them.

    A layer that meets pixels is often called an embedding; it is a convolution like any other, with its norm.
    """
    owners, found = dict(module.named_modules()), dict[Tensor, bool]()
    for name, weight in module.named_parameters():
        path = name.split(".")
        owner = owners[".".join(path[:-1])]
        first = next((end for end, part in enumerate(path[:-1], 1) if "embed" in part), len(path) - 1)
        layered = any(isinstance(each, CONVOLUTIONS) for each in owners[".".join(path[:first])].modules())
        layer = layered and not isinstance(owner, nn.Embedding) and next(owner.children(), None) is None
        found.setdefault(weight, "embed" in name and not layer)
    return found


def _adam(is_table: Mapping[Tensor, bool], spec: Spec) -> torch.optim.AdamW:
    """Groups: matrices (lr_hidden, decayed), tables (lr_embedding), vectors (lr_hidden)."""
    tables = [weight for weight, table in is_table.items() if table]
    matrices = [weight for weight, table in is_table.items() if not table and weight.dim() > 1]
    vectors = [weight for weight, table in is_table.items() if not table and weight.dim() <= 1]
    groups = [
        {"params": matrices, "lr": spec.lr_hidden, "peak": spec.lr_hidden, "weight_decay": spec.weight_decay},
        {"params": tables, "lr": spec.lr_embedding, "peak": spec.lr_embedding, "weight_decay": 0.0},
        {"params": vectors, "lr": spec.lr_hidden, "peak": spec.lr_hidden, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(spec.beta1, spec.beta2), eps=spec.epsilon, fused=True)


def weights(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """All weights of an optimiser in the order of its state."""
    return [weight for group in optimiser.param_groups for weight in group["params"]]


def step(optimisers: Optimisers, multiplier: float, clip_norm: float) -> dict[str, float]:
    """Clip each optimiser's gradient to `clip_norm`, step at the peak rate times `multiplier`; norms before."""
    norms = {}
    for name, optimiser in optimisers.items():
        set_rate(optimiser, multiplier)
        norms[name] = float(whole(torch.nn.utils.clip_grad_norm_(weights(optimiser), clip_norm)))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return norms


def set_rate(optimiser: torch.optim.Optimizer, multiplier: float) -> None:
    """Set every group's learning rate to its peak times the schedule's multiplier."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * multiplier


def state(optimisers: Optimisers) -> dict[str, Tensor]:
    """Moments and step counts: "main.3.exp_avg"."""
    return {
        f"{name}.{place}.{moment}": optimiser.state[weight][moment]
        for name, optimiser in optimisers.items() for place, weight in enumerate(weights(optimiser))
        for moment in MOMENTS if moment in optimiser.state[weight]
    }  # fmt: skip


def load_state(optimisers: Optimisers, saved: Mapping[str, Tensor]) -> None:
    """Put back what `state` gave."""
    for name, optimiser in optimisers.items():
        for place, weight in enumerate(weights(optimiser)):
            found = {m: saved[f"{name}.{place}.{m}"] for m in MOMENTS if f"{name}.{place}.{m}" in saved}
            if found:
                # A fresh aligned tensor, so that a resumed step takes the same kernels as an uninterrupted one.
                optimiser.state[weight] = {
                    key: value.clone() if key == "step" else share(value, weight) for key, value in found.items()
                }
