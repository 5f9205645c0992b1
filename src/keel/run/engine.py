"""One optimiser step's gradient: sums from the objective, divided once by counts over ranks and accumulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import nn

from keel.objective.base import Batch, Carry, Key, Objective, Stats


def ranks() -> tuple[int, int]:
    """(rank, number of ranks) of this process."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def accumulate(
    objective: Objective, parts: Mapping[str, nn.Module], batches: Sequence[Batch], carry: Carry, seed: int, step: int
) -> tuple[dict[str, float], Stats]:
    """Fill `.grad` with the gradient of sum_terms w_t S_t / C_t; return each term's unweighted mean, and stats.

    C_t is the count over all micro-batches and ranks, known before the first backward pass, so the split into
    micro-batches and ranks does not change the gradient.

    Raises:
        ZeroDivisionError: a term without a single counted target in the whole step.
    """
    counts = _all_counts(batches)
    weights = objective.weights(step)
    sums = dict.fromkeys(counts, 0.0)
    stats: Stats = {}
    for batch in batches:
        terms, seen = objective.losses(parts, batch, carry, Key(seed, step, batch.ids))
        loss = sum((weights.get(name, 1.0) / counts[name]) * term for name, term in terms.items())
        assert isinstance(loss, torch.Tensor), "an objective without a term"
        loss.backward()  # type: ignore[no-untyped-call]
        for name, term in terms.items():
            sums[name] += float(term.detach())
        stats = {name: stats[name] + value if name in stats else value for name, value in seen.items()}
    _reduce_gradients(parts)
    return {name: total / counts[name] for name, total in _all_sums(sums).items()}, stats


def _all_counts(batches: Sequence[Batch]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for batch in batches:
        for name, count in batch.counts.items():
            counts[name] = counts.get(name, 0) + count
    return {name: round(total) for name, total in _all_sums(counts).items()}


def _all_sums(values: Mapping[str, float]) -> dict[str, float]:
    """Sum named numbers over ranks, in fp64."""
    if ranks()[1] == 1:
        return dict(values)
    names = sorted(values)
    total = torch.tensor([values[name] for name in names], dtype=torch.float64)
    dist.all_reduce(total)
    return dict(zip(names, total.tolist()))


def _reduce_gradients(parts: Mapping[str, nn.Module]) -> None:
    """Sum gradients over ranks in one flat message: they are shares of one sum, so they add."""
    if ranks()[1] == 1:
        return
    grads = [weight.grad for part in parts.values() for weight in part.parameters() if weight.grad is not None]
    flat = torch.cat([grad.reshape(-1) for grad in grads])
    dist.all_reduce(flat)
    for grad, piece in zip(grads, flat.split([grad.numel() for grad in grads])):
        grad.copy_(piece.view_as(grad))
