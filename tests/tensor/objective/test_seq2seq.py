"""Losses of two stacks and prefix LM against the library's own models given the same inputs and labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from seq2seq_cases import CASES, batches_of, loss_of, parts_of, samples_of, shape_of, size_of
from torch import Tensor
from transformers.models.bart.modeling_bart import shift_tokens_right
from transformers.models.mbart.modeling_mbart import shift_tokens_right as mbart_shift

from keel import model
from keel.objective.base import Batch, Key, Scratch
from keel.objective.facts_seq2seq import SEQ2SEQ
from keel.objective.prefix_lm import prefix_mask
from keel.objective.seq2seq import Seq2Seq
from keel.run.parts import hold, ids_of

pytestmark = pytest.mark.tensor
ONE = [name for name in CASES if CASES[name].loss == "prefix_lm" and CASES[name].options.get("stacks", 1) == 1]
TWO = [name for name in CASES if name not in ONE and CASES[name].loss in SEQ2SEQ]


def labels_of(batch: Batch) -> Tensor:
    """The library's labels: -100 wherever no target stands."""
    shape = batch.tensors["decoder_inputs" if "decoder_inputs" in batch.tensors else "inputs"].shape
    labels = torch.full((shape[0] * shape[1],), -100)
    labels[batch.tensors["places"]] = batch.tensors["targets"]
    return labels.view(shape)


def made(name: str, number: int = 5) -> tuple[Any, Any, Batch]:
    loss = loss_of(CASES[name])
    parts = parts_of(CASES[name], loss)
    (batch,) = batches_of(loss, samples_of(loss, number), [number])
    return loss, parts, batch


