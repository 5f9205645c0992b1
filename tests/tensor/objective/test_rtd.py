"""Replaced token detection: the library's own discriminator loss, labels, draws, and who is moved by what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, CONTEXT, VOCABULARY, Case, batches, gradient, key, one, windows
from helpers import study_error
from torch import nn

from keel import objective
from keel.model.shapes import SHAPES, Size
from keel.objective import rtd
from keel.objective.base import Batch, Branch, Released, Sample, Scratch
from keel.objective.rtd import RTD, replaced
from keel.plan.spec import example_spec
from keel.run import engine, optimiser

pytestmark = pytest.mark.tensor
SIZE = Size(width=64, layers=4, vocabulary=64, context=CONTEXT, head_width=8)


def whole(batch: Batch) -> Batch:
    """Every token judged, as the library's loss without a mask does."""
    judged = torch.ones_like(batch.tensors["judged"])
    return Batch({**batch.tensors, "judged": judged}, {**batch.counts, "rtd": judged.numel()}, batch.ids)


def forced(batch: Batch) -> torch.Tensor:
    """Tokens for the chosen places by a rule of the test, some of which are the text's."""
    targets = batch.tensors["targets"]
    return torch.where(torch.arange(len(targets)) % 3 == 0, targets, 4 + (targets + 1) % 60)


@pytest.mark.parametrize("name", ["rtd", "rtd-v3"])
def test_the_generators_term_is_that_of_its_own_masked_head(name: str) -> None:
    loss, modules, batch = one(CASES[name])
    generator: Any = modules["generator"]
    at = batch.tensors
    hidden = generator(input_ids=at["inputs"]).flatten(0, 1)[at["places"]]
    expected = nn.functional.cross_entropy(generator.logits(hidden), at["targets"], reduction="sum")
    assert loss.losses(modules, batch, {}, key(batch))[0]["mlm"].item() == pytest.approx(expected.item(), rel=1e-10)


def test_the_discriminators_term_is_the_librarys() -> None:
    loss, modules, batch = one(CASES["rtd"])
    assert isinstance(loss, RTD)
    model: Any = modules["model"]
    drawn, every = forced(batch), whole(batch)
    shown = batch.tensors["tokens"].clone().reshape(-1)
    shown[batch.tensors["places"]] = drawn
    shown = shown.view_as(batch.tensors["tokens"])
    labels = (shown != batch.tensors["tokens"]).long()
    assert 0 < labels.sum() < len(drawn)
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, 1e-5)):
        model.to(dtype)
        theirs = model.library(input_ids=shown, labels=labels)
        total, number = loss.detect(modules, every, drawn)
        assert total.item() / every.counts["rtd"] == pytest.approx(theirs.loss.item(), rel=tolerance)
        assert number.item() == labels.sum().item()
        # Special tokens apart: the same logits, over the ordinary ones.
        judged = batch.tensors["judged"]
        expected = nn.functional.binary_cross_entropy_with_logits(
            theirs.logits[judged], labels[judged].to(dtype), reduction="sum"
        )
        assert loss.detect(modules, batch, drawn)[0].item() == pytest.approx(expected.item(), rel=tolerance)
    assert batch.counts["rtd"] == int(judged.sum()) == sum(int((s.tokens >= 4).sum()) for s in windows())


def test_a_draw_that_hits_the_token_is_no_replacement() -> None:
    loss, modules, batch = one(CASES["rtd"])
    assert isinstance(loss, RTD)
    assert loss.detect(modules, batch, batch.tensors["targets"])[1].item() == 0
    assert loss.detect(modules, batch, forced(batch))[1].item() == (forced(batch) != batch.tensors["targets"]).sum()


