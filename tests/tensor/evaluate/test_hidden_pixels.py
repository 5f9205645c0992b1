"""The judge of hidden pixels: fixed masks, the loss's own number, a bar that one value for all pixels reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import study_error

from keel import evaluate, objective
from keel.evaluate import hidden_pixels
from keel.model.shapes import Size
from keel.objective.base import Key, Sample, Scratch
from keel.plan.spec import example_spec
from keel.run import parts

pytestmark = pytest.mark.tensor
SIZE = Size(width=16, layers=1, vocabulary=0, context=16, head_width=8, patch=4)


def made(size: Size = SIZE, precision: str = "fp32", **options: Any) -> tuple[Any, Any]:
    of = objective.load("mae", options)
    spec = example_spec(family="vit", size=size.json(), precision={"body": precision, "head": precision})
    return of, of.join(parts.build(of.parts("vit", size, Scratch()), spec))


def images(number: int = 70) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [Sample(place, np.empty(0, np.int64), image=rng.normal(size=(3, 16, 16)).astype(np.float32), patch=4)
            for place in range(number)]  # fmt: skip


def test_its_value_is_the_loss_under_masks_that_hang_on_the_image_alone() -> None:
    of, modules = made()
    found = hidden_pixels.judge(modules, of, images())
    examples = [of.example(each, hidden_pixels.mask_of(each.id)) for each in images()]
    batch = of.collate(examples, range(70))
    total = float(of.losses(modules, batch, {}, Key(0, 0, ()))[0]["mae"].detach())
    assert found.value == pytest.approx(total / batch.counts["mae"], rel=1e-5)
    backwards = hidden_pixels.judge(modules, of, images()[::-1])
    assert backwards.value == pytest.approx(found.value, rel=1e-6)
    assert found.told() == hidden_pixels.judge(modules, of, images()).told()
    assert tuple(found.told()) == evaluate.FIELDS["pixel_error"]
    assert 0 < found.standard_error < 0.1


def test_masks_are_the_same_for_every_size_and_no_runs_own() -> None:
    wide, narrow = made(), made(Size(**{**vars(SIZE), "width": 32}))
    drawn = [
        [of.example(each, hidden_pixels.mask_of(each.id))["order"] for each in images(8)] for of, _ in (wide, narrow)
    ]
    assert np.array_equal(*drawn)
    assert len({tuple(order) for order in drawn[0]}) == 8
    assert hidden_pixels.MASKS_SEED >= 1 << 32


def test_the_bar_is_what_one_value_for_all_pixels_reaches() -> None:
    for norm_pix in (True, False):
        of, modules = made(norm_pix=norm_pix)
        decoder = modules["decoder"]
        with torch.no_grad():
            for weight in decoder.pixels.parameters():
                weight.zero_()
        found = hidden_pixels.judge(modules, of, images())
        mean = 0.0 if norm_pix else float(np.mean([each.image for each in images()]))
        # A decoder that says 0 everywhere is off by the mean at most.
        assert found.value == pytest.approx(found.bar + mean**2, rel=1e-2)


def test_weights_are_read_in_their_own_precision_and_left_so() -> None:
    of, modules = made(precision="bf16")
    _, plain = made()
    assert hidden_pixels.judge(modules, of, images(8)).value == hidden_pixels.judge(plain, of, images(8)).value
    assert modules["model"].body_dtype == modules["decoder"].body_dtype == torch.bfloat16


def test_a_loss_that_hides_nothing_is_refused() -> None:
    with study_error("this judge reads hidden pixels", "Classify hides none"):
        hidden_pixels.judge({}, objective.load("classify"), images(2))
