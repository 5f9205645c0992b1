"""AdamW with one learning rate for matrices and one for the table; vectors and the table are not decayed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from keel.plan.spec import Spec

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def build(parts: Mapping[str, nn.Module], spec: Spec) -> torch.optim.AdamW:
    """Groups: matrices (lr_hidden, decayed), the table (lr_embedding), vectors (lr_hidden)."""
    named = [(name, weight) for part in parts.values() for name, weight in part.named_parameters()]
    table = [weight for name, weight in named if "embed" in name]
    matrices = [weight for name, weight in named if "embed" not in name and weight.dim() > 1]
    vectors = [weight for name, weight in named if "embed" not in name and weight.dim() <= 1]
    groups = [
        {"params": matrices, "lr": spec.lr_hidden, "peak": spec.lr_hidden, "weight_decay": spec.weight_decay},
        {"params": table, "lr": spec.lr_embedding, "peak": spec.lr_embedding, "weight_decay": 0.0},
        {"params": vectors, "lr": spec.lr_hidden, "peak": spec.lr_hidden, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(spec.beta1, spec.beta2), eps=spec.epsilon, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, multiplier: float) -> None:
    """Set every group's learning rate to its peak times the schedule's multiplier."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * multiplier


def state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and step counts, named by the parameter's place."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    return {
        f"{place}.{name}": optimiser.state[weight][name]
        for place, weight in enumerate(weights) for name in MOMENTS if name in optimiser.state[weight]
    }  # fmt: skip


def load_state(optimiser: torch.optim.Optimizer, saved: Mapping[str, Tensor]) -> None:
    """Put back what `state` gave."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    for place, weight in enumerate(weights):
        found = {name: saved[f"{place}.{name}"] for name in MOMENTS if f"{place}.{name}" in saved}
        if found:
            # A fresh aligned tensor, so that a resumed step takes the same kernels as an uninterrupted one.
            optimiser.state[weight] = {name: value.clone() for name, value in found.items()}