def test_labels_by_choice_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake, put into the product: every chosen place is labelled as replaced, whatever was drawn."""
    _, _, batch = one(CASES["rtd"])
    at = batch.tensors

    def by_choice(shown: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return torch.zeros(tokens.numel(), dtype=torch.bool).index_fill(0, at["places"], True).view_as(tokens)

    assert not torch.equal(by_choice(at["tokens"], at["tokens"]), replaced(at["tokens"], at["tokens"]))
    monkeypatch.setattr(rtd, "replaced", by_choice)
    with pytest.raises(AssertionError):
        test_a_draw_that_hits_the_token_is_no_replacement()
    with pytest.raises(AssertionError):
        test_the_discriminators_term_is_the_librarys()


@pytest.mark.parametrize(
    ("name", "sharing"), [("rtd", "none"), ("rtd", "gdes"), ("rtd-v3", "gdes"), ("rtd-v3", "none")]
)
def test_the_discriminators_gradient_never_reaches_the_generator(name: str, sharing: str) -> None:
    plain = CASES[name]
    loss, modules, batch = one(Case(name, plain.family, options={"sharing": sharing}))
    loss.losses(modules, batch, {}, key(batch))[0]["rtd"].backward()
    assert all(weight.grad is None for weight in modules["generator"].parameters())
    assert all(weight.grad is not None for weight in modules["model"].parameters())


def test_nor_does_the_generators_reach_the_discriminator() -> None:
    loss, modules, batch = one(Case("rtd", "electra", options={"sharing": "none"}))
    loss.losses(modules, batch, {}, key(batch))[0]["mlm"].backward()
    assert all(weight.grad is None for weight in modules["model"].parameters())
    assert all(weight.grad is not None for weight in modules["generator"].parameters())


def test_tied_tables_are_one_and_learn_from_both() -> None:
    loss, modules, batch = one(CASES["rtd"])
    model, generator = (modules[name].library.base_model.embeddings for name in ("model", "generator"))  # type: ignore[union-attr]
    for name in ("word_embeddings", "position_embeddings"):
        assert getattr(model, name).weight is getattr(generator, name).weight
    assert model.token_type_embeddings.weight is not generator.token_type_embeddings.weight
    assert modules["generator"].table is model.word_embeddings.weight
    found = []
    for term in ("mlm", "rtd"):
        modules["model"].zero_grad()
        loss.losses(modules, batch, {}, key(batch))[0][term].backward()
        found.append(model.word_embeddings.weight.grad.clone())
    assert all(grad.abs().sum() > 0 for grad in found)
    assert not torch.allclose(*found)


def test_draws_are_the_generators_and_come_back_with_the_key() -> None:
    loss, modules, batch = one(CASES["rtd"])
    sums = [loss.losses(modules, batch, {}, key(batch, step))[0]["rtd"].item() for step in (0, 0, 1)]
    assert sums[0] == sums[1] != sums[2]
    generator: Any = modules["generator"]
    with torch.no_grad():
        weight = dict(generator.library.named_parameters())["generator_lm_head.bias"]
        weight[20] = 100.0
    made, stats = loss.losses(modules, batch, {}, key(batch))[1:]
    assert made is None
    # Now it draws token 20 and no other.
    assert stats["replaced"].item() == (batch.tensors["targets"] != 20).sum().item()


def test_all_chosen_are_masked_and_none_is_special() -> None:
    loss, _, batch = one(CASES["rtd"])
    at = batch.tensors
    assert (at["inputs"].reshape(-1)[at["places"]] == VOCABULARY.id_of("mask")).all()
    assert (at["tokens"][at["judged"]] >= len(VOCABULARY.special)).all()
    assert at["judged"].reshape(-1)[at["places"]].all()
    assert loss.weights(5) == {"rtd": 50.0}


@pytest.mark.parametrize(
    ("family", "options", "generator"),
    [("electra", {}, {"width": 16, "layers": 4, "embedding_width": 64}),
     ("electra", {"generator_width": 1 / 3}, {"width": 24, "layers": 4, "embedding_width": 64}),
     ("electra", {"generator_width": 0.01, "sharing": "none"}, {"width": 8, "layers": 4, "embedding_width": 0}),
     ("electra", {"generator_depth": 0.5, "generator_width": 1}, {"width": 64, "layers": 2, "embedding_width": 0}),
     ("deberta-v2", {"generator_width": 1, "generator_depth": 0.5}, {"width": 64, "layers": 2, "embedding_width": 0})],
)  # fmt: skip
def test_the_generators_size(family: str, options: dict[str, Any], generator: dict[str, int]) -> None:
    parts = RTD(options, VOCABULARY).parts(family, SIZE, Scratch())
    assert list(parts) == ["model", "generator"]
    assert (parts["model"].size, parts["model"].head) == (SIZE, "replaced")
    found = parts["generator"].size
    assert {name: getattr(found, name) for name in generator} == generator
    assert SHAPES[family].problems(found) == []


def test_a_small_generator_has_the_discriminators_table() -> None:
    """Params as in the library: a table of 64, mapped to a width of 16."""
    size = RTD({}, VOCABULARY).parts("electra", SIZE, Scratch())["generator"].size
    shape = SHAPES["electra"].shape(size)
    assert (shape.table_width, shape.width, shape.heads, shape.feed_forward) == (64, 16, 2, 64)


def test_where_the_generator_starts() -> None:
    loss = RTD({}, VOCABULARY)
    for start, expected in ((Branch("a", 3), Branch("a", 3)), (Released("folder", "0"), Scratch())):
        parts = loss.parts("electra", SIZE, start)
        assert (parts["model"].start, parts["generator"].start) == (start, expected)


def test_one_optimiser_or_two_and_a_tied_table_in_one_of_them() -> None:
    for number, names in ((1, {"main"}), (2, {"discriminator", "generator"})):
        case = Case("rtd", "electra", options={"optimisers": number})
        modules, plan = case.parts(torch.float32), RTD(case.options, VOCABULARY).parts("electra", SIZE, Scratch())
        made = optimiser.build(modules, plan, example_spec())
        assert set(made) == names
        held = [weight for adam in made.values() for weight in optimiser.weights(adam)]
        every = {weight for module in modules.values() for weight in module.parameters()}
        assert len(held) == len(set(held)) == len(every)
        table: Any = modules["generator"].table
        assert any(table is weight for weight in optimiser.weights(next(iter(made.values()))))


def learnt(steps: int) -> float:
    """Area under the curve of the discriminator's logits on fresh windows, each of one of six groups of ten tokens."""
    case = CASES["rtd"]
    loss, modules = RTD({"rate": 0.3}, VOCABULARY), case.parts(torch.float32)

    def grouped(first: int) -> list[Sample]:
        rng = np.random.default_rng(first)
        return [Sample(first + place, 4 + 10 * rng.integers(6) + rng.integers(0, 10, 31)) for place in range(32)]

    weights = list(dict.fromkeys(weight for module in modules.values() for weight in module.parameters()))
    adam = torch.optim.AdamW(weights, lr=3e-3)
    for step in range(steps):
        made = batches(loss, grouped(1000 * step), [32])
        engine.accumulate(loss, modules, made, {}, seed=0, step=step)
        adam.step()
        adam.zero_grad()
    batch = batches(loss, grouped(10**6), [32])[0]
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def keep(logits: torch.Tensor, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        seen.append((logits, labels))
        return logits.sum()

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(rtd, "binary_cross_entropy_with_logits", keep)
        loss.losses(modules, batch, {}, key(batch))
    logits, labels = seen[0]
    wrong, right = logits[labels == 1], logits[labels == 0]
    assert len(wrong) > 50
    return float((wrong[:, None] > right).double().mean())


def test_the_discriminator_learns_to_tell() -> None:
    assert learnt(75) > 0.75


def test_a_discriminator_that_is_not_trained_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trap of another trainer, put into the product: the discriminator's loss is logged and never differentiated."""
    detect = RTD.detect
    monkeypatch.setattr(RTD, "detect", lambda *given: tuple(value.detach() for value in detect(*given)))
    assert learnt(75) < 0.65


@pytest.mark.parametrize(
    ("options", "words"),
    [({"weight": 0, "generator_width": 2, "sharing": "ted"},
      ("'weight' is 0", "'generator_width' is 2", "did you mean 'tied'?")),
     ({"generator_depth": float("nan")}, ("'generator_depth' is wrong", "nan")),
     ({"optimisers": 3}, ("'optimisers' is 3",)),
     ({"enhanced": 1}, ("'enhanced' is wrong", "true or false")), ({"weight": True}, ("'weight' is wrong", "True"))],
)  # fmt: skip
def test_bad_options(options: dict[str, Any], words: tuple[str, ...]) -> None:
    with study_error(*words):
        objective.load("rtd", options, VOCABULARY)


def test_models_that_cannot_serve() -> None:
    with study_error("generator's embedding_width is set", "set generator_width to 1"):
        RTD({}, VOCABULARY).parts("deberta-v2", SIZE, Scratch())
    for family in ("bert", "llama", "t5"):
        with study_error(f"'{family}' cannot serve the loss 'rtd'", "no head 'replaced'", "electra, deberta-v2"):
            Case("rtd", family).parts()
    with study_error("'electra' cannot serve the loss 'rtd'", "no head 'enhanced'"):
        Case("rtd", "electra", options={"enhanced": True}).parts()


def test_a_step_of_the_engine_weighs_the_terms() -> None:
    """d(L_mlm + 50 L_rtd), from each term's own mean."""
    case, modules = CASES["rtd"], CASES["rtd"].parts()
    found, step = gradient(case, modules, [16])
    loss, batch = case.objective(), batches(case.objective(), windows(), [16])[0]
    for module in modules.values():
        module.zero_grad()
    sums, *_ = loss.losses(modules, batch, {}, key(batch))
    (sums["mlm"] / batch.counts["mlm"] + 50 * sums["rtd"] / batch.counts["rtd"]).backward()
    name = "model.library.electra.embeddings.word_embeddings.weight"
    weight: Any = dict(modules["model"].named_parameters())[name.removeprefix("model.")]
    torch.testing.assert_close(found[name], weight.grad, rtol=1e-8, atol=1e-10)
    assert step.terms["rtd"] == pytest.approx(sums["rtd"].item() / batch.counts["rtd"], rel=1e-10)
