"""The loss classify: the library's own cross entropy, on every family that serves it; what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from digits import SIZES
from helpers import study_error

from keel import model, objective
from keel.model.shapes import SHAPES, Size, Use
from keel.objective import cost
from keel.objective.base import Key, Objective, Sample, Scratch
from keel.objective.facts import FACTS
from keel.objective.options import OPTIONS
from keel.plan.spec import example_spec
from keel.run import parts

pytestmark = pytest.mark.tensor
FAMILIES = ("vit", "vit-hybrid", "resnet-basic", "convnext")
KEY = Key(0, 0, ())


def size_of(family: str, classes: int = 10) -> Size:
    return Size(vocabulary=0, classes=classes, **SIZES[family])


def modules(loss: Objective, family: str) -> Any:
    """Fresh weights, none of them without effect."""
    size = size_of(family)
    made = parts.build(loss.parts(family, size, Scratch()), example_spec(family=family, size=size.json()))
    generator = torch.Generator().manual_seed(1)
    for weight in made["model"].parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return made


def batch_of(loss: Objective, family: str, number: int = 6) -> Any:
    side, rng = SHAPES[family].shape(size_of(family)).image, np.random.default_rng(0)
    samples = [
        Sample(
            place, np.empty(0, np.int64), image=rng.normal(size=(3, side, side)).astype(np.float32), label=place % 10
        )
        for place in range(number)
    ]
    return loss.collate([loss.example(sample, rng) for sample in samples], range(number))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_sum_is_the_librarys_cross_entropy(family: str) -> None:
    loss = objective.load("classify")
    made, batch = modules(loss, family), batch_of(loss, family)
    made["model"].eval()
    sums, features, _ = loss.losses(made, batch, {}, KEY)
    library = made["model"].library
    logits = library(pixel_values=batch.tensors["pixels"]).logits
    wanted = torch.nn.functional.cross_entropy(logits, batch.tensors["labels"], reduction="sum")
    assert batch.counts == {"classify": 6}
    assert features is None
    torch.testing.assert_close(sums["classify"], wanted, rtol=1e-5, atol=1e-5)
    torch.autograd.backward(sums["classify"])
    found = {name: weight.grad.clone() for name, weight in library.named_parameters() if weight.grad is not None}
    library.zero_grad()
    torch.autograd.backward(wanted)
    for name, weight in library.named_parameters():
        if weight.grad is not None:
            torch.testing.assert_close(found[name], weight.grad, rtol=1e-4, atol=1e-5, msg=name)
    assert found.keys() == {name for name, weight in library.named_parameters() if weight.grad is not None}


def test_the_mean_of_patches_is_another_model_than_cls() -> None:
    means = objective.load("classify", {"pool": "mean"})
    made = modules(means, "vit")
    batch = batch_of(means, "vit")
    states = made["model"](batch.tensors["pixels"])
    torch.testing.assert_close(states.pooled, states.patches.mean(1))
    logits = made["model"].library(pixel_values=batch.tensors["pixels"]).logits
    wanted = torch.nn.functional.cross_entropy(logits, batch.tensors["labels"], reduction="sum")
    torch.testing.assert_close(means.losses(made, batch, {}, KEY)[0]["classify"], wanted, rtol=1e-5, atol=1e-5)
    own = modules(objective.load("classify"), "vit")["model"](batch.tensors["pixels"])
    assert not torch.allclose(own.pooled, own.patches.mean(1))


def test_a_network_of_stages_has_no_other_pool() -> None:
    with study_error("'convnext' cannot serve the loss 'classify'"):
        objective.load("classify", {"pool": "mean"}).parts("convnext", size_of("convnext"), Scratch())


@pytest.mark.parametrize("family", FACTS["classify"].families)
def test_flop_and_parameters_are_those_of_whole_images_and_one_head(family: str) -> None:
    size = size_of(family if family in SIZES else "resnet-basic")
    shapes, head = SHAPES[family], cost.head_of("classify", {}, family, size)
    shape = shapes.shape(size)
    assert head == "classes"
    assert cost.flop_per_token("classify", {}, family, size) * size.context == shapes.flop(
        shape, Use(size.context, 0, 1)
    )
    with torch.device("meta"):
        library = model.load(family).module(shape, head, {})
    assert cost.params("classify", {}, family, size).total == sum(w.numel() for w in library.parameters())


def test_settings_are_frozen() -> None:
    """A default that changes is another recipe under the same name."""
    assert OPTIONS["classify"].defaults == {
        "pool": "own", "crop": "random", "least_area": 0.35, "resize": 0, "flip": True, "jitter": 0.0,
        "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
    }  # fmt: skip
    settings = objective.load("classify", {"flip": False, "std": [0.2, 0.3, 0.4]}).pixels(64, "black")
    assert (settings.size, settings.flip, settings.std, settings.background) == (64, False, (0.2, 0.3, 0.4), "black")


def test_an_image_without_a_label_is_no_example() -> None:
    loss = objective.load("classify")
    with pytest.raises(AssertionError, match="without a label"):
        loss.example(Sample(0, np.empty(0, np.int64), image=np.zeros((3, 8, 8), np.float32)), np.random.default_rng(0))
