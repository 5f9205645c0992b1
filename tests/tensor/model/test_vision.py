"""Families that see images against the library's own models: states, initial weights, export."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from keel import model
from keel.errors import StudyError
from keel.model import stem
from keel.model.shapes import SHAPES, VISION, Shape, Size
from keel.model.shapes.vision_released import VISION_RELEASED
from keel.model.vision import VisionTrunk, library
from keel.model.vision_configs import VISION_BUILDS
from keel.model.vision_init import CUT, STD, WITHIN, cut_normal

pytestmark = pytest.mark.tensor
FP32, BF16 = {"body": "fp32", "head": "fp32"}, {"body": "bf16", "head": "fp32"}
CLASSIFIERS = sorted(set(VISION) - {"clip-vision"})
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


def built(family: str, head: str = "", precision: Any = FP32, **changes: int) -> VisionTrunk:
    trunk: VisionTrunk = model.load(family).build(shape_of(family, **changes), precision, 3, head=head)
    return trunk


def lively(trunk: VisionTrunk) -> VisionTrunk:
    """Every weight and running moment away from 0 and 1, so that none is without effect."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in trunk.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
        for buffer in trunk.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.2 * torch.rand(buffer.shape, generator=generator, dtype=buffer.dtype))
    return trunk


def pixels(images: int = 2, side: int = 64, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(images, 3, side, side, generator=torch.Generator().manual_seed(9), dtype=dtype)


def test_every_family_has_its_torch_half() -> None:
    assert (
        set(VISION_BUILDS) == set(VISION) == {released.family for released in VISION_RELEASED.values()} | {"vit-hybrid"}
    )
    assert all(set(VISION_BUILDS[family].classes) == set(VISION[family].heads) for family in VISION)
    assert set(VISION) < set(model.FAMILIES)


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_logits_are_those_of_the_librarys_own_forward(family: str) -> None:
    trunk = lively(built(family).double()).eval()
    seen = pixels(dtype=torch.float64)
    with torch.inference_mode():
        states, theirs = trunk(seen), trunk.library(seen).logits
        assert states.pooled.shape == (2, VISION[family].pooled_width(shape_of(family)))
        torch.testing.assert_close(trunk.logits(states.pooled), theirs, rtol=0, atol=1e-5)
    assert theirs.std() > 1e-3


def test_a_vit_written_out_gives_the_same_logits() -> None:
    """Dosovitskiy et al. 2021, equations 1 to 4, from the weights alone."""
    trunk = lively(built("vit").double()).eval()
    w, seen = dict(trunk.library.named_parameters()), pixels(dtype=torch.float64)
    norm, gelu = nn.functional.layer_norm, nn.functional.gelu

    def dense(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def normed(x: Tensor, name: str) -> Tensor:
        return norm(x, (16,), w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-6)

    cut = seen.unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).reshape(2, 16, 768)
    stem = "vit.embeddings.patch_embeddings.projection"
    rows = cut @ w[f"{stem}.weight"].reshape(16, 768).T + w[f"{stem}.bias"]
    x = torch.cat([w["vit.embeddings.cls_token"].expand(2, 1, 16), rows], 1) + w["vit.embeddings.position_embeddings"]
    for layer in (f"vit.layers.{number}" for number in range(4)):
        h = normed(x, f"{layer}.layernorm_before")
        q, k, v = (dense(h, f"{layer}.attention.{part}_proj").reshape(2, 17, 2, 8).transpose(1, 2) for part in "qkv")
        mixed = torch.softmax(q @ k.mT / math.sqrt(8), -1) @ v
        x = x + dense(mixed.transpose(1, 2).reshape(2, 17, 16), f"{layer}.attention.o_proj")
        h = normed(x, f"{layer}.layernorm_after")
        x = x + dense(gelu(dense(h, f"{layer}.mlp.fc1")), f"{layer}.mlp.fc2")
    logits = dense(normed(x, "vit.layernorm")[:, 0], "classifier")
    torch.testing.assert_close(trunk.logits(trunk(seen).pooled), logits, rtol=0, atol=1e-10)


def test_the_mean_leaves_cls_out() -> None:
    trunk = lively(built("vit", "mean-classes").double()).eval()
    states = trunk(pixels(dtype=torch.float64))
    torch.testing.assert_close(states.pooled, states.patches.mean(1))
    assert states.patches.shape == (2, 16, 16)
    torch.testing.assert_close(trunk.library(pixels(dtype=torch.float64)).logits, trunk.logits(states.pooled))
    plain = lively(built("vit").double()).eval()
    assert not torch.allclose(plain(pixels(dtype=torch.float64)).pooled, states.pooled)


def test_as_many_rows_leave_every_layer_as_enter_it() -> None:
    """Patches are tokens; their number is the same at every depth."""
    trunk, seen = built("vit"), []
    for layer in trunk.library.base_model.layers:
        layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].shape, output.shape)))
    trunk(pixels())
    assert seen == [((2, 17, 16), (2, 17, 16))] * 4


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_bodies_give_states_of_patches_and_of_the_image(family: str, head: str) -> None:
    trunk = built(family, head).eval()
    states, width = trunk(pixels()), VISION[family].pooled_width(shape_of(family))
    assert states.patches.shape[::2] == states.pooled.shape == (2, width)
    assert states.patches.shape[1] == (4 if VISION_BUILDS[family].config[:3] in ("Res", "Con") else 16)


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_the_first_loss_is_the_log_of_the_classes(family: str) -> None:
    trunk, labels = built(family), torch.tensor([1, 6])
    loss = trunk.nll(trunk(pixels()).pooled, labels)
    assert float(loss.detach()) == pytest.approx(2 * math.log(7), rel=1e-6)
    loss.backward()
    assert trunk.classifier.weight.grad is not None
    assert trunk.classifier.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_every_parameter_learns(family: str) -> None:
    trunk = lively(built(family))
    trunk.nll(trunk(pixels()).pooled, torch.tensor([1, 6])).backward()
    assert not [name for name, weight in trunk.named_parameters() if weight.grad is None or not weight.grad.any()]


