"""Counts of families that see images against the library's own modules: parameters, FLOP, what autograd keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from keel.model.shapes import SHAPES, VISION, Shape, Size
from keel.model.shapes.vision_released import VISION_RELEASED
from keel.model.vision import library, table

pytestmark = pytest.mark.tensor
FP32 = {"body": "fp32", "head": "fp32"}
HEADS = [(family, head) for family in VISION for head in VISION[family].heads]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(level)


def shape_of(family: str, **changes: int) -> Shape:
    """64 x 64 pixels, 16 patches."""
    plain = {"width": 16, "layers": 4, "vocabulary": 0, "context": 16, "head_width": 0, "patch": 16, "classes": 7}
    own = {} if family in ("resnet-basic", "resnet", "convnext") else {"head_width": 8}
    joint = {"embedding_width": 12, "classes": 0} if family == "clip-vision" else {}
    return SHAPES[family].shape(Size(**(plain | own | joint | changes)))


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_parameters_are_the_librarys(family: str, head: str) -> None:
    for changes in ({}, {"width": 32, "layers": 9, "context": 64, "patch": 8}):
        shape = shape_of(family, **changes)
        with torch.device("meta"):
            assert count(library(family, shape, head=head)) == VISION[family].params(shape, head).total


@pytest.mark.parametrize("name", [name for name in VISION_RELEASED if name not in ("ViT-H/14", "ResNet-152")])
def test_released_sizes_are_the_librarys(name: str) -> None:
    family, released, params_m, head = VISION_RELEASED[name]
    shape = SHAPES[family].shape(released)
    with torch.device("meta"):
        theirs = count(library(family, shape, head=head))
    assert theirs == SHAPES[family].params(shape, head).total
    assert theirs / 1e6 == pytest.approx(params_m, abs=0.005)


def test_clips_text_tower_is_the_librarys() -> None:
    size = Size(width=32, layers=2, vocabulary=60, context=10, head_width=8)
    shape = SHAPES["clip-text"].shape(size)
    with torch.device("meta"):
        theirs = CLIPTextModelWithProjection(
            CLIPTextConfig(
                vocab_size=60, hidden_size=32, intermediate_size=128, projection_dim=32, num_hidden_layers=2,
                num_attention_heads=4, max_position_embeddings=10,
            )
        )  # fmt: skip
    assert count(theirs) == SHAPES["clip-text"].params(shape).total


def counted_flop(module: Any, seen: Tensor, *, backward: bool) -> float:
    module.set_attn_implementation("eager") if hasattr(module.config, "num_attention_heads") else None
    with FlopCounterMode(display=False) as counter:
        out = module(seen)
        if backward:
            out[0].sum().backward()
    return counter.get_total_flops() / len(seen)


def depthwise_excess(module: nn.Module, side: int) -> float:
    """What torch's counter takes the weight gradients of depthwise convolutions for, beyond what they are, an image.

    It multiplies all channels with all, though each meets itself alone.
    """
    found, first = 0, next(each for each in module.modules() if isinstance(each, nn.Conv2d))
    stages = [each for each in module.modules() if type(each).__name__ == "ConvNextStage"]
    for number, stage in enumerate(stages):
        for conv in (each for each in stage.modules() if isinstance(each, nn.Conv2d) and each.groups > 1):
            d, here = conv.in_channels, side // first.kernel_size[0] >> number
            found += 2 * 49 * here * here * (d * d - d)
    return float(found)


@pytest.mark.parametrize("family", VISION)
def test_flop_are_what_torch_counts(family: str) -> None:
    shape = shape_of(family, width=32, layers=5)
    head = next(iter(VISION[family].heads))
    with torch.device("meta"):
        module, seen = library(family, shape, head=head).train(), torch.empty(3, 3, 64, 64)
        forward = counted_flop(module, seen, backward=False)
        both = counted_flop(module, seen, backward=True) - depthwise_excess(module, 64)
    use = SHAPES[family].full_use(shape)
    assert 2 * VISION[family].products(shape, use) == pytest.approx(forward, rel=1e-6)
    assert SHAPES[family].flop(shape, use) == pytest.approx(both, rel=1e-3)


@pytest.mark.parametrize("name", ["ViT-B/16", "ResNet-18", "ResNet-50", "ConvNeXt-T"])
def test_flop_of_released_sizes_are_what_torch_counts(name: str) -> None:
    family, released, _, head = VISION_RELEASED[name]
    shape = SHAPES[family].shape(released)
    with torch.device("meta"):
        module = library(family, shape, head=head).train()
        counted = counted_flop(module, torch.empty(1, 3, 224, 224), backward=True) - depthwise_excess(module, 224)
    assert SHAPES[family].flop(shape, SHAPES[family].full_use(shape)) == pytest.approx(counted, rel=0.01)


def kept(family: str, layers: int) -> tuple[float, float]:
    """Bytes that autograd keeps for four images, the weights' own apart, and those that `memory_bytes` counts."""
    shape = shape_of(family, width=32, layers=layers)
    module = library(family, shape, head="body").train()
    if hasattr(module.config, "num_attention_heads"):
        module.set_attn_implementation("eager")
    known = {weight.untyped_storage().data_ptr() for weight in (*module.parameters(), *module.buffers())}
    found: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(torch.randn(4, 3, 64, 64))
    empty, full = (VISION[family].memory_bytes(shape, n, FP32) for n in (0, 4 * 16))
    logits = 4 * 3.0 * 4 * shape.classes
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values()), full - empty - logits


@pytest.mark.parametrize("family", VISION)
def test_activations_are_what_autograd_keeps(family: str) -> None:
    (few, few_said), (many, many_said) = kept(family, 4), kept(family, 8)
    assert few_said == pytest.approx(few, rel=0.05)
    assert many_said - few_said == pytest.approx(many - few, rel=0.03)


def test_the_table_holds_ours_against_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keel.model.vision.VISION_RELEASED", {"ResNet-50": VISION_RELEASED["ResNet-50"]})
    head, line = table()
    assert head.split()[-2:] == ["ours", "library"]
    assert line.split()[-2:] == ["25,557,032", "25,557,032"]
