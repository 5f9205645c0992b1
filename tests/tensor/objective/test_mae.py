"""Masked autoencoding: the library's loss and gradients, masks, counts, what is exported."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from helpers import study_error
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from keel import model, objective
from keel.model import sincos
from keel.model.patches import patchify
from keel.model.shapes import SHAPES, Size
from keel.objective import cost, facts_mae
from keel.objective.base import Batch, FromRun, Key, Sample, Scratch
from keel.objective.mae import MAE
from keel.plan.spec import example_spec
from keel.run import engine, optimiser, parts

pytestmark = pytest.mark.tensor
SIZE = Size(width=32, layers=2, vocabulary=0, context=16, head_width=8, patch=4)
SIDE, KEY = 16, Key(0, 0, ())


def loss(**options: Any) -> MAE:
    made = objective.load("mae", options)
    assert isinstance(made, MAE)
    return made


def modules(of: MAE, size: Size = SIZE) -> dict[str, nn.Module]:
    """In fp64, none of the weights without effect."""
    plan = of.parts("vit", size, Scratch())
    made = of.join(parts.build(plan, example_spec(family="vit", size=size.json())))
    generator = torch.Generator().manual_seed(1)
    for part in made.values():
        part.double()
        for name, weight in part.named_parameters():
            if not name.endswith(sincos.NAMED):
                weight.data += 0.05 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    return made


def samples(number: int = 6, side: int = SIDE, patch: int = 4) -> list[Sample]:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(number, 3, side, side)).astype(np.float32)
    return [Sample(place, np.empty(0, np.int64), image=image, patch=patch) for place, image in enumerate(images)]


def batch_of(of: MAE, some: list[Sample]) -> Batch:
    examples = [of.example(sample, np.random.default_rng(sample.id)) for sample in some]
    batch = of.collate(examples, [sample.id for sample in some])
    return replace(batch, tensors={**batch.tensors, "pixels": batch.tensors["pixels"].double()})


# ---- the library's model ----


def library_of(made: dict[str, nn.Module], norm_pix: bool) -> Any:
    """The library's model of both, with the same weights: it orders the values of a patch by place, then colour."""
    encoder: Any = made["model"]
    decoder: Any = made["decoder"]
    config = transformers.ViTMAEConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, image_size=SIDE,
        patch_size=4, layer_norm_eps=1e-6, decoder_hidden_size=16, decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2, decoder_intermediate_size=64, norm_pix_loss=norm_pix, mask_ratio=0.75,
    )  # fmt: skip
    whole: Any = transformers.ViTMAEForPreTraining(config).double()
    ours = {f"vit.{name}": weight for name, weight in encoder.library.state_dict().items()}
    theirs = {"onto": "decoder_embed", "layers": "decoder_layers", "norm": "decoder_norm", "pixels": "decoder_pred"}
    for name, weight in decoder.state_dict().items():
        lead, _, rest = name.partition(".")
        ours[f"decoder.{theirs[lead]}.{rest}" if lead in theirs else "decoder.mask_token"] = weight
    for name in ("decoder.decoder_pred.weight", "decoder.decoder_pred.bias"):
        split = ours[name].reshape(3, 16, -1)
        ours[name] = split.transpose(0, 1).reshape(48, -1).reshape(ours[name].shape)
    ours["decoder.mask_token"] = ours["decoder.mask_token"].reshape(1, 1, -1)
    ours["decoder.decoder_pos_embed"] = decoder.positions
    whole.load_state_dict(ours)
    return whole


@pytest.mark.parametrize("norm_pix", [True, False])
def test_the_loss_and_gradients_are_the_librarys_for_given_noise(norm_pix: bool) -> None:
    of = loss(norm_pix=norm_pix)
    made = modules(of)
    whole = library_of(made, norm_pix)
    noise = torch.rand(6, 16, generator=torch.Generator().manual_seed(3))
    batch = batch_of(of, samples())
    batch = replace(batch, tensors={**batch.tensors, "order": noise.argsort(1)})
    found = engine.accumulate(of, made, [batch], {}, seed=0, step=0)
    theirs = whole(batch.tensors["pixels"], noise=noise).loss
    assert found.terms["mae"] == pytest.approx(float(theirs.detach()), abs=1e-9)
    assert batch.counts == {"mae": 6 * 12}
    theirs.backward()
    encoder: Any = made["model"]
    compared = 0
    for name, weight in encoder.library.named_parameters():
        grad = dict(whole.vit.named_parameters())[name].grad
        if not name.endswith(sincos.NAMED):
            torch.testing.assert_close(weight.grad, grad, rtol=1e-6, atol=1e-10, msg=name)
            compared += 1
    assert compared > 20
    decoder: Any = made["decoder"]
    torch.testing.assert_close(decoder.onto.weight.grad, whole.decoder.decoder_embed.weight.grad)
    torch.testing.assert_close(decoder.hidden.grad, whole.decoder.mask_token.grad.flatten())


