"""Whether padding changes a number: short samples alone, and beside a longer one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from keel.objective.base import Example
from keel.prove.bench import Bench, number
from keel.prove.result import Verdict, not_judged, within

BOUND = 1e-9


@torch.no_grad()
def padding(bench: Bench) -> Verdict:
    """S(short and long) = S(short) + S(long) for every sum and count, features of the short ones alike."""
    samples, group = bench.samples(), bench.group
    examples = bench.draw(samples)
    groups = [range(first, first + group) for first in range(0, len(samples), group)]
    if len({tuple(value.shape for value in example.values()) for example in examples}) == 1:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in examples[0].items())
        return not_judged(f"all examples have one shape ({shapes}): nothing is padded")
    sizes = [sum(_length(examples[place]) for place in places) for places in groups]
    order = sorted(range(len(groups)), key=lambda place: sizes[place])
    short = [place for chosen in order[: len(order) // 2] for place in groups[chosen]]
    long = list(groups[order[-1]])
    lengths = f"examples of up to {sizes[order[len(order) // 2 - 1]]} numbers beside one of {sizes[order[-1]]}"
    apart, beside, both = (_told(bench, places) for places in (short, long, short + long))
    gaps = {name: _relative(apart[name] + beside[name], both[name]) for name in both if name in apart}
    worst = max(gaps, key=lambda name: gaps[name])
    why = f"{worst}, {lengths}"
    return within(gaps[worst], BOUND, why if gaps[worst] <= BOUND else f"{why}: padding is read, or counted")


def _length(example: Example) -> int:
    return sum(int(value.size) for value in example.values())


def _told(bench: Bench, places: Sequence[int]) -> dict[str, Tensor]:
    """Sums, counts and summed features of some samples of the step as one micro-batch."""
    samples = [bench.samples()[place] for place in places]
    batch = bench.collate(bench.draw(samples), samples)
    sums, features, _ = bench.losses(batch)
    found = {f"sum of '{name}'": term for name, term in sums.items()}
    found |= {f"count of '{name}'": torch.tensor(float(count)) for name, count in batch.counts.items()}
    return found | {f"features '{name}'": value.sum(0) for name, value in (features or {}).items()}


def _relative(one: Tensor, two: Tensor) -> float:
    return number((one - two).abs().max() / two.abs().max().clamp(min=1e-300))
