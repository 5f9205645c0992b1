"""Which weights are tables, matrices and vectors: of text as they ever were, of images by what a layer does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from keel import model
from keel.model.shapes import FEATURES, VISION, Size
from keel.objective.base import Part, Scratch
from keel.plan.spec import Spec
from keel.run import checkpoint, optimiser, parts

pytestmark = pytest.mark.tensor
Make = Callable[..., Spec]
IDS = {"pad": 0, "bos": 1, "eos": 2, "decoder_start": 0}
FP32 = {"body": "fp32", "head": "fp32"}
PIXELS = Size(width=64, layers=4, vocabulary=0, context=16, head_width=16, patch=16, classes=5)


def groups(spec: Spec, module: nn.Module, family: str, size: Size) -> dict[str, list[str]]:
    """Names by group: matrices, tables, vectors."""
    plan = {"model": Part(family=family, size=size, start=Scratch())}
    adam = optimiser.build({"model": module}, plan, spec)["main"]
    names = {weight: name for name, weight in module.named_parameters()}
    return dict(zip(("matrices", "tables", "vectors"), ([names[w] for w in g["params"]] for g in adam.param_groups)))


def seen(family: str) -> nn.Module:
    size = sized(family)
    built: nn.Module = model.load(family).build(
        VISION[family].shape(size), FP32, 0, {}, next(iter(VISION[family].heads))
    )
    return built


def sized(family: str) -> Size:
    staged = {"head_width": 0, "patch": 32} if family in ("resnet", "resnet-basic", "convnext") else {}
    joint = {"classes": 0, "embedding_width": 32} if family == "clip-vision" else {}
    return Size(**{**vars(PIXELS), **staged, **joint})


@pytest.mark.parametrize("family", FEATURES)
def test_text_families_are_grouped_by_name_in_the_same_order(family: str, tiny_spec: Make) -> None:
    two = {"decoder_layers": 1} if FEATURES[family].kind == "encoder-decoder" else {}
    size = Size(width=32, layers=2, vocabulary=64, context=16, head_width=8, **two)
    shape = model.load(family).shape(size)
    built = model.load(family).build(shape, FP32, 0, IDS, "tokens")
    by_name = dict(built.named_parameters())
    assert groups(tiny_spec(), built, family, size) == {
        "matrices": [name for name, weight in by_name.items() if "embed" not in name and weight.dim() > 1],
        "tables": [name for name in by_name if "embed" in name],
        "vectors": [name for name, weight in by_name.items() if "embed" not in name and weight.dim() <= 1],
    }
    assert all(name.endswith("final_logits_bias") for name, _ in checkpoint.kept_buffers(built))


@pytest.mark.parametrize("family", VISION)
def test_layers_that_meet_pixels_are_matrices_and_lookups_are_tables(family: str, tiny_spec: Make) -> None:
    built = seen(family)
    found = groups(tiny_spec(), built, family, sized(family))
    owners = dict(built.named_modules())
    for group, names in found.items():
        for name in names:
            owner = owners[name.rpartition(".")[0]]
            if isinstance(owner, (nn.Conv2d, nn.Linear)) and name.endswith("weight"):
                assert group == "matrices", name
            elif isinstance(owner, (nn.LayerNorm, nn.BatchNorm2d)) or name.endswith("bias"):
                assert group == "vectors", name
    tables = sum(built.get_parameter(name).numel() for name in found["tables"])
    assert tables == VISION[family].params(VISION[family].shape(sized(family))).embedding


def test_what_a_batch_norm_has_gathered_is_saved_restored_and_followed(tiny_spec: Make) -> None:
    size, start = sized("resnet-basic"), Scratch()
    part = Part(family="resnet-basic", size=size, start=start, head="classes")
    plan = {"model": part, "slow": replace(part, role="ema", ema_of="model")}
    spec = tiny_spec(family="resnet-basic", size=size.json())
    made = parts.build(plan, spec)
    before = {name: value.clone() for name, value in checkpoint.kept_buffers(made["slow"])}
    made["model"](torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(0)))
    gathered = dict(checkpoint.kept_buffers(made["model"]))
    assert any(not torch.equal(value, before[name]) for name, value in gathered.items())

    class Half:
        def momentum(self, step: int, decayed: float) -> float:
            return 0.75

    parts.follow(made, plan, Half(), 1, 0.0)  # type: ignore[arg-type]
    for name, value in checkpoint.kept_buffers(made["slow"]):
        wanted = 0.75 * before[name] + 0.25 * gathered[name] if value.is_floating_point() else gathered[name]
        torch.testing.assert_close(value, wanted)
    saved = {name: value.clone() for name, value in checkpoint.part_state(made).items()}
    again = parts.build(plan, spec)
    checkpoint.load_parts(again, saved)
    for name, value in again["model"].state_dict().items():
        assert torch.equal(value, made["model"].state_dict()[name]), name
