"""Which samples a step sees: each window once an epoch, whatever the ranks and micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study_error

from keel.corpus.shards import Shards
from keel.objective.base import Example, Sample
from keel.objective.clm import CLM
from keel.run.batches import Batches
from keel.run.samples import Windows, samples_of

pytestmark = pytest.mark.tensor


class Few:
    """A stream of 0, 1, 2, ...: 10 windows of 4 tokens and the next one's first."""

    num_tokens, folder = 41, "few"

    def window(self, start: int, length: int) -> np.ndarray:
        assert start + length <= 41
        return np.arange(start, start + length)


class Drawn(CLM):
    """Remembers what each sample drew."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[tuple[int, float]] = []

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        self.draws.append((sample.id, rng.random()))
        return super().example(sample, rng)


@pytest.fixture
def few() -> Callable[..., Batches]:
    def made(batch_tokens: int = 12, seed: int = 0) -> Batches:
        return Batches(Windows(Few(), 5, 4), batch_tokens // 4, seed)  # type: ignore[arg-type]

    return made


def test_every_window_once_an_epoch_and_then_in_another_order(few: Any) -> None:
    batches = few()
    seen = [sample.id for step in range(20) for sample in batches.samples(step)]
    epochs = [seen[first : first + 10] for first in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_a_window_and_the_next_share_one_token(few: Any) -> None:
    by_id = {sample.id: sample.tokens for step in range(4) for sample in few().samples(step)}
    for place in range(9):
        assert by_id[place][-1] == by_id[place + 1][0]
        assert list(by_id[place]) == list(range(4 * place, 4 * place + 5))


def test_a_step_depends_on_seed_and_number_alone(few: Any) -> None:
    again = few()
    again.samples(17)
    assert [s.id for s in again.samples(3)] == [s.id for s in few().samples(3)]
    assert [s.id for s in few(seed=1).samples(3)] != [s.id for s in few().samples(3)]


@pytest.mark.parametrize(("ranks", "micro"), [(1, 8), (1, 3), (2, 4), (4, 1), (8, 5)])
def test_ranks_and_micro_batches_share_out_the_same_samples(few: Any, ranks: int, micro: int) -> None:
    batches = few(batch_tokens=32)
    whole = batches.micro_batches(CLM(), 5, 0, 1, 8)[0]
    parts = [batch for rank in range(ranks) for batch in batches.micro_batches(CLM(), 5, rank, ranks, micro)]
    assert torch.equal(torch.cat([part.tensors["inputs"] for part in parts]), whole.tensors["inputs"])
    assert sum((part.ids for part in parts), ()) == whole.ids
    assert max(len(part.ids) for part in parts) <= micro


def test_a_draw_depends_on_seed_epoch_and_sample_alone(few: Any) -> None:
    """Also in a step that ends one epoch and begins the next, and however it is cut."""
    draws = {}
    for batch_tokens, micro in ((12, 3), (12, 1), (28, 2), (40, 10)):
        objective, batches = Drawn(), few(batch_tokens=batch_tokens)
        for step in range(280 // batch_tokens):
            batches.micro_batches(objective, step, 0, 1, micro)
        draws[batch_tokens, micro] = objective.draws[:60]
    first = draws[12, 3]
    assert all(other == first for other in draws.values())
    assert len({value for _, value in first}) == 60


def test_ranks_that_do_not_divide_a_step_are_our_bug(few: Any) -> None:
    with pytest.raises(AssertionError, match="do not divide"):
        few().micro_batches(CLM(), 0, 0, 2, 1)


def test_a_text_shorter_than_a_window_is_said(shards: Shards) -> None:
    with study_error("shorter than one window", "model.context"):
        samples_of(CLM(), shards, shards.num_tokens)


def test_the_last_window_is_whole_and_nothing_that_fits_is_left_out(shards: Shards) -> None:
    for length, stride in ((33, 32), (31, 31), (shards.num_tokens, 5)):
        windows = Windows(shards, length, stride)
        last = windows[len(windows) - 1]
        assert len(last.tokens) == length
        assert (len(windows) - 1) * stride + length <= shards.num_tokens < len(windows) * stride + length


def test_static_masks_come_again_after_so_many_epochs(few: Any) -> None:
    objective, batches = Drawn(), few(batch_tokens=40)
    objective.variants = 3
    for epoch in range(6):
        batches.micro_batches(objective, epoch, 0, 1, 10)
    drawn = [dict(objective.draws[first : first + 10]) for first in range(0, 60, 10)]
    assert drawn[:3] == drawn[3:]
    assert len({tuple(sorted(one.items())) for one in drawn}) == 3