@pytest.mark.parametrize("name", TWO)
def test_loss_and_gradient_are_the_librarys(name: str) -> None:
    loss, parts, batch = made(name)
    at, library = batch.tensors, parts["model"].library
    (total,) = loss.losses(parts, batch, {}, Key(0, 0, batch.ids))[0].values()
    (count,) = batch.counts.values()
    theirs = library(
        input_ids=at["inputs"], attention_mask=at["attention_mask"], decoder_input_ids=at["decoder_inputs"],
        labels=labels_of(batch),
    ).loss  # fmt: skip
    assert total.item() / count == pytest.approx(theirs.item(), rel=1e-7)
    weights = list(library.parameters())
    ours = torch.autograd.grad(total / count, weights, retain_graph=True, allow_unused=True)
    other = torch.autograd.grad(theirs, weights, allow_unused=True)
    for mine, his in zip(ours, other):
        assert (mine is None) == (his is None)
        if mine is not None and his is not None:
            torch.testing.assert_close(mine.to_dense(), his.to_dense(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["span_corruption", "span_corruption, rolled, on bart", "bart", "alexatm", "ul2"])
def test_the_decoder_reads_what_the_library_would_make_of_the_labels(name: str) -> None:
    loss, parts, batch = made(name)
    pad, start = (loss.vocabulary.id_of(role) for role in ("pad", "start"))
    config = parts["model"].library.config
    assert (config.pad_token_id, config.decoder_start_token_id) == (pad, start)
    labels = labels_of(batch)
    made_by_library = [shift_tokens_right(labels, pad, start)]
    if CASES[name].family == "t5":
        made_by_library.append(parts["model"].library._shift_right(labels))
    for theirs in made_by_library:
        # Behind the last target the library reads the end token on, where ours is padding: no row there meets the head.
        assert torch.equal(theirs[labels >= 0], batch.tensors["decoder_inputs"][labels >= 0])


def test_mbart_starts_with_the_language_as_the_library_does() -> None:
    loss, _, batch = made("mbart", 1)
    language, end = loss.vocabulary.id_of("language en"), loss.vocabulary.id_of("separator")
    labels = torch.cat([batch.tensors["targets"], torch.tensor([language])])[None]
    theirs = mbart_shift(labels, loss.vocabulary.id_of("pad"))
    assert torch.equal(theirs[:, :-1], batch.tensors["decoder_inputs"])
    assert batch.tensors["inputs"][0, -2:].tolist() == [end, language]
    assert batch.tensors["targets"][-1] == end


def test_translation_is_tagged_as_m2m_is() -> None:
    loss, _, batch = made("translation", 1)
    at, known = batch.tensors, loss.vocabulary
    tags = [known.id_of(f"language {name}") for name in ("en", "de")]
    labels = torch.cat([at["decoder_inputs"][0, 1:], at["targets"][-1:]])[None]
    theirs = shift_tokens_right(labels, known.id_of("pad"), known.id_of("start"))
    assert torch.equal(theirs, at["decoder_inputs"])
    assert {int(at["inputs"][0, 0]), int(at["decoder_inputs"][0, 1])} == set(tags)
    # The tag is given, never predicted: which language comes next cannot be known.
    assert not set(at["targets"].tolist()) & set(tags)


@pytest.mark.parametrize("name", ONE)
def test_a_prefix_is_seen_from_both_sides_and_the_rest_from_the_left(name: str) -> None:
    """Against the library's model, sample by sample, under a mask written out place by place."""
    loss, parts, batch = made(name, 3)
    library, total = parts["model"].library.eval(), 0.0
    for row, cut in enumerate(batch.tensors["prefix"].tolist()):
        tokens = batch.tensors["inputs"][row : row + 1]
        length = tokens.shape[1]
        mask = torch.full((1, 1, length, length), -torch.inf, dtype=torch.float64)
        for i in range(length):
            for j in range(length):
                if j <= i or (i < cut and j < cut):
                    mask[0, 0, i, j] = 0
        logits = library(input_ids=tokens, attention_mask=mask).logits[0]
        labels = labels_of(batch)[row]
        assert (labels >= 0).tolist() == [place >= cut - 1 for place in range(length)]
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum").item()
    ours = loss.losses(parts, batch, {}, Key(0, 0, batch.ids))[0]["prefix_lm"].item()
    assert ours == pytest.approx(total, rel=1e-9)


def test_no_state_behind_the_prefix_sees_its_own_target() -> None:
    """A change of token t moves states before t only where both lie in the prefix."""
    _, parts, batch = made("prefix_lm", 1)
    tokens, cut = batch.tensors["inputs"].clone(), 9
    mask = prefix_mask(torch.tensor([cut]), tokens.shape[1], torch.float64)
    before = parts["model"](input_ids=tokens, attention_mask=mask)
    for place in (4, 8, 9, 15):
        other = tokens.clone()
        other[0, place] = (tokens[0, place] + 1) % 200
        moved = (parts["model"](input_ids=other, attention_mask=mask) - before).abs().amax(-1)[0] > 1e-12
        assert moved.tolist() == [i >= place or (place < cut and i < cut) for i in range(tokens.shape[1])]


def test_mixed_precision_takes_the_prefix_mask() -> None:
    loss, _, batch = made("prefix_lm", 2)
    family, shape = model.load("llama"), shape_of(CASES["prefix_lm"], loss)
    sums = []
    for body in ("bf16", "fp32"):
        built = family.build(shape, {"body": body, "head": "fp32"}, 0, ids_of(loss.vocabulary), "tokens")
        sums.append(loss.losses({"model": built}, batch, {}, Key(0, 0, ()))[0]["prefix_lm"].item())
    assert sums[0] == pytest.approx(sums[1], rel=1e-2)
    assert sums[0] != sums[1]


def test_padding_that_is_read_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product without its mask: the padding test's own measure moves."""
    loss = loss_of(CASES["bart"])
    parts = parts_of(CASES["bart"], loss)
    samples = samples_of(loss, 2)
    short = samples[1]._replace(tokens=samples[1].tokens[:4])
    both, alone = batches_of(loss, [samples[0], short], [2])[0], batches_of(loss, [samples[0], short], [1, 1])

    def total(batch: Batch) -> float:
        return loss.losses(parts, batch, {}, Key(0, 0, ()))[0]["bart"].item()

    assert total(both) == pytest.approx(sum(map(total, alone)), rel=1e-12)

    def unmasked(self: Seq2Seq, examples: Any, ids: Any) -> Batch:
        batch = collate(self, examples, ids)
        seen = torch.ones_like(batch.tensors["attention_mask"])
        return Batch({**batch.tensors, "attention_mask": seen}, batch.counts, batch.ids)

    collate = Seq2Seq.collate
    monkeypatch.setattr(Seq2Seq, "collate", unmasked)
    read = batches_of(loss, [samples[0], short], [2])[0]
    assert abs(total(read) - total(both)) > 1e-6 * total(both)


def test_alexatms_encoder_waits_for_the_thaw() -> None:
    case = CASES["alexatm"]._replace(options={"thaw_step": 2})
    loss = loss_of(case)
    parts = parts_of(case, loss)
    plan = loss.parts(case.family, size_of(loss), Scratch())
    encoder = {id(weight) for weight in parts["model"].library.get_encoder().parameters()}
    (batch,) = batches_of(loss, samples_of(loss, 4), [4])
    for step, waits in ((0, True), (1, True), (2, False)):
        hold(parts, plan, step)
        parts["model"].zero_grad()
        sums, *_ = loss.losses(parts, batch, {}, Key(0, step, batch.ids))
        sums["alexatm"].backward()
        moved = [id(weight) in encoder for weight in parts["model"].parameters() if weight.grad is not None]
        assert any(moved) is not waits
        assert not all(moved)
