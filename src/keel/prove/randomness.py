"""Where a loss draws from: the generator of a sample and the key of a step, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from keel.objective.base import Example
from keel.prove.bench import Bench, number
from keel.prove.result import Verdict, broken


def randomness(bench: Bench) -> Verdict:
    """The same sample gives the same example in any order, from any copy of the loss, whatever else was drawn before.

    On the device: the same micro-batch and key give the same sums, to the bit.
    """
    samples, batch = bench.samples(), bench.batch()
    other = type(bench.objective)(bench.spec.options, bench.objective._vocabulary)
    with _global_seeds(1):
        first, sums = bench.draw(samples), bench.losses(batch)[0]
    with _global_seeds(2):
        again, resummed = bench.draw(samples), bench.losses(batch)[0]
        turned = bench.draw(samples[::-1])[::-1]
        elsewhere = bench.draw(samples[::-1], by=other)[::-1]
    problems = [
        f"{odd} of {len(samples)} samples give another example {how}"
        for how, drawn in (("when drawn again", again), ("in another order", turned), ("in another worker", elsewhere))
        if (odd := sum(not same(one, two) for one, two in zip(first, drawn)))
    ]
    problems += [
        f"the same micro-batch and key give '{name}' as {number(sums[name])!r} and as {number(resummed[name])!r}"
        for name in sums if number(sums[name]) != number(resummed[name])
    ]  # fmt: skip
    fix = ": draw from `rng` and from `key` only"
    return broken([text + fix for text in problems], "examples hang on (seed, epoch, id) alone, sums on the key")


@contextmanager
def _global_seeds(seed: int) -> Iterator[None]:
    """Global generators at a seed, and as they were afterwards."""
    kept = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.random.set_rng_state(kept[2])


def same(one: Example, two: Example) -> bool:
    """Whether two examples are equal, array by array."""
    return one.keys() == two.keys() and all(
        one[name].shape == two[name].shape and bool((one[name] == two[name]).all()) for name in one
    )
