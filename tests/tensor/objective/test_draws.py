"""Draws on the device: each sample's own, whatever stands beside it; tokens as likely as the softmax says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from keel.model.shapes import HEAD_ROWS
from keel.objective.base import Key
from keel.objective.draws import categorical, uniforms

pytestmark = pytest.mark.tensor
CPU = torch.device("cpu")


class Table:
    """A model whose logits are its states."""

    table = torch.zeros(5, 1)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


def test_a_samples_draws_are_its_own() -> None:
    whole = uniforms(Key(3, 7, (4, 9, 2**40 + 1)), 6, CPU)
    assert torch.equal(whole[1], uniforms(Key(3, 7, (9,)), 6, CPU)[0])
    assert torch.equal(whole[2, :4], uniforms(Key(3, 7, (2**40 + 1, 4)), 4, CPU)[0])
    others = [uniforms(Key(*key), 6, CPU)[0] for key in ((4, 7, (9,)), (3, 8, (9,)), (3, 7, (10,)))]
    assert all(not torch.equal(whole[1], other) for other in others)


def test_draws_are_even_over_samples_steps_and_places() -> None:
    """6e5 draws: means by column and by row, and neighbours that know nothing of each other."""
    draws = np.concatenate([uniforms(Key(0, step, tuple(range(100))), 200, CPU).numpy() for step in range(30)])
    sigma = (1 / 12) ** 0.5
    assert abs(draws.mean(axis=0) - 0.5).max() < 4.5 * sigma / 3000**0.5
    assert abs(draws.mean(axis=1) - 0.5).max() < 4.5 * sigma / 200**0.5
    for shift in (draws[:-1], draws[1:]), (draws[:-100], draws[100:]), (draws[:, :-1], draws[:, 1:]):
        one, two = (part.reshape(-1) for part in shift)
        assert abs(np.corrcoef(one, two)[0, 1]) < 4.5 / one.size**0.5


def test_tokens_are_as_likely_as_the_softmax() -> None:
    """Chi-square of 2e4 draws over five tokens, and more rows than one chunk holds."""
    p = np.array([0.5, 0.25, 0.15, 0.0999, 0.0001])
    number = 20_000
    assert number > HEAD_ROWS
    rows = torch.tensor(np.log(p)).expand(number, 5)
    model: Any = Table()
    found = categorical(
        model, rows, torch.rand(number, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    )
    counts = np.bincount(found.numpy(), minlength=5)
    assert ((counts - number * p) ** 2 / (number * p)).sum() < 23.5  # 4 degrees of freedom, p = 1e-4


def test_the_first_token_whose_cumulative_probability_exceeds_the_draw() -> None:
    rows = torch.log(torch.tensor([[0.25, 0.0, 0.25, 0.5, 0.0]])).expand(6, 5)
    model: Any = Table()
    found = categorical(model, rows, torch.tensor([0.0, 0.2499, 0.25, 0.4999, 0.5, 0.99999999]))
    assert found.tolist() == [0, 0, 2, 2, 3, 3]
    assert categorical(model, rows[:0], torch.empty(0)).tolist() == []
