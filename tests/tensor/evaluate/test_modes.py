"""A model that is asked while it trains: what a judge does to it is undone, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from keel.evaluate import classes, hidden_pixels
from keel.evaluate.modes import evaluating, plain
from keel.objective.base import Sample

pytestmark = pytest.mark.tensor


def mixed() -> nn.Module:
    """A model that trains around a part that is held."""
    return nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2)).eval(), nn.Dropout())


def modes(module: nn.Module) -> list[bool]:
    return [each.training for each in module.modules()]


class Reads(nn.Module):
    """The class of an image from its mean, with a dropout that tells whether it is asked in its evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.line, self.drops, self.held = nn.Linear(3, 2), nn.Dropout(), nn.BatchNorm1d(3).eval()
        self.asked: list[list[bool]] = []
        self.body_dtype = torch.bfloat16

    def forward(self, pixel_values: torch.Tensor) -> Any:
        self.asked.append(modes(self))
        found = self.line(self.drops(self.held(pixel_values.mean((2, 3)))))
        return type("Found", (), {"logits": found})


def images(number: int = 3) -> Iterator[Sample]:
    for place in range(number):
        yield Sample(place, np.empty(0, np.int64), image=np.ones((3, 4, 4), np.float32), label=place % 2)


def breaking() -> Iterator[Sample]:
    yield from images(64)
    raise OSError("the disk is gone")


def test_each_module_has_its_own_mode_again() -> None:
    one, other = mixed(), mixed().eval()
    before = modes(one)
    assert len(set(before)) == 2, "or nothing is mixed"
    with evaluating(part for part in (one, other, one)):
        assert not any(modes(one) + modes(other))
        with evaluating([one]):
            pass
        assert not any(modes(one)), "a judge within a judge leaves the outer one's mode"
    assert modes(one) == before
    assert not any(modes(other))


def test_after_an_error_too() -> None:
    one = mixed()
    before = modes(one)
    with pytest.raises(OSError, match="gone"), evaluating([one]):
        raise OSError("the disk is gone")
    assert modes(one) == before


def test_a_judge_whose_data_break_leaves_the_model_as_it_was() -> None:
    model = Reads()
    before = modes(model)
    found = classes.judge(model, images(), np.array([0, 1]))
    assert found.images == 3
    assert modes(model) == before
    with pytest.raises(OSError, match="gone"):
        classes.judge(model, breaking(), np.array([0, 1]))
    assert modes(model) == before
    assert model.asked
    assert not any(map(any, model.asked))


def test_a_judge_of_pixels_leaves_modes_and_products() -> None:
    model = Reads()
    before = modes(model)

    class Hides:
        seen: Any = None

        def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
            return sample

        def collate(self, samples: list[Sample], ids: list[int]) -> list[int]:
            return ids

        def errors(self, parts: dict[str, Any], ids: list[int]) -> torch.Tensor:
            assert not any(modes(parts["model"]))
            assert parts["model"].body_dtype == torch.float32
            return torch.ones(len(ids), 2)

        def targets(self, ids: list[int]) -> torch.Tensor:
            return torch.arange(len(ids)).float()

    hides: Any = Hides()
    assert hidden_pixels.judge({"model": model}, hides, images()).value == 1
    assert modes(model) == before
    with pytest.raises(OSError, match="gone"):
        hidden_pixels.judge({"model": model}, hides, breaking())
    assert modes(model) == before
    assert model.body_dtype == torch.bfloat16


def test_plain_shares_the_weights_and_not_the_products() -> None:
    model = Reads()
    copied = plain(model)
    assert copied.line is model.line
    assert (copied.body_dtype, model.body_dtype) == (torch.float32, torch.bfloat16)
    bare = mixed()
    assert plain(bare) is bare
