"""CLIP and SigLIP: held against the library's losses and closed forms; twins and the temperature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pair_cases
import pytest
import torch
import transformers
from pair_cases import LOSSES, SIZE, batches, flat, gradient, loss, modules, samples
from torch import Tensor

from keel.model import clip
from keel.model.scale import BEGINS, Scale
from keel.objective.base import Key, Scratch, Sums
from keel.objective.contrastive import LARGEST_LOG_SCALE, Contrastive
from keel.plan.spec import Spec
from keel.run import engine, optimiser, parts

pytestmark = pytest.mark.tensor
CUTS = ([4] * 4, [8, 8], [1, 9, 6])
Make = Callable[..., Spec]


def features(number: int = 6, width: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Unit vectors of images and texts."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(2, number, width, generator=generator, dtype=torch.float64)
    image, text = torch.nn.functional.normalize(made, dim=-1)
    return image.clone().requires_grad_(), text.clone().requires_grad_()


def total(of: Contrastive, image: Tensor, text: Tensor, captions: list[int] | None = None) -> Sums:
    """The sum over all pairs with the first scale; captions by number, all different unless said."""
    numbers = torch.tensor(captions or list(range(len(image))))
    everyone = {"image": image, "text": text, "caption": torch.stack([numbers, numbers], 1)}
    return of.batch_losses({"scale": Scale(BEGINS[of.scale]).double()}, everyone, slice(0, len(image)))


# ---- the library's losses ----


def test_clip_is_the_librarys_loss_and_gradient() -> None:
    """On the same towers, put together as the library's model of the whole."""
    of = loss("clip")
    made = modules(of)
    batch = batches(of, [16])[0]
    found = engine.accumulate(of, made, [batch], {}, seed=0, step=0)
    whole = clip.joined(made["model"], made["text"], made["scale"]).double()
    tensors = batch.tensors
    theirs = whole(input_ids=tensors["tokens"], attention_mask=tensors["mask"],
                   pixel_values=tensors["images"].double(), return_loss=True).loss  # fmt: skip
    assert found.terms["clip"] == pytest.approx(float(theirs.detach()), abs=1e-5)
    theirs.backward()
    ours: dict[str, Tensor | None] = {"logit_scale": made["scale"].logit_scale.grad[0]}
    for name in ("model", "text"):
        ours |= {key: weight.grad for key, weight in made[name].library.named_parameters()}
    expected = {key: weight.grad for key, weight in whole.named_parameters()}
    assert expected.keys() == ours.keys()
    for key, grad in expected.items():
        torch.testing.assert_close(ours[key], grad, rtol=1e-5, atol=1e-8)


def test_siglip_is_the_librarys_loss_and_gradient() -> None:
    """Its towers are others; from their features on it is the same."""
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.SiglipConfig(
        text_config={**tower, "vocab_size": 32, "max_position_embeddings": 8, "projection_size": 16},
        vision_config={**tower, "image_size": 8, "patch_size": 4},
    )
    torch.manual_seed(0)
    whole: Any = transformers.SiglipModel(config).double()
    with torch.no_grad():
        whole.logit_scale.fill_(2.0)
        whole.logit_bias.fill_(-3.0)
    seen = whole(input_ids=torch.randint(1, 32, (7, 8)), pixel_values=torch.randn(7, 3, 8, 8).double(),
                 return_loss=True)  # fmt: skip
    scale = Scale(BEGINS["sigmoid"]._replace(log_scale=2.0, bias=-3.0)).double()
    image, text = (of.detach().requires_grad_() for of in (seen.image_embeds, seen.text_embeds))
    numbers = torch.arange(7)[:, None].expand(7, 2)
    everyone = {"image": image, "text": text, "caption": numbers}
    mean = loss("siglip").batch_losses({"scale": scale}, everyone, slice(0, 7))["siglip"] / 7
    assert float(mean.detach()) == pytest.approx(float(seen.loss.detach()), abs=1e-5)
    mean.backward()
    seen.loss.backward()
    assert scale.logit_bias is not None
    for ours, theirs in ((scale.logit_scale, whole.logit_scale), (scale.logit_bias, whole.logit_bias)):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-8)
    assert image.grad is not None
    assert float(image.grad.abs().max()) > 1e-3


# ---- known answers ----