def test_positions_are_those_that_the_library_means() -> None:
    config = transformers.ViTMAEConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, image_size=SIDE, patch_size=4,
        decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2,
    )  # fmt: skip
    whole: Any = transformers.ViTMAEForPreTraining(config)
    encoder, decoder = whole.vit.embeddings, whole.decoder
    # A fresh model of the library has none: it takes them for weights that were made before.
    assert not encoder.position_embeddings.any()
    assert not decoder.decoder_pos_embed.any()
    for made in (encoder.patch_embeddings.projection, *whole.parameters()):
        made._is_hf_initialized = False
    encoder.initialize_weights()
    decoder.initialize_weights(16)
    torch.testing.assert_close(sincos.table(4, 32), encoder.position_embeddings.detach())
    torch.testing.assert_close(sincos.table(4, 16), decoder.decoder_pos_embed.detach())


def test_all_patches_in_order_are_the_librarys_own_pass() -> None:
    trunk: Any = modules(loss())["model"]
    images = torch.randn(3, 3, SIDE, SIDE, dtype=torch.float64)
    everything = torch.arange(16).expand(3, -1)
    own, some = trunk(images), trunk(images, everything)
    torch.testing.assert_close(own.pooled, some.pooled)
    torch.testing.assert_close(own.patches, some.patches)


# ---- masks ----


def orders(of: MAE, epochs: int = 4) -> np.ndarray:
    """(epochs, images, n): as the loop draws them, keyed by (seed, epoch, sample)."""
    some = samples(8)
    return np.array([
        [of.example(sample, np.random.Generator(np.random.Philox(key=[epoch, sample.id])))["order"] for sample in some]
        for epoch in range(epochs)
    ])  # fmt: skip


def test_masks_hide_exactly_the_share_and_differ_over_epochs_and_images() -> None:
    of = loss()
    found = orders(of)
    assert (np.sort(found, -1) == np.arange(16)).all()
    shown = {tuple(sorted(order[: facts_mae.seen(16, 0.75)])) for order in found.reshape(-1, 16)}
    assert facts_mae.seen(16, 0.75) == 4
    assert len(shown) > 28  # 32 draws of 1,820 masks
    assert (orders(of) == found).all()


@pytest.mark.parametrize(("patches", "rate", "first"), [(16, 0.75, 4), (196, 0.75, 49), (49, 0.6, 20), (4, 0.99, 1)])
def test_what_is_seen(patches: int, rate: float, first: int) -> None:
    assert facts_mae.seen(patches, rate) == first


def test_what_is_hidden_never_reaches_the_encoder() -> None:
    of = loss()
    made, batch = modules(of), batch_of(of, samples())
    images = batch.tensors["pixels"].clone().requires_grad_()
    trunk: Any = made["model"]
    states = trunk(images, batch.tensors["order"][:, :4])
    (states.pooled.square().sum() + states.patches.square().sum()).backward()
    assert images.grad is not None
    moved = patchify(images.grad, 4).abs().sum(-1) > 0
    for row, order in zip(moved, batch.tensors["order"]):
        assert set(row.nonzero().flatten().tolist()) == set(order[:4].tolist())


def test_visible_patches_do_not_count() -> None:
    """A prediction of visible patches that is wrong changes nothing; one of a hidden patch does."""
    of = loss()
    made, batch = modules(of), batch_of(of, samples(2))
    decoder: Any = made["decoder"]
    plain = float(of.losses(made, batch, {}, KEY)[0]["mae"].detach())
    own, places = decoder.forward, batch.tensors["order"]

    def spoilt(at: int) -> float:
        def forward(states: Tensor, order: Tensor) -> Tensor:
            told: Tensor = own(states, order).clone()
            told[0, places[0, at]] += 1.0
            return told

        decoder.forward = forward
        return float(of.losses(made, batch, {}, KEY)[0]["mae"].detach())

    assert spoilt(0) == spoilt(3) == plain
    assert spoilt(4) != plain


# ---- cost, parts, export ----


