"""Whether the gradient is the slope: each summed term along a random direction, in fp64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from keel.objective.base import Batch
from keel.prove.bench import Bench, number
from keel.prove.result import Verdict, within

# Short, since a ReLU has no slope where it bends: at 1e-3 a step crosses some of those of M2M.
LENGTH, BOUND = 1e-4, 1e-6


def gradient(bench: Bench) -> Verdict:
    """<g, d> against (8 [S(h) - S(-h)] - [S(2h) - S(-2h)]) / 12h of each term's sum S, along a random unit vector d.

    A term is moved along the weights that it has a gradient by, so that what it holds constant on purpose (a detached
    table) stays; but every weight that trains has a gradient by some term. The error is relative to the larger of
    |<g, d>| and |g| / sqrt(weights).
    Reference: Abramowitz and Stegun 1964, 25.3.6.
    """
    batch, weights = bench.batch(), bench.weights()
    # All gradients first: moving weights would spoil the graph of the next term.
    found = {name: _slopes(term, weights) for name, term in bench.terms(batch).items() if term.requires_grad}
    generator = torch.Generator().manual_seed(1)
    gaps = {name: _gap(bench, batch, name, grads, generator) for name, grads in found.items() if grads}
    idle = set(weights).difference(*found.values())
    if not gaps:
        return Verdict(False, None, BOUND, "no term has a gradient")
    worst = max(gaps, key=lambda name: gaps[name])
    why = f"term '{worst}' along a random direction of {sum(weight.numel() for weight in weights):,} weights"
    if idle:
        names = bench.names()
        still = ", ".join(sorted(names[weight] for weight in idle))
        return Verdict(False, gaps[worst], BOUND, f"weights that train without a gradient by any term: {still}; {why}")
    return within(gaps[worst], BOUND, why)


def _slopes(term: Tensor, weights: list[Tensor]) -> dict[Tensor, Tensor]:
    """The weights that a term has a gradient by, with it."""
    found = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
    dense = {weight: grad.to_dense() for weight, grad in zip(weights, found) if grad is not None}
    return {weight: grad for weight, grad in dense.items() if grad.any()}


def _gap(bench: Bench, batch: Batch, name: str, slopes: dict[Tensor, Tensor], generator: torch.Generator) -> float:
    moved, grads = list(slopes), torch.cat([grad.reshape(-1) for grad in slopes.values()])
    direction = torch.randn(len(grads), dtype=torch.float64, generator=generator)
    direction /= direction.norm()
    values = [_at(bench, batch, name, moved, direction * LENGTH * times) for times in (1, -1, 2, -2)]
    slope = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * LENGTH)
    said = float(grads @ direction)
    return abs(slope - said) / max(abs(said), float(grads.norm() / math.sqrt(len(grads))))


@torch.no_grad()
def _at(bench: Bench, batch: Batch, name: str, moved: list[Tensor], shift: Tensor) -> float:
    """The term with its weights moved by `shift`, and back."""
    kept = [weight.detach().clone() for weight in moved]
    for weight, piece in zip(moved, torch.split(shift, [weight.numel() for weight in moved])):
        weight.add_(piece.view_as(weight))
    value = number(bench.terms(batch)[name])
    for weight, old in zip(moved, kept):
        weight.copy_(old)
    return value
