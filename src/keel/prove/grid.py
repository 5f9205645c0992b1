"""One gradient, however a step is cut: into micro-batches in this process, over ranks in the pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from keel.prove.bench import Bench, flat, number
from keel.prove.cells import HERE, Cell, Made, gap
from keel.prove.result import Verdict, within
from keel.prove.wide import Wide
from keel.run import engine

BOUND = 1e-6


def made(bench: Bench, cell: Cell, step: int) -> Made:
    """The engine's gradient of this process's share of a step."""
    rank, ranks = engine.ranks()
    assert ranks == cell.ranks, "a cell for another number of ranks"
    micro = bench.batches.batch // (cell.ranks * cell.pieces)
    batches = bench.batches.micro_batches(bench.objective, step, rank, ranks, micro)
    weights = bench.weights()
    for weight in weights:
        weight.grad = None
    with Wide():
        found = engine.accumulate(bench.objective, bench.modules, batches, bench.carry, bench.spec.seed, step)
    told = dict(found.terms)
    told |= {f"stat {name}": number(value.double().sum()) for name, value in found.stats.items()}
    return Made(flat([weight.grad for weight in weights], weights).numpy(), told)


def direct(bench: Bench, step: int) -> Made:
    """The gradient of sum_t w_t S_t / C_t over the whole step at once, without the engine."""
    batch = bench.batches.micro_batches(bench.objective, step, 0, 1, bench.batches.batch)[0]
    weights, scale = bench.weights(), bench.objective.weights(step)
    terms = bench.at(step).terms(batch)
    means = {name: term / batch.counts[name] for name, term in terms.items() if batch.counts[name]}
    total = torch.stack([scale.get(name, 1.0) * mean for name, mean in means.items()]).sum()
    grads = torch.autograd.grad(total, weights, allow_unused=True)
    return Made(flat(grads, weights).numpy(), {name: number(mean) for name, mean in means.items()})


def uneven(bench: Bench) -> tuple[int, str]:
    """The step of the first epoch whose quarters differ most in their counts, and those counts in words."""
    best: tuple[float, int, str] = (-1.0, bench.step, "")
    for step in range(bench.step, bench.step + max(1, len(bench.batches.source) // bench.batches.batch)):
        quarters = bench.batches.micro_batches(bench.objective, step, 0, 1, bench.quarter)
        of = {name: [batch.counts[name] for batch in quarters] for name in quarters[0].counts}
        spread = max((max(found) - min(found)) / max(1, max(found)) for found in of.values())
        words = "; ".join(f"{name} {'+'.join(map(str, found))}" for name, found in of.items())
        if spread > best[0]:
            best = (spread, step, words)
    return best[1], best[2]


def invariance(bench: Bench, step: int, counts: str, apart: Mapping[Cell, Sequence[Made]]) -> Verdict:
    """Every cell's gradient, terms and stats against those of the whole step at once."""
    whole, batch = direct(bench, step), bench.batches.batch
    found = {cell: [made(bench, cell, step)] for cell in HERE} | dict(apart)
    first = found[HERE[0]][0]
    gaps = {cell.name(batch): max(_gaps(whole, first, makes)) for cell, makes in found.items()}
    worst = max(gaps, key=lambda name: gaps[name])
    why = f"targets of the quarters {counts}; cells {', '.join(f'{name} {value:.0e}' for name, value in gaps.items())}"
    return within(gaps[worst], BOUND, why if gaps[worst] <= BOUND else f"{worst} is off; {why}")


def _gaps(whole: Made, first: Made, makes: Iterable[Made]) -> Iterable[float]:
    """Gaps of the gradients, of the means, and of the stats (which only the engine sums)."""
    for one in makes:
        yield gap(whole.gradient, one.gradient)
        for name, value in {**first.told, **whole.told}.items():
            yield abs(one.told.get(name, np.nan) - value) / max(abs(value), 1e-12)
