"""Instructions: only answers count, documents of a row are alone in it, and both kinds of model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study_error
from seq2seq_cases import batches_of, size_of, tokenizer_vocabulary
from torch import nn
from torch.nn.functional import cross_entropy

from keel import objective
from keel.model.shapes import FEATURES
from keel.objective.base import Batch, Key, Sample, Scratch
from keel.objective.facts import FACTS
from keel.objective.instruct import Instruct
from keel.objective.packing import blocks_mask, pack
from keel.plan.spec import example_spec
from keel.run import engine, parts

pytestmark = pytest.mark.tensor
ONE = ("llama", "gpt2", "opt")
LENGTHS = [(9, 3), (1, 1), (4, 8), (0, 5), (2, 2), (15, 1), (3, 3), (7, 2)]


def instruct(**options: Any) -> Instruct:
    loss = objective.load("instruct", options, tokenizer_vocabulary().with_special(["pad", "start"]))
    assert isinstance(loss, Instruct)
    return loss


def samples() -> list[Sample]:
    rng, known = np.random.default_rng(0), tokenizer_vocabulary().ordinary
    return [Sample(place, rng.choice(known, p), rng.choice(known, a)) for place, (p, a) in enumerate(LENGTHS)]


def modules(loss: Instruct, family: str) -> dict[str, nn.Module]:
    size = size_of(loss)
    made = parts.build(
        loss.parts(family, size, Scratch()), example_spec(family=family, size=size.json()), loss.vocabulary
    )
    return {name: module.double() for name, module in made.items()}


def total(loss: Instruct, made: dict[str, nn.Module], batch: Batch) -> torch.Tensor:
    return loss.losses(made, batch, {}, Key(0, 0, batch.ids))[0]["instruct"]


def by_hand(made: dict[str, nn.Module], given: Sequence[Sample], end: int) -> float:
    """The library's own logits on each document alone; the answer's tokens and the end."""
    library: Any = made["model"].library
    found = 0.0
    for sample in given:
        document = torch.tensor([end, *sample.tokens, *sample.second, end])[None]
        logits = library(input_ids=document[:, :-1]).logits[0, len(sample.tokens) :]
        found += float(cross_entropy(logits, document[0, 1 + len(sample.tokens) :], reduction="sum").detach())
    return found


@pytest.mark.parametrize("family", ONE)
@pytest.mark.parametrize("packed", [True, False])
def test_the_loss_is_that_of_each_answer_alone(family: str, packed: bool) -> None:
    loss = instruct(packed=packed)
    made = modules(loss, family)
    (batch,) = batches_of(loss, samples(), [len(LENGTHS)])
    assert batch.counts == {"instruct": sum(answer + 1 for _, answer in LENGTHS)}
    expected = by_hand(made, samples(), loss.vocabulary.id_of("separator"))
    # The library's norms and angles are in fp32 whatever the weights are in.
    assert total(loss, made, batch).item() == pytest.approx(expected, rel=1e-6)


def test_bloom_is_padded_only() -> None:
    loss = instruct(packed=False)
    made = modules(loss, "bloom")
    (batch,) = batches_of(loss, samples(), [len(LENGTHS)])
    expected = by_hand(made, samples(), loss.vocabulary.id_of("separator"))
    assert total(loss, made, batch).item() == pytest.approx(expected, rel=1e-6)
    with study_error("documents cannot share a row of a bloom"):
        instruct().parts("bloom", size_of(loss), Scratch())


@pytest.mark.parametrize("family", ONE)
def test_rows_that_see_each_other_would_be_caught(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake, put into the product: documents of a row without a border between them."""
    loss = instruct()
    made = modules(loss, family)
    (batch,) = batches_of(loss, samples(), [len(LENGTHS)])
    right = total(loss, made, batch).item()
    monkeypatch.setattr("keel.objective.instruct.blocks_mask", lambda document, dtype: blocks_mask(document * 0, dtype))
    assert abs(total(loss, made, batch).item() - right) > 1e-3