def test_features_that_agree_have_the_loss_of_the_formula() -> None:
    image = torch.eye(6, dtype=torch.float64)
    found = float(total(loss("clip"), image, image)["clip"].detach()) / 6
    assert found == pytest.approx(math.log(1 + 5 * math.exp(-1 / 0.07)), rel=1e-6)
    found = float(total(loss("siglip"), image, image)["siglip"].detach()) / 6
    assert found == pytest.approx(math.log(2) + 5 * math.log1p(math.exp(-10)), rel=1e-6)


def test_features_that_say_nothing_cost_the_log_of_the_batch() -> None:
    image = torch.ones(6, 4, dtype=torch.float64) / 2
    assert float(total(loss("clip"), image, image)["clip"].detach()) / 6 == pytest.approx(math.log(6), rel=1e-12)


def test_clip_begins_with_the_log_of_the_batch() -> None:
    """Fresh towers of width e: similarities of about 1 / sqrt(e), which t makes logits of variance t^2 / e."""
    of, size = loss("clip"), replace(SIZE, embedding_width=512, layers=1, width=32)
    made = parts.build(of.parts("clip-vision", size, Scratch()), pair_cases.spec(), of.vocabulary)
    found = engine.accumulate(of, made, batches(of, [16]), {}, seed=0, step=0)
    assert abs(found.terms["clip"] - math.log(16)) <= (1 / 0.07) ** 2 / (2 * 512) + 0.05


def test_siglip_begins_with_what_one_positive_costs() -> None:
    """ln(1 + e^10) for each pair and next to nothing for its negatives, where nothing is similar."""
    image, text = torch.eye(8, dtype=torch.float64).split(4)
    assert float(total(loss("siglip"), image, text)["siglip"].detach()) / 4 == pytest.approx(
        math.log1p(math.exp(10)) + 3 * math.log1p(math.exp(-10)), rel=1e-12
    )


# ---- one step, however it is cut ----


@pytest.mark.parametrize("twins", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_micro_batches_do_not_change_the_gradient(name: str, twins: bool) -> None:
    whole, mean = gradient(loss(name), [16], twins=twins)
    for cut in CUTS:
        for norms in (False, True):
            other, again = gradient(loss(name), cut, twins=twins, norms=norms)
            assert again == pytest.approx(mean, rel=1e-9)
            assert float((other - whole).abs().max()) <= 1e-6 * float(whole.abs().max())
    assert float(whole.abs().max()) > 1e-3


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_one_graph_over_the_step(name: str) -> None:
    of = loss(name)
    made = modules(of)
    batch = batches(of, [16])[0]
    _, found, _ = of.losses(made, batch, {}, Key(0, 0, batch.ids))
    assert found is not None
    (of.batch_losses(made, found, slice(0, 16))[name] / 16).backward()
    torch.testing.assert_close(gradient(of, [4] * 4)[0], flat(made), rtol=1e-9, atol=1e-12)


# ---- captions that are alike ----


@pytest.mark.parametrize("name", LOSSES)
def test_images_with_one_caption_may_change_places(name: str) -> None:
    """Nothing in the data says which of them is whose: the loss knows nothing of it, told apart it does."""
    image, text = (of.detach() for of in features())
    text[3] = text[0]
    moved = image.clone()
    moved[3] = moved[1]
    captions = [0, 1, 2, 0, 4, 5]
    swapped = moved[[3, 1, 2, 0, 4, 5]]
    one, other = (total(loss(name), each, text, captions)[name] for each in (moved, swapped))
    torch.testing.assert_close(one, other)
    apart = total(loss(name, duplicates="negatives"), moved, text, captions)[name]
    torch.testing.assert_close(apart, total(loss(name), moved, text)[name])
    assert abs(apart.item() - one.item()) > 0.01


@pytest.mark.parametrize("name", LOSSES)
def test_twins_that_stand_with_their_caption_cost_nothing(name: str) -> None:
    """As negatives they cost ln 2 each (CLIP), or are held away from a caption that is theirs (SigLIP)."""
    base = torch.eye(4, dtype=torch.float64)[[0, 1, 2, 0]]
    cost, pulled = {}, {}
    for duplicates in ("positives", "negatives"):
        image = base.clone().requires_grad_()
        found = total(loss(name, duplicates=duplicates), image, base, [0, 1, 2, 0])[name]
        found.backward()
        assert image.grad is not None
        cost[duplicates], pulled[duplicates] = found.item(), image.grad[0, 0].item()
    if name == "clip":
        assert cost["positives"] == pytest.approx(0, abs=1e-4)
        assert cost["negatives"] == pytest.approx(2 * math.log(2), abs=1e-4)
    else:
        # t (-1/2) for each of two positives; one positive and one negative cancel.
        assert pulled["positives"] == pytest.approx(-10, rel=1e-2)
        assert pulled["negatives"] == pytest.approx(0, abs=1e-2)


def test_captions_are_told_apart_by_all_their_tokens() -> None:
    of, rng = loss(), np.random.default_rng(0)
    image = samples(1)[0].image
    words = ([3, 4], [3, 4], [4, 3], [3, 4, 4], [3])
    pairs = [samples(1)[0]._replace(id=at, tokens=np.array(each), image=image) for at, each in enumerate(words)]
    digests = of.collate([of.example(one, rng) for one in pairs], range(5)).tensors["digests"]
    alike = (digests[:, None] == digests).all(-1)
    assert alike.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [3, 3], [4, 4]]