def test_flop_and_parameters_are_what_torch_counts() -> None:
    of = loss()
    made = of.join(parts.build(of.parts("vit", SIZE, Scratch()), example_spec(family="vit", size=SIZE.json())))
    for part in made.values():
        for module in part.modules():
            config: Any = getattr(module, "config", None)
            if config is not None:
                config._attn_implementation = "eager"
    some = batch_of(of, samples(4))
    some = replace(some, tensors={**some.tensors, "pixels": some.tensors["pixels"].float()})
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(of.losses(made, some, {}, KEY)[0]["mae"])
    expected = cost.flop_per_token("mae", {}, "vit", SIZE) * SIZE.context
    assert counter.get_total_flops() / 4 == expected
    sizes = {name: (part.family, part.size) for name, part in of.parts("vit", SIZE, Scratch()).items()}
    for name, (family, size) in sizes.items():
        counted = SHAPES[family].params(SHAPES[family].shape(size), "body").total
        assert sum(weight.numel() for weight in made[name].parameters()) == counted
    assert cost.params("mae", {}, "vit", SIZE).total == sum(w.numel() for w in made["model"].parameters())


def test_positions_do_not_move_and_all_else_does() -> None:
    of = loss()
    plan, made = of.parts("vit", SIZE, Scratch()), modules(of)
    spec = example_spec(family="vit", size=SIZE.json())
    optimisers = optimiser.build(made, plan, spec)
    parts.hold(made, plan, 0)
    before = {name: weight.detach().clone() for part in made for name, weight in made[part].named_parameters(part)}
    engine.accumulate(of, made, [batch_of(of, samples())], {}, seed=0, step=0)
    optimiser.step(optimisers, 1.0, 1.0)
    still = [name for part in made for name, weight in made[part].named_parameters(part)
             if torch.equal(weight, before[name])]  # fmt: skip
    assert still == [f"model.library.embeddings.{sincos.NAMED}"]


def test_what_is_given_is_a_plain_vit(tmp_path: Path) -> None:
    made = modules(loss())
    for part in made.values():
        part.float()
    loss().export(made, "vit", tmp_path)
    found = transformers.AutoModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    assert type(found) is transformers.ViTModel
    images = torch.randn(2, 3, SIDE, SIDE)
    trunk: Any = made["model"]
    torch.testing.assert_close(found(images).last_hidden_state[:, 0], trunk(images).pooled)
    torch.testing.assert_close(found.embeddings.position_embeddings.detach(), sincos.table(4, 32))


def test_the_decoder_beside_the_paper_is_the_papers() -> None:
    large = Size(width=1024, layers=24, vocabulary=0, context=196, head_width=64, patch=16)
    found = facts_mae.decoder_size({}, large)
    assert (found.width, found.layers, found.embedding_width) == (512, 8, 1024)
    assert facts_mae.decoder_size({"decoder_width": 256, "decoder_layers": 2}, large).width == 256
    assert facts_mae.decoder_size({}, SIZE).json()["width"] == 16


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 1.0}, "'rate' is wrong"), ({"decoder_width": -1}, "'decoder_width' is wrong"),
        ({"judged": "labels"}, "'judged' is wrong"), ({"mask": 0.5}, "no option 'mask'"),
    ],
)  # fmt: skip
def test_options_out_of_range(options: dict[str, Any], words: str) -> None:
    with study_error(words):
        loss(**options)


def test_models_that_it_cannot_have() -> None:
    with study_error("an image is one patch"):
        loss().parts("vit", replace(SIZE, context=1), Scratch())
    with study_error("the decoder's width is 6"):
        loss(decoder_width=6).parts("vit", replace(SIZE, head_width=2), Scratch())
    with study_error("mae cannot start from a run"):
        loss().parts("vit", SIZE, FromRun("classify-w32"))


def test_the_judge_follows_from_the_options() -> None:
    assert (loss().facts.judge, loss(judged="probe").facts.judge) == ("pixel_error", "probe_nats")


def test_settings_are_frozen() -> None:
    assert dict(facts_mae.MAE) == {
        "rate": 0.75, "norm_pix": True, "decoder_width": 0, "decoder_layers": 0, "judged": "pixels", "crop": "random",
        "least_area": 0.35, "resize": 0, "flip": True, "jitter": 0.0, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
    }  # fmt: skip


def test_a_fresh_model_predicts_no_better_than_the_mean() -> None:
    of = loss()
    made = of.join(parts.build(of.parts("vit", SIZE, Scratch()), example_spec(family="vit", size=SIZE.json())))
    batch = of.collate([of.example(each, np.random.default_rng(0)) for each in samples(16)], range(16))
    value = float(of.losses(made, batch, {}, KEY)[0]["mae"].detach()) / batch.counts["mae"]
    assert value > 0.95
    assert math.isfinite(value)
    assert model.load("vit").name == "vit"
