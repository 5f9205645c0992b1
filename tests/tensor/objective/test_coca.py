"""CoCa and captioning alone: closed forms, what reaches what, weights, padding, the engine with both kinds of terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pair_cases
import pytest
import torch
from helpers import study_error
from pair_cases import CONTEXT, SIZE, WORDS, flat, samples
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from keel import objective
from keel.corpus.vocabulary import Vocabulary
from keel.model import coca
from keel.model.scale import BEGINS, Scale
from keel.model.shapes import SHAPES
from keel.objective.base import Batch, FromRun, Key, Objective, Sample, Scratch
from keel.objective.contrastive import LARGEST_LOG_SCALE
from keel.objective.facts import FACTS
from keel.objective.options import check
from keel.run import engine, optimiser, parts

pytestmark = pytest.mark.tensor
NAMES = ("coca", "captioning")
CUTS = ([16], [4] * 4, [8, 8], [1, 9, 6])


def loss(name: str = "coca", **options: Any) -> Any:
    return objective.load(name, {"text_context": CONTEXT, **options}, pair_cases.vocabulary())


def modules(of: Objective, dtype: torch.dtype = torch.float64) -> dict[str, nn.Module]:
    """Fresh parts, no weight without effect."""
    made = parts.build(of.parts("clip-vision", SIZE, Scratch()), pair_cases.spec(), of.vocabulary)
    generator = torch.Generator().manual_seed(0)
    for name, part in made.items():
        for weight in part.parameters() if name != "scale" else ():
            weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return {name: part.to(dtype) for name, part in made.items()}


def batches(of: Objective, cut: Sequence[int], some: Sequence[Sample] | None = None) -> list[Batch]:
    rng, pairs, made, first = np.random.default_rng(0), some or samples(), [], 0
    for size in cut:
        here = pairs[first : first + size]
        made.append(of.collate([of.example(one, rng) for one in here], [one.id for one in here]))
        first += size
    return made


def direct(of: Objective, made: Mapping[str, nn.Module], batch: Batch) -> Tensor:
    return of.losses(made, batch, {}, Key(0, 0, batch.ids))[0]["caption"]


# ---- closed forms ----


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_captions_cost_what_each_of_them_costs_alone(name: str, tied: bool) -> None:
    """No padding, no batch, the plain softmax: start + words -> words + end, token by token."""
    of = loss(name, tied=tied)
    made, pairs = modules(of), samples()
    total, count = 0.0, 0
    text: Any = made["text"]
    for pair in pairs:
        words = [WORDS + 1, *pair.tokens.tolist(), 0]
        assert pair.image is not None
        states = of.captioner.seen(made, torch.from_numpy(pair.image)[None])
        read = text.read(torch.tensor([words[:-1]]), torch.tensor([len(words) - 1]))
        logits = text.write(read.rows, made["caption_pooler"](states))[0] @ text.table.T
        total += float(cross_entropy(logits, torch.tensor(words[1:]), reduction="sum").detach())
        count += len(words) - 1
    batch = batches(of, [16])[0]
    assert batch.counts["caption"] == count
    assert float(direct(of, made, batch).detach()) == pytest.approx(total, rel=1e-10)
    assert float(of.captioner.nats(made, batch).sum().detach()) == pytest.approx(total, rel=1e-6)


def test_the_contrast_is_clips() -> None:
    """On the same features: the same sum, gradient and temperature."""
    generator = torch.Generator().manual_seed(3)
    both = [torch.randn(6, 4, generator=generator, dtype=torch.float64) for _ in range(2)]
    image, text = (torch.nn.functional.normalize(each, dim=-1).requires_grad_() for each in both)
    digests = torch.tensor([[0, 0], [1, 1], [2, 2], [0, 0], [4, 4], [5, 5]])
    found = {}
    for of in (loss(), pair_cases.loss("clip")):
        everyone = {"image": image, "text": text, "caption": digests}
        total = of.batch_losses({"scale": Scale(BEGINS[of.scale]).double()}, everyone, slice(0, 6))[of.term]
        found[of.term] = (total, *torch.autograd.grad(total, (image, text)))
    for ours, theirs in zip(found["contrast"], found["clip"], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    assert float(found["clip"][0].detach()) > 1.0


def test_both_begin_as_if_nothing_were_known() -> None:
    """ln B for a pair among those of its step, up to chance; ln V for a token."""
    of = loss()
    made = parts.build(of.parts("clip-vision", SIZE, Scratch()), pair_cases.spec(), of.vocabulary)
    scale: Any = made["scale"]
    with torch.no_grad():
        scale.logit_scale.fill_(0.0)
    found = engine.accumulate(of, made, batches(of, [16]), {}, seed=0, step=0)
    assert found.terms["contrast"] == pytest.approx(math.log(16), abs=0.15)
    assert found.terms["caption"] == pytest.approx(math.log(WORDS + 2), abs=0.05)


# ---- the engine: sums of samples and sums over pairs at once ----


@pytest.mark.parametrize("norms", [False, True])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_one_step_has_one_gradient_however_it_is_cut(cut: list[int], norms: bool) -> None:
    """That of one graph over the step, written out."""
    of = loss()
    made = modules(of)
    batch = batches(of, [16])[0]
    sums, features, _ = of.losses(made, batch, {}, Key(0, 0, batch.ids))
    assert features is not None
    sums |= of.batch_losses(made, features, slice(0, 16))
    (1.0 * sums["contrast"] / 16 + 2.0 * sums["caption"] / batch.counts["caption"]).backward()
    expected = flat(made)
    for part in made.values():
        part.zero_grad(set_to_none=True)
    step = engine.accumulate(of, made, batches(of, cut), {}, seed=0, step=0, norms=norms)
    torch.testing.assert_close(flat(made), expected, rtol=1e-9, atol=1e-12)
    assert set(step.terms) == {"contrast", "caption"}
    assert set(step.norms) == ({"caption", "contrast"} if norms else set())


def test_each_loss_has_the_norm_of_its_own_gradient() -> None:
    """Before its weight, whatever that is."""
    alone = {"contrast": gradient(1.0, 0.0), "caption": gradient(0.0, 1.0)}
    of = loss(lambda_con=0.3, lambda_cap=5.0)
    step = engine.accumulate(of, modules(of), batches(of, [8, 8]), {}, seed=0, step=0, norms=True)
    assert step.norms == pytest.approx({name: float(each.norm()) for name, each in alone.items()}, rel=1e-9)


def test_features_alone_are_those_of_the_loss() -> None:
    of = loss()
    made, batch = modules(of), batches(of, [16])[0]
    alone, beside = of.features(made, batch, {}, Key(0, 0, batch.ids)), of.losses(made, batch, {}, Key(0, 0, ()))[1]
    assert alone.keys() == beside.keys() == {"image", "text", "caption"}
    assert all(torch.equal(alone[name], beside[name]) for name in alone)


def gradient(con: float, cap: float) -> Tensor:
    of = loss(lambda_con=con, lambda_cap=cap)
    made = modules(of)
    engine.accumulate(of, made, batches(of, [8, 8]), {}, seed=0, step=0)
    return flat(made)


def test_the_gradient_is_linear_in_the_weights() -> None:
    one, other = gradient(1.0, 0.0), gradient(0.0, 1.0)
    torch.testing.assert_close(gradient(0.7, 3.0), 0.7 * one + 3.0 * other, rtol=1e-9, atol=1e-12)
    assert min(float(one.norm()), float(other.norm())) > 1e-3
    assert abs(float(one @ other)) < 0.99 * float(one.norm() * other.norm())


# ---- what reaches what ----


def reached(of: Any, made: Mapping[str, nn.Module], term: Tensor) -> set[str]:
    """Parts with a weight that a term has a gradient by."""
    names = [(name, weight) for name, part in made.items() for weight in part.parameters()]
    grads = torch.autograd.grad(term, [weight for _, weight in names], allow_unused=True)
    return {name for (name, _), grad in zip(names, grads) if grad is not None and bool(grad.any())}


@pytest.mark.parametrize("name", NAMES)
def test_text_reaches_the_image_through_the_cross_path_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of = loss(name)
    made, batch = modules(of), batches(of, [16])[0]
    assert reached(of, made, direct(of, made, batch)) == {"model", "caption_pooler", "text"}
    cut_off(monkeypatch)
    assert reached(of, made, direct(of, made, batch)) == {"text"}


def cut_off(patch: pytest.MonkeyPatch) -> None:
    """The mutant: nothing of an image comes to the decoder."""
    from keel.model.captioner import Captioner

    plain = Captioner.write
    patch.setattr(Captioner, "write", lambda self, rows, image: plain(self, rows, torch.zeros_like(image)))


def test_the_contrast_reaches_no_layer_that_sees_both() -> None:
    of = loss()
    made, batch = modules(of), batches(of, [16])[0]
    _, features, _ = of.losses(made, batch, {}, Key(0, 0, batch.ids))
    term = of.batch_losses(made, features, slice(0, 16))["contrast"]
    assert reached(of, made, term) == {"model", "contrast_pooler", "text", "scale"}
    text: Any = made["text"]
    assert not any(
        grad is not None and bool(grad.any())
        for grad in torch.autograd.grad(
            of.batch_losses(made, of.losses(made, batch, {}, Key(0, 0, ()))[1], slice(0, 16))["contrast"],
            list(text.second.parameters()), allow_unused=True,
        )
    )  # fmt: skip


# ---- padding and ids ----


def test_a_token_that_is_spelled_as_padding_counts() -> None:
    """Padding is the end's id: a caption that holds it has as many targets as any other of its length."""
    of, pair = loss(), samples()[3]
    pad = of.captioner.pad(of.vocabulary)
    held = pair._replace(tokens=np.array([3, pad, 4]))
    made = modules(of)
    longer = samples()[5]
    batch = batches(of, [2], [held, longer])[0]
    assert batch.counts["caption"] == 4 + len(longer.tokens) + 1
    assert batch.tensors["mask"][0].tolist()[:5] == [1] * 5
    alone = direct(of, made, batches(of, [1], [held])[0]) + direct(of, made, batches(of, [1], [longer])[0])
    torch.testing.assert_close(direct(of, made, batch), alone, rtol=1e-10, atol=0)
    moved = batches(of, [2], [held._replace(tokens=np.array([3, 5, 4])), longer])[0]
    assert abs(float((direct(of, made, moved) - direct(of, made, batch)).detach())) > 1e-3
    one, other = (of.losses(made, each, {}, Key(0, 0, ()))[1]["text"][0] for each in (batch, moved))
    assert float((one - other).abs().max().detach()) > 1e-4
    with torch.no_grad():
        for weight in made["text"].parameters():
            weight.zero_()
    told = float(direct(of, made, batch).detach()) / math.log(WORDS + 2)
    assert told == pytest.approx(batch.counts["caption"], rel=1e-12)