@pytest.mark.parametrize("family", ONE)
def test_packing_changes_neither_gradient_nor_targets_and_takes_fewer_rows(family: str) -> None:
    grads, rows = [], []
    for packed in (True, False):
        loss = instruct(packed=packed)
        made = modules(loss, family)
        (batch,) = batches_of(loss, samples(), [len(LENGTHS)])
        engine.accumulate(loss, made, [batch], {}, 0, 0)
        grads.append(torch.cat([w.grad.reshape(-1) for w in made["model"].parameters() if w.grad is not None]))
        rows.append(len(batch.tensors["inputs"]))
    assert (grads[0] - grads[1]).abs().max() <= 1e-6 * grads[0].abs().max()
    assert rows == [5, 8]


@pytest.mark.parametrize(("family", "options"), [("llama", {}), ("gpt2", {"packed": False}), ("t5", {"stacks": 2})])
@pytest.mark.parametrize("cut", [[2] * 4, [1, 5, 2], [4, 4]])
def test_one_gradient_however_the_step_is_cut(family: str, options: dict[str, Any], cut: list[int]) -> None:
    loss = instruct(**options)
    made, grads = modules(loss, family), []
    for sizes in ([len(LENGTHS)], cut):
        made["model"].zero_grad()
        engine.accumulate(loss, made, batches_of(loss, samples(), sizes), {}, 0, 0)
        grads.append(torch.cat([w.grad.reshape(-1) for w in made["model"].parameters() if w.grad is not None]))
    assert (grads[0] - grads[1]).abs().max() <= 1e-6 * grads[0].abs().max()


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_two_stacks_read_the_prompt_and_write_the_answer(family: str) -> None:
    loss = instruct(stacks=2)
    made = modules(loss, family)
    (batch,) = batches_of(loss, samples(), [len(LENGTHS)])
    end, start = (loss.vocabulary.id_of(role) for role in ("separator", "start"))
    library: Any = made["model"].library
    expected = 0.0
    for sample in samples():
        target = torch.tensor([*sample.second, end])
        logits = library(
            input_ids=torch.tensor([[*sample.tokens, end]]), decoder_input_ids=torch.tensor([[start, *sample.second]])
        ).logits[0]
        expected += float(cross_entropy(logits, target, reduction="sum").detach())
    assert total(loss, made, batch).item() == pytest.approx(expected, rel=1e-6)
    assert batch.counts == {"instruct": sum(answer + 1 for _, answer in LENGTHS)}


def test_rows_are_for_others_to_learn_from() -> None:
    loss = instruct()
    (batch,) = batches_of(loss, samples(), [len(LENGTHS)])
    rows = loss.rows(modules(loss, "llama"), batch)["instruct"]
    answers = sorted(
        int(token) for sample in samples() for token in [*sample.second, loss.vocabulary.id_of("separator")]
    )
    assert sorted(rows.targets.tolist()) == answers
    assert len(rows.hidden) == len(answers)


def test_first_fit_decreasing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        lengths = [int(n) for n in rng.integers(1, 50, rng.integers(1, 60))]
        rows = pack(lengths, 50)
        assert sorted(place for row in rows for place in row) == list(range(len(lengths)))
        assert all(sum(lengths[place] for place in row) <= 50 for row in rows)
        assert len(rows) <= 11 / 9 * np.ceil(sum(lengths) / 50) + 1 + len([n for n in lengths if n > 25])
    assert pack([], 5) == []


@pytest.mark.parametrize(
    ("options", "family", "words"),
    [({"stacks": 2}, "llama", "stacks is 2"), ({}, "t5", "set stacks to 2"),
     ({"stacks": 3}, "llama", "'stacks' is wrong"), ({"cap": -1}, "llama", "'cap' is wrong"),
     ({"too_long": "cut"}, "llama", "'too_long' is wrong"),
     ({"pack": True}, "llama", "did you mean 'packed'?"), ({"packed": 1}, "llama", "write true or false")],
)  # fmt: skip
def test_what_cannot_be_is_refused(options: dict[str, Any], family: str, words: str) -> None:
    with study_error(words, where=False):
        loss = instruct(**options)
        loss.parts(family, size_of(loss), Scratch())


def test_a_sample_without_an_answer_is_refused() -> None:
    loss = instruct()
    with study_error("sample 3 has no answer"):
        loss.example(Sample(3, np.arange(5)), np.random.default_rng(0))


def test_facts() -> None:
    facts = FACTS["instruct"]
    assert facts.roles({}, 64) == ()
    assert facts.roles({"stacks": 2}, 64) == ("pad", "start")
    assert {FEATURES[family].kind for family in facts.families} == {"decoder", "encoder-decoder"}