def test_what_becomes_of_twins_is_said() -> None:
    assert "positives of each other" in loss().notes[0]
    assert "told apart" in loss(duplicates="negatives").notes[0]


# ---- the temperature ----


def test_a_step_that_would_leave_the_range_is_brought_back(tiny_spec: Make) -> None:
    spec, of = tiny_spec(lr_hidden=0.5), loss("clip")
    made, plan = modules(of, torch.float32), of.parts("clip-vision", SIZE, Scratch())
    scale: Any = made["scale"]
    for sign, begin, bound in ((-1.0, 4.6, LARGEST_LOG_SCALE), (1.0, 0.1, 0.0)):
        adam = optimiser.build(made, plan, spec)
        with torch.no_grad():
            scale.logit_scale.fill_(begin)
        scale.logit_scale.grad = torch.tensor([sign])
        optimiser.step(adam, 1.0, 1.0)
        assert abs(float(scale.logit_scale.detach()) - bound) > 0.3
        of.after_step(made, {}, {}, 1)
        assert float(scale.logit_scale.detach()) == pytest.approx(bound, abs=1e-6)
    with torch.no_grad():
        scale.logit_scale.fill_(3.0)
    of.after_step(made, {}, {}, 1)
    assert float(scale.logit_scale.detach()) == 3.0


def test_a_run_that_wants_the_sharpest_temperature_stays_at_it(tiny_spec: Make) -> None:
    """Through the engine and the optimiser, from just below the bound, on features that agree."""
    of = loss("clip")
    made, plan = modules(of, torch.float32), of.parts("clip-vision", SIZE, Scratch())
    adam = optimiser.build(made, plan, tiny_spec(lr_hidden=0.3))
    scale: Any = made["scale"]
    with torch.no_grad():
        scale.logit_scale.fill_(4.6)
    for step in range(4):
        engine.accumulate(of, made, batches(of, [8, 8]), {}, seed=0, step=step)
        optimiser.step(adam, 1.0, 1.0)
        of.after_step(made, {}, {}, step + 1)
        assert 0.0 <= float(scale.logit_scale.detach()) <= LARGEST_LOG_SCALE + 1e-6


@pytest.mark.parametrize("name", LOSSES)
def test_the_scale_does_not_decay_and_matrices_do(name: str, tiny_spec: Make) -> None:
    of = loss(name)
    made, plan = modules(of, torch.float32), of.parts("clip-vision", SIZE, Scratch())
    adam = optimiser.build(made, plan, tiny_spec(lr_hidden=0.1, weight_decay=0.5))["main"]
    before = {key: weight.detach().clone() for key, weight in made["scale"].named_parameters()}
    assert set(before) == ({"logit_scale", "logit_bias"} if name == "siglip" else {"logit_scale"})
    projection = made["text"].library.text_projection.weight
    size = float(projection.detach().norm())
    for module in made.values():
        for weight in module.parameters():
            weight.grad = torch.zeros_like(weight)
    adam.step()
    for key, weight in made["scale"].named_parameters():
        assert torch.equal(weight, before[key])
    assert float(projection.detach().norm()) == pytest.approx(size * (1 - 0.1 * 0.5), rel=1e-5)