@pytest.mark.parametrize("family", ["vit", "resnet"])
def test_bf16_is_for_the_body_and_the_loss_is_fp32(family: str) -> None:
    plain, mixed = lively(built(family)).eval(), lively(built(family, precision=BF16)).eval()
    with torch.no_grad():
        one, other = plain(pixels()), mixed(pixels())
    assert other.pooled.dtype == other.patches.dtype == mixed.logits(other.pooled).dtype == torch.float32
    assert not torch.equal(one.pooled, other.pooled)
    torch.testing.assert_close(one.pooled, other.pooled, rtol=0.1, atol=0.1 * float(one.pooled.abs().max()))


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_weights_follow_from_the_seed(family: str) -> None:
    one, other = built(family), built(family)
    third: VisionTrunk = model.load(family).build(shape_of(family), FP32, 4)
    for name, weight in one.named_parameters():
        assert torch.equal(weight, dict(other.named_parameters())[name])
    assert not torch.equal(next(one.parameters()), next(third.parameters()))


def test_a_cut_normal_is_cut_and_has_its_deviation() -> None:
    """torch cuts at -2 and 2 unless told, which is a hundred deviations away."""
    drawn = cut_normal(torch.empty(100_000), torch.Generator().manual_seed(1))
    assert float(drawn.std()) == pytest.approx(STD, rel=0.01)
    assert float(drawn.abs().max()) == pytest.approx(CUT * STD / WITHIN, rel=0.01)
    assert pytest.approx(0.87962566, abs=1e-8) == WITHIN


def test_matrices_of_a_vit_spread_by_its_width_and_as_in_the_paper_at_768() -> None:
    for width, std in ((48, 0.08), (768, 0.02)):
        trunk = built("vit", width=width, layers=1, head_width=16)
        found = dict(trunk.library.named_parameters())
        for name in ("vit.layers.0.mlp.fc1.weight", "vit.embeddings.patch_embeddings.projection.weight"):
            assert float(found[name].std().detach()) == pytest.approx(std, rel=0.03)
        assert float(found["vit.embeddings.position_embeddings"].std().detach()) == pytest.approx(0.02, rel=0.1)


