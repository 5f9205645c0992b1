"""Patches and back, a projection as a convolution, and positions carried to another image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from keel.errors import StudyError
from keel.model import load
from keel.model.patches import patchify, project, unpatchify
from keel.model.positions import resize, resized
from keel.model.shapes import SHAPES, Shape, Size

pytestmark = pytest.mark.tensor
FP32 = {"body": "fp32", "head": "fp32"}


def shape_of(context: int = 16, patch: int = 4) -> Shape:
    size = Size(width=16, layers=2, vocabulary=0, context=context, head_width=8, patch=patch, classes=5)
    return SHAPES["vit"].shape(size)


@pytest.mark.parametrize(("side", "patch"), [(8, 2), (12, 4), (16, 16), (6, 1)])
def test_what_is_taken_apart_comes_together(side: int, patch: int) -> None:
    images = torch.randn(2, 3, side, side)
    rows = patchify(images, patch)
    assert rows.shape == (2, (side // patch) ** 2, 3 * patch * patch)
    assert torch.equal(unpatchify(rows, patch), images)
    assert torch.equal(patchify(unpatchify(rows, patch), patch), rows)


def test_pixels_left_over_are_not_dropped() -> None:
    with pytest.raises(AssertionError, match="no whole number"):
        patchify(torch.zeros(1, 3, 10, 10), 4)
    with pytest.raises(AssertionError, match="no square"):
        unpatchify(torch.zeros(1, 5, 12), 2)


def test_a_projection_is_a_convolution_whose_stride_is_its_kernel() -> None:
    conv = nn.Conv2d(3, 16, 4, stride=4, dtype=torch.float64)
    images = torch.randn(2, 3, 24, 24, dtype=torch.float64)
    rows = project(patchify(images, 4), conv.weight, conv.bias)
    torch.testing.assert_close(rows, conv(images).flatten(2).transpose(1, 2), rtol=0, atol=1e-12)
    some = torch.tensor([3, 17, 4])
    torch.testing.assert_close(project(patchify(images, 4)[:, some], conv.weight, conv.bias), rows[:, some])


def test_the_same_grid_keeps_its_positions_bit_for_bit() -> None:
    positions = torch.randn(1, 17, 8)
    assert resized(positions, 4) is positions


def test_cls_keeps_its_position_and_the_grid_is_interpolated() -> None:
    """Positions that are linear along an axis stay so inside the new grid; rows and columns do not change places."""
    along = torch.arange(6.0)[:, None].expand(6, 6)
    positions = torch.cat([torch.full((1, 1, 2), 9.0), torch.stack([along, along.T], -1).reshape(1, 36, 2)], 1)
    made = resized(positions, 12)
    assert torch.equal(made[:, :1], positions[:, :1])
    grid = made[0, 1:].reshape(12, 12, 2)
    inside = (torch.arange(12.0) + 0.5) / 2 - 0.5
    torch.testing.assert_close(grid[3:-3, 6, 0], inside[3:-3], rtol=0, atol=0.05)
    torch.testing.assert_close(grid[6, 3:-3, 1], inside[3:-3], rtol=0, atol=0.05)
    torch.testing.assert_close(grid[:, 6, 1], grid[:, 6, 1][:1].expand(12))


def test_a_resized_model_is_the_librarys_own_interpolation() -> None:
    trunk = load("vit").build(shape_of(), FP32, 1)
    trunk.library.classifier.weight.data.normal_()
    images = torch.randn(2, 3, 24, 24)
    with torch.inference_mode():
        theirs = trunk.library(images, interpolate_pos_encoding=True).logits
    resize(trunk.library, shape_of(context=36))
    with torch.inference_mode():
        torch.testing.assert_close(trunk.logits(trunk(images).pooled), theirs)
    assert trunk.library.config.image_size == 24
    assert sum(weight.numel() for weight in trunk.library.parameters()) == SHAPES["vit"].params(shape_of(36)).total


def test_another_patch_is_refused() -> None:
    trunk = load("vit").build(shape_of(), FP32, 1)
    with pytest.raises(StudyError, match="patches of 8 pixels for a model of 4"):
        resize(trunk.library, shape_of(patch=8))