def test_padding_by_id_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The known bug, in the product: what is spelled as padding is taken for it."""
    from keel.objective.captioner import Captioner, Given

    def by_id(self: Captioner, ids: Tensor, mask: Tensor) -> Given:
        there = ids[:, 1:] != 0
        return Given(ids[:, :-1], there.sum(1), ids[:, 1:], there)

    monkeypatch.setattr(Captioner, "given", by_id)
    with pytest.raises(AssertionError):
        test_a_token_that_is_spelled_as_padding_counts()
    monkeypatch.undo()
    test_a_token_that_is_spelled_as_padding_counts()


# ---- the temperature, the options, refusals ----


def test_the_temperature_is_held(tiny_spec: Any) -> None:
    of = loss()
    made, plan = modules(of, torch.float32), of.parts("clip-vision", SIZE, Scratch())
    adam = optimiser.build(made, plan, tiny_spec(lr_hidden=0.5))
    scale: Any = made["scale"]
    with torch.no_grad():
        scale.logit_scale.fill_(4.6)
    scale.logit_scale.grad = torch.tensor([-1.0])
    optimiser.step(adam, 1.0, 1.0)
    assert float(scale.logit_scale.detach()) > LARGEST_LOG_SCALE
    of.after_step(made, {}, {}, 1)
    assert float(scale.logit_scale.detach()) == pytest.approx(LARGEST_LOG_SCALE, abs=1e-6)


def test_the_papers_weights_are_the_defaults() -> None:
    assert loss().weights(0) == {"contrast": 1.0, "caption": 2.0}
    assert loss("captioning").weights(0) == {}
    assert FACTS["coca"].sweeps["lambda_cap"] == (0.5, 1.0, 4.0)


@pytest.mark.parametrize(
    ("name", "given", "where"),
    [
        ("coca", {"lambda_con": -1.0}, "lambda_con"),
        ("coca", {"lambda_cap": math.inf}, "lambda_cap"),
        ("coca", {"lambda_con": 0.0, "lambda_cap": 0.0}, "lambda_cap"),
        ("coca", {"caption_queries": -2}, "caption_queries"),
        ("coca", {"duplicates": "some"}, "duplicates"),
        ("captioning", {"lambda_cap": 1.0}, "lambda_cap"),
        ("captioning", {"tied": "yes"}, "tied"),
        ("captioning", {"text_context": 2}, "text_context"),
    ],
)
def test_options_that_cannot_be_are_told_by_the_plan_too(name: str, given: dict[str, Any], where: str) -> None:
    with study_error(where, where):
        check(name, given)
    with study_error(where, where):
        objective.load(name, given, pair_cases.vocabulary())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_pair_is_refused(name: str) -> None:
    of, rng, one = loss(name), np.random.default_rng(0), samples()[0]
    with study_error("sample 0 has no image", "data"):
        of.example(one._replace(image=None), rng)
    with study_error("sample 0 has no caption", "data"):
        of.example(one._replace(tokens=np.array([], np.int64)), rng)
    with study_error("the caption of sample 0 has 7 tokens", "too_long"):
        of.example(one._replace(tokens=np.arange(1, 8)), rng)
    with study_error(f"{name} cannot start from a run", "start"):
        of.parts("clip-vision", SIZE, FromRun("another"))
    short = loss(name, too_long="shorten")
    assert short.example(one._replace(tokens=np.arange(1, 8)), rng)["tokens"].tolist() == [31, 1, 2, 3, 4, 5, 6, 0]
    assert "first 6 are read" in short.notes[-1]


def test_one_pair_is_refused_where_it_is_told_from_others() -> None:
    with study_error("a step has one pair", "train.batch"):
        engine.accumulate(loss(), modules(loss()), batches(loss(), [1]), {}, seed=0, step=0)
    alone = loss("captioning")
    assert engine.accumulate(alone, modules(alone), batches(alone, [1]), {}, seed=0, step=0).terms["caption"] > 0


# ---- counts, export ----


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_run_gives_is_counted(name: str, tied: bool) -> None:
    from dataclasses import replace

    of, size = loss(name, tied=tied), replace(SIZE, vocabulary=WORDS + 2)
    models = FACTS[name].models
    assert models is not None
    found = models(of.options, "clip-vision", size)
    counted = sum(
        SHAPES[each.family or "clip-vision"].params(SHAPES[each.family or "clip-vision"].shape(each.size),
                                                    each.head).total + each.free_params
        for each in found
    )  # fmt: skip
    assert counted == sum(weight.numel() for part in modules(of).values() for weight in part.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_comes_back_whole(name: str, tmp_path: Path) -> None:
    of = loss(name)
    made, batch = modules(of, torch.float32), batches(of, [16])[0]
    of.export(made, "clip-vision", tmp_path)
    back = coca.load(tmp_path)
    images, ids, mask = (batch.tensors[key] for key in ("images", "tokens", "mask"))
    with torch.inference_mode():
        ours = of.captioner.written(made, images, of.vocabulary)
        assert back.captions(images, WORDS + 1, 0) == ours
        assert any(ours)
        assert all(len(each) <= CONTEXT - 2 for each in ours)
        if name == "coca":
            features = of.features(made, batch, {}, Key(0, 0, batch.ids))
            torch.testing.assert_close(back.image(images), features["image"], rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(back.text(ids, mask), features["text"], rtol=1e-5, atol=1e-6)
    (tmp_path / coca.WEIGHTS).unlink()
    with study_error("no captioner is here", str(tmp_path)):
        coca.load(tmp_path)


def test_a_vocabulary_without_a_start_is_no_surprise() -> None:
    """Its roles are asked for."""
    assert FACTS["coca"].roles({}, 8) == ("start", "separator")
    assert isinstance(loss().vocabulary, Vocabulary)