def test_blocks_of_a_fresh_resnet_add_nothing() -> None:
    for family, last in (("resnet", 2), ("resnet-basic", 1)):
        gammas = {name: weight for name, weight in built(family).named_parameters() if "normalization.weight" in name}
        zero = {name for name, weight in gammas.items() if not weight.any()}
        assert len(zero) == 4
        assert all(f".layer.{last}.normalization" in name for name in zero)
        assert all(torch.equal(weight, torch.ones_like(weight)) for name, weight in gammas.items() if name not in zero)


def test_a_fresh_convnext_scales_its_blocks_down() -> None:
    scales = [weight for name, weight in built("convnext").named_parameters() if "layer_scale" in name]
    assert len(scales) == 4
    assert all(torch.equal(scale, torch.full_like(scale, 1e-6)) for scale in scales)


@pytest.mark.parametrize("family", ["vit", "resnet-basic", "resnet", "convnext"])
def test_the_librarys_own_loader_reads_the_export(family: str, tmp_path: Path) -> None:
    trunk = lively(built(family)).eval()
    model.load(family).export(trunk, tmp_path)
    kind = getattr(transformers, VISION_BUILDS[family].classes["classes"])
    loaded = kind.from_pretrained(tmp_path).eval()
    theirs = loaded.state_dict()
    assert theirs.keys() == trunk.library.state_dict().keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in trunk.library.state_dict().items())
    with torch.inference_mode():
        assert torch.equal(loaded(pixels()).logits, trunk.library(pixels()).logits)


@pytest.mark.parametrize(("family", "head"), [("vit-hybrid", "classes"), ("vit", "mean-classes")])
def test_what_the_library_has_not_is_refused_by_its_loader_and_read_by_ours(
    family: str, head: str, tmp_path: Path
) -> None:
    """Read as a plain ViT, a stem would be drawn afresh and CLS taken for the mean, without a word."""
    trunk = lively(built(family, head)).eval()
    model.load(family).export(trunk, tmp_path)
    with pytest.raises(ValueError, match="keel-vit"):
        transformers.AutoModelForImageClassification.from_pretrained(tmp_path)
    loaded: Any = stem.load(str(tmp_path), head)
    theirs = loaded.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in trunk.library.state_dict().items())
    with torch.inference_mode():
        assert torch.equal(loaded.eval()(pixels()).logits, trunk.library(pixels()).logits)


def test_a_stem_is_its_convolutions() -> None:
    trunk = lively(built("vit-hybrid").double()).eval()
    made = trunk.library.vit.embeddings.patch_embeddings
    x = pixels(dtype=torch.float64)
    for step in made.steps:
        norm = step.normalization
        x = nn.functional.conv2d(x, step.convolution.weight, stride=2, padding=1)
        x = torch.relu((x - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + 1e-5).sqrt()
                       * norm.weight[:, None, None] + norm.bias[:, None, None])  # fmt: skip
    rows = torch.einsum("bchw,dc->bhwd", x, made.projection.weight[:, :, 0, 0]).reshape(2, 16, 16)
    torch.testing.assert_close(made(pixels(dtype=torch.float64)), rows + made.projection.bias, rtol=0, atol=1e-10)
    channels = [3, *(step.convolution.out_channels for step in made.steps)]
    assert channels == [3, 2, 4, 8, 16]
    assert all(
        step.convolution.in_channels == one for step, (one, _) in zip(made.steps, pairwise(channels), strict=True)
    )


def test_all_that_stands_against_a_model_is_told() -> None:
    with pytest.raises(StudyError, match="no head 'tokens'"):
        library("vit", shape_of("vit"), head="tokens")
    with pytest.raises(StudyError, match="classes is 1"):
        library("vit", replace(shape_of("vit"), classes=1))
    with pytest.raises(StudyError, match="unknown family 'vot'") as caught:
        library("vot", shape_of("vit"))
    assert "'vit'" in caught.value.problems[0].fix
