"""Distillation: terms in closed form on the held loss's rows, teachers that teach nothing, and those that cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study_error
from seq2seq_cases import CONTEXT, batches_of, samples_of, size_of, tokenizer_vocabulary
from torch import nn
from torch.nn.functional import cosine_embedding_loss, kl_div, log_softmax

from keel import model, objective
from keel.corpus.tokenizer import train
from keel.corpus.vocabulary import vocabulary_of
from keel.files import sha256_file
from keel.model.shapes import SHAPES, Size, folder
from keel.objective.base import Key, Sample, Scratch
from keel.objective.cost import flop_per_token
from keel.objective.distil import Distil
from keel.objective.held import facts_of
from keel.plan.spec import example_spec
from keel.run import engine, parts

pytestmark = pytest.mark.tensor
FP32 = {"body": "fp32", "head": "fp32"}
TEXT = ["the cat sat. on the mat. a dog ran. far away."] * 3
# The held losses: one stack, two stacks, and an encoder's.
HELD: Mapping[str, tuple[str, str]] = {
    "clm": ("llama", "gpt2"),
    "span_corruption": ("t5", "bart"),
    "mlm": ("bert", "modernbert"),
}


def teacher(family: str, width: int = 24, **changes: int) -> dict[str, Any]:
    size = {"width": width, "layers": 2, "vocabulary": 500, "context": CONTEXT + 8, "head_width": 8} | changes
    return {"start": {"kind": "scratch"}, "family": family, "size": size}


def options_of(held: str, **changes: Any) -> dict[str, Any]:
    return {"of": {"loss": held}, "teacher": teacher(HELD[held][1])} | changes


def distil(held: str, **changes: Any) -> Distil:
    given = options_of(held, **changes)
    roles = objective.kind(held).facts.roles({}, CONTEXT)
    loss = objective.load("distil", given, tokenizer_vocabulary().with_special(roles))
    assert isinstance(loss, Distil)
    return loss


def modules(loss: Distil, held: str, width: int = 16) -> dict[str, nn.Module]:
    """Student and teacher in fp64."""
    size, family = size_of(loss, width=width), HELD[held][0]
    spec = example_spec(family=family, size=size.json())
    made = parts.build(loss.parts(family, size, Scratch()), spec, loss.vocabulary)
    parts.hold(made, loss.parts(family, size, Scratch()), 0)
    return {name: module.double() for name, module in made.items()}


def one(loss: Distil, number: int = 8) -> Any:
    (batch,) = batches_of(loss, samples_of(loss, number), [number])
    return batch


@pytest.mark.parametrize("held", HELD)
def test_terms_are_those_of_the_closed_form(held: str) -> None:
    loss = distil(held, temperature=3.0, alpha=0.7)
    made, batch = modules(loss, held), one(loss)
    sums, _, _ = loss.losses(made, batch, {}, Key(0, 0, batch.ids))
    plain = objective.load(held, {}, loss.vocabulary)
    mine = plain.rows(made, batch)[held]
    theirs = plain.rows({"model": made["teacher"]}, batch)[held]
    z_q, z_p = made["model"].logits(mine.hidden), made["teacher"].logits(theirs.hidden)
    expected = 9.0 * kl_div(log_softmax(z_q / 3, 1), log_softmax(z_p / 3, 1), log_target=True, reduction="sum")
    assert sums[f"distil.{held}"].item() == pytest.approx(expected.item(), rel=1e-10)
    assert sums[held].item() == pytest.approx(
        plain.losses(made, batch, {}, Key(0, 0, batch.ids))[0][held].item(), rel=1e-12
    )
    assert batch.counts == {held: len(mine.targets), f"distil.{held}": len(mine.targets)}
    assert loss.weights(0) == pytest.approx({held: 0.3, f"distil.{held}": 0.7})
    # Both gradients meet in the student and none reaches the teacher.
    engine.accumulate(loss, made, [batch], {}, 0, 0)
    found = torch.cat([weight.grad.reshape(-1) for weight in made["model"].parameters() if weight.grad is not None])
    made["model"].zero_grad()
    ((0.7 * expected + 0.3 * plain.losses(made, batch, {}, Key(0, 0, ()))[0][held]) / len(mine.targets)).backward()
    again = torch.cat([weight.grad.reshape(-1) for weight in made["model"].parameters() if weight.grad is not None])
    assert (found - again).abs().max() <= 1e-6 * again.abs().max()
    assert all(weight.grad is None for weight in made["teacher"].parameters())


@pytest.mark.parametrize("held", HELD)
def test_padding_and_what_is_given_never_count(held: str) -> None:
    """What stands where no target stands may be anything: the sums are the same."""
    loss = distil(held)
    made, samples = modules(loss, held), samples_of(loss, 4)
    short = [sample._replace(tokens=sample.tokens[: 20 - 3 * place]) for place, sample in enumerate(samples)]
    (batch,) = batches_of(loss, short if held == "span_corruption" else samples, [4])
    before, _, _ = loss.losses(made, batch, {}, Key(0, 0, batch.ids))
    seen = loss.rows(made, batch)[held]
    assert len(seen.targets) == batch.counts[f"distil.{held}"]
    if "attention_mask" not in batch.tensors:
        return
    inputs = torch.where(batch.tensors["attention_mask"] == 0, 7, batch.tensors["inputs"])
    assert not torch.equal(inputs, batch.tensors["inputs"])
    other = batch.__class__({**batch.tensors, "inputs": inputs}, batch.counts, batch.ids)
    after, _, _ = loss.losses(made, other, {}, Key(0, 0, batch.ids))
    for term, total in before.items():
        torch.testing.assert_close(total, after[term], rtol=1e-6, atol=0)


@pytest.mark.parametrize("held", HELD)
def test_a_teacher_that_is_the_student_teaches_nothing(held: str) -> None:
    loss = distil(held, alpha=1.0, cosine=1.0, teacher=teacher(HELD[held][0], 16))
    made, batch = modules(loss, held), one(loss)
    made["teacher"] = made["model"]
    sums, _, _ = loss.losses(made, batch, {}, Key(0, 0, batch.ids))
    # With and without a graph T5 takes kernels that differ in the last bit.
    assert abs(sums[f"distil.{held}"].item()) < 1e-12
    assert abs(sums[f"cosine.{held}"].item()) < 1e-9
    sums[f"distil.{held}"].backward()
    grads = [weight.grad for weight in made["model"].parameters() if weight.grad is not None]
    assert grads
    assert all(grad.to_dense().abs().max() < 1e-12 for grad in grads)


def test_the_cosine_is_the_librarys() -> None:
    loss = distil("clm", cosine=0.25, teacher=teacher("gpt2", 16))
    made, batch = modules(loss, "clm"), one(loss)
    sums, _, _ = loss.losses(made, batch, {}, Key(0, 0, batch.ids))
    mine, theirs = (made[name](input_ids=batch.tensors["inputs"]).flatten(0, 1) for name in ("model", "teacher"))
    expected = cosine_embedding_loss(mine, theirs, torch.ones(len(mine)), reduction="sum")
    assert sums["cosine.clm"].item() == pytest.approx(expected.item(), rel=1e-9)
    assert loss.weights(0)["cosine.clm"] == 0.25


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("cut", [[4] * 4, [8, 8], [1, 9, 6]])
def test_one_gradient_however_the_step_is_cut(held: str, cut: list[int]) -> None:
    loss = distil(held, top=5)
    made, samples = modules(loss, held), samples_of(loss)
    grads = []
    for sizes in ([16], cut):
        made["model"].zero_grad()
        engine.accumulate(loss, made, batches_of(loss, samples, sizes), {}, 0, 0)
        grads.append(torch.cat([w.grad.reshape(-1) for w in made["model"].parameters() if w.grad is not None]))
    assert (grads[0] - grads[1]).abs().max() <= 1e-6 * grads[0].abs().max()


def test_a_mixture_can_be_taught_and_a_distillation_mixed() -> None:
    of = {
        "a": {"loss": "clm", "share": 3},
        "b": {"loss": "prefix_lm", "options": {"low": 0.3, "high": 0.6}, "share": 1},
    }
    loss = distil("clm", of={"loss": "mixture", "options": {"of": of}}, alpha=0.5)
    assert loss.terms == ("a.clm", "b.prefix_lm", "distil.a.clm", "distil.b.prefix_lm")
    assert loss.optional == loss.terms
    assert loss.weights(0) == pytest.approx(
        {"a.clm": 0.375, "b.prefix_lm": 0.125, "distil.a.clm": 0.375, "distil.b.prefix_lm": 0.125}
    )
    made = modules(loss, "clm")
    (batch,) = batches_of(loss, samples_of(loss, 16), [16])
    step = engine.accumulate(loss, made, [batch], {}, 0, 0)
    assert set(step.terms) == set(loss.terms)
    few = [
        s
        for s in samples_of(loss, 16)
        if next(iter(loss.example(s, np.random.default_rng([1, s.id])))).startswith("a/")
    ]
    (alone,) = batches_of(loss, few, [len(few)])
    assert set(engine.accumulate(loss, made, [alone], {}, 0, 0).terms) == {"a.clm", "distil.a.clm"}
    taught = {"loss": "distil", "options": options_of("clm"), "share": 1}
    both = objective.load("mixture", {"of": {"taught": taught, "plain": {"loss": "clm", "share": 1}}}, loss.vocabulary)
    assert list(both.parts("llama", size_of(loss), Scratch())) == ["model", "teacher"]
    assert both.weights(0) == {"taught.clm": 0.25, "taught.distil.clm": 0.25, "plain.clm": 0.5}


# ---- another vocabulary ----


def mapped(tmp_path: Path, size: int, **changes: Any) -> dict[str, Any]:
    """A map onto a tokenizer of this many tokens, trained on the same text."""
    path = tmp_path / "tokenizer.json"
    path.write_text(train(TEXT, size))
    return {"tokenizer": str(path), "sha256": sha256_file(path)} | changes


def test_a_teacher_of_another_vocabulary_reads_and_says_its_own_ids(tmp_path: Path) -> None:
    """A teacher whose ids are the student's in another order answers as the one in the student's order does."""
    student = vocabulary_of(train(TEXT, 280))

    turned = json.loads(train(TEXT, 280))
    order = list(turned["model"]["vocab"])
    turned["model"]["vocab"] = {token: (place * 9) % 280 for place, token in enumerate(order)}
    for added in turned["added_tokens"]:
        added["id"] = turned["model"]["vocab"][added["content"]]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(turned))
    place_of = torch.tensor([(place * 9) % 280 for place in range(280)])
    plain = objective.load("distil", options_of("clm", teacher=teacher("gpt2", vocabulary=280)), student)
    theirs = {"tokenizer": str(path), "sha256": sha256_file(path)}
    other = objective.load("distil", options_of("clm", map=theirs, teacher=teacher("gpt2", vocabulary=280)), student)
    assert isinstance(plain, Distil)
    made, batch = modules(plain, "clm"), one(plain)
    expected = plain.losses(made, batch, {}, Key(0, 0, batch.ids))[0]
    with torch.no_grad():
        table = made["teacher"].library.transformer.wte.weight
        table[place_of] = table.clone()
    found = other.losses(made, batch, {}, Key(0, 0, batch.ids))[0]
    assert found["distil.clm"].item() == pytest.approx(expected["distil.clm"].item(), rel=1e-12)
    wrong = plain.losses(made, batch, {}, Key(0, 0, batch.ids))[0]
    assert abs(wrong["distil.clm"].item() - expected["distil.clm"].item()) > 1e-3
    assert other.notes == ("the teacher's vocabulary is matched by text: it has 279 of 279 tokens (100.0%)",)
    assert other.parts("llama", size_of(other), Scratch())["teacher"].vocabulary == "own"


def test_a_map_that_covers_too_little_is_refused(tmp_path: Path) -> None:
    with study_error("the teacher knows 259 of 279 tokens", "less than a share of 0.95", "cannot read 20 tokens"):
        distil("clm", map=mapped(tmp_path, 260, least=0.95))
    with study_error("cannot read 20 tokens", "no unknown token"):
        distil("clm", map=mapped(tmp_path, 260))
    with study_error("the teacher has no 'mask' token"):
        distil("mlm", map=mapped(tmp_path, 280))
    given = mapped(tmp_path, 280)
    Path(given["tokenizer"]).write_text(train(TEXT, 270))
    with study_error("another than the spec names"):
        distil("clm", map=given)
    with study_error("tokenizer.json is not there"):
        distil("clm", map={"tokenizer": str(tmp_path / "x")})
    with study_error("has no option 'tokeniser'", where=False):
        distil("clm", map={"tokeniser": "x"})


def test_the_same_ids_need_no_map_and_fewer_are_refused() -> None:
    loss = distil("clm", teacher=teacher("gpt2", vocabulary=200))
    with study_error("the teacher knows 200 tokens, the student 280", "options.map"):
        loss.parts("llama", size_of(loss), Scratch())
    larger = distil("clm", teacher=teacher("gpt2", vocabulary=320)).parts("llama", size_of(loss), Scratch())
    assert larger["teacher"].size.vocabulary == 280
    assert (larger["teacher"].role, larger["model"].role) == ("frozen", "train")


# ---- teachers and options ----


def test_a_released_teacher_is_as_large_as_its_folder_says(tmp_path: Path) -> None:
    kind = model.load("gpt2")
    size = Size(width=24, layers=2, vocabulary=280, context=CONTEXT, head_width=8)
    kind.export(
        kind.build(kind.shape(size), FP32, 3, {"pad": None, "bos": 0, "eos": 0, "decoder_start": None}), tmp_path
    )
    start = {"kind": "released", "folder": str(tmp_path), "sha256": folder.read(tmp_path).sha256()}
    loss = distil("clm", teacher={"start": start})
    plan = loss.parts("llama", size_of(loss), Scratch())
    assert (plan["teacher"].family, plan["teacher"].size) == ("gpt2", size)
    built = parts.begin(plan, example_spec(family="llama", size=size_of(loss).json()), loss.vocabulary)
    assert set(built.began) == {"teacher"}
    weight = dict(built.modules["teacher"].library.named_parameters())["transformer.wte.weight"]
    assert torch.equal(
        weight, kind.build(kind.shape(size), FP32, 3, {"pad": None, "bos": 0, "eos": 0, "decoder_start": None}).table
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": 1.5}, "'alpha' is wrong"), ({"alpha": "half"}, "'alpha' is wrong"),
        ({"temperature": 0}, "positive number"), ({"temperature": float("nan")}, "'temperature' is wrong"),
        ({"top": -1}, "'top' is wrong"), ({"top": 2.5}, "'top' is wrong"), ({"cosine": -1}, "'cosine' is wrong"),
        ({"alhpa": 0.5}, "did you mean 'alpha'?"), ({"of": {}}, "its loss is None"),
        ({"of": {"loss": "rtd"}}, "'rtd' has no rows to distil"),
        ({"of": {"loss": "nsp"}}, "'nsp' has no rows to distil"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(changes: dict[str, Any], words: str) -> None:
    given = options_of("clm") | changes
    with study_error(words, where=False):
        objective.load("distil", given, tokenizer_vocabulary().with_special(["mask", "pad", "start"]))


@pytest.mark.parametrize(
    ("given", "changes", "words"),
    [
        ({}, {}, "no teacher is named"), ({"start": {"kind": "run", "run": "a"}}, {}, "the teacher's family is None"),
        (teacher("gpt2") | {"size": {"width": 8}}, {}, "missing: context, head_width, layers, vocabulary"),
        (teacher("gpt3"), {}, "did you mean 'gpt2'?"), (teacher("gpt2") | {"sise": 1}, {}, "did you mean 'size'?"),
        (teacher("gpt2", head_width=7), {}, "not a multiple of head_width"),
        (teacher("bert"), {}, "is of kind encoder"), (teacher("gpt2", context=8), {}, "the teacher has 8 positions"),
        (teacher("gpt2"), {"cosine": 1.0}, "the teacher's width is 24, the student's 16"),
        (teacher("gpt2") | {"start": {"kind": "runs"}}, {}, "no start is called 'runs'"),
    ],
)  # fmt: skip
def test_teachers_that_cannot_answer_are_refused(given: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    loss = distil("clm", teacher=given, **changes)
    with study_error(words):
        loss.parts("llama", size_of(loss), Scratch())


def test_the_teachers_forward_pass_is_counted() -> None:
    size = Size(width=16, layers=2, vocabulary=280, context=CONTEXT, head_width=8)
    given = options_of("clm")
    of = Size(**given["teacher"]["size"])
    extra = flop_per_token("clm", {}, "gpt2", Size(**(of.json() | {"context": CONTEXT}))) / 3
    assert extra > 0
    found = flop_per_token("distil", given, "llama", size) - flop_per_token("clm", {}, "llama", size)
    assert found == pytest.approx(extra, rel=1e-12)
    assert facts_of("distil", given).families == facts_of("clm", {}).families
    assert SHAPES["gpt2"].shape(of).layers == 2


def test_samples_are_the_held_losses() -> None:
    loss = distil("mlm")
    held = objective.load("mlm", {}, loss.vocabulary)
    sample = Sample(3, np.arange(5, 25))
    one_, other = (each.example(sample, np.random.default_rng(1)) for each in (loss, held))
    assert one_.keys() == other.keys()
    assert all(np.array_equal(value, other[name]) for name, value in one_.items())
    assert loss.window(64) == held.window(64)
