"""Masked language modelling: every encoder family's own masked head on the same batch, and which masks are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, VOCABULARY, Case, batches, key, one, text, windows
from helpers import study_error

from keel import objective
from keel.corpus.vocabulary import SPECIAL
from keel.objective.base import Batch, Sample, Window
from keel.objective.facts import FACTS
from keel.objective.mlm import MLM
from keel.run.batches import Batches

pytestmark = pytest.mark.tensor


def labels_of(batch: Batch) -> torch.Tensor:
    """Targets as the library wants them: -100 where there is none."""
    labels = torch.full_like(batch.tensors["inputs"], -100).reshape(-1)
    labels[batch.tensors["places"]] = batch.tensors["targets"]
    return labels.view_as(batch.tensors["inputs"])


@pytest.mark.parametrize("family", FACTS["mlm"].families)
def test_the_loss_is_the_librarys(family: str) -> None:
    loss, modules, batch = one(Case("mlm", family))
    model: Any = modules["model"]
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, 1e-5)):
        model.to(dtype)
        sums, features, stats = loss.losses(modules, batch, {}, key(batch))
        theirs = model.library(input_ids=batch.tensors["inputs"], labels=labels_of(batch)).loss
        assert sums["mlm"].item() / batch.counts["mlm"] == pytest.approx(theirs.item(), rel=tolerance)
        assert (features, stats) == (None, {})


@pytest.mark.parametrize("family", ["modernbert", "albert", "deberta-v2"])
def test_a_head_on_the_chosen_rows_alone_has_the_gradient_of_one_on_all(family: str) -> None:
    loss, modules, batch = one(Case("mlm", family))
    model: Any = modules["model"]
    theirs = model.library(input_ids=batch.tensors["inputs"], labels=labels_of(batch)).loss
    theirs.backward()
    expected = {name: weight.grad.to_dense().clone() for name, weight in model.library.named_parameters()}
    model.zero_grad()
    (loss.losses(modules, batch, {}, key(batch))[0]["mlm"] / batch.counts["mlm"]).backward()
    for name, weight in model.library.named_parameters():
        # ModernBERT's own loss takes its logits in fp32.
        torch.testing.assert_close(weight.grad, expected[name], rtol=1e-5, atol=1e-7, msg=name)


def test_counts_are_the_targets_and_targets_the_text() -> None:
    loss, samples = CASES["mlm"].objective(), windows()
    batch = batches(loss, samples, [16])[0]
    assert batch.counts == {"mlm": len(batch.tensors["targets"])}
    rows, columns = batch.tensors["places"] // 32, batch.tensors["places"] % 32
    for row, column, target in zip(rows.tolist(), columns.tolist(), batch.tensors["targets"].tolist()):
        assert column > 0, "the start token"
        assert samples[row].tokens[column - 1] == target
    ordinary = [int((VOCABULARY.kind[sample.tokens] != SPECIAL).sum()) for sample in samples]
    assert torch.bincount(rows).tolist() == [max(1, round(0.15 * number)) for number in ordinary]
    assert loss.window(32) == Window(31, 31)
    assert (batch.tensors["inputs"][:, 0] == VOCABULARY.id_of("start")).all()


def test_all_that_is_not_chosen_is_shown_as_it_is() -> None:
    loss, samples = CASES["mlm"].objective(), windows()
    batch = batches(loss, samples, [16])[0]
    shown = batch.tensors["inputs"].reshape(-1).clone()
    shown[batch.tensors["places"]] = batch.tensors["targets"]
    assert np.array_equal(shown.view(16, 32)[:, 1:].numpy(), np.stack([sample.tokens for sample in samples]))


def test_whole_words_are_hidden_or_none_of_them() -> None:
    loss = MLM({"unit": "word", "rate": 0.4}, VOCABULARY)
    rng = np.random.default_rng(1)
    hidden, partly = 0, 0
    for place in range(50):
        made = loss.example(Sample(place, text(rng, 31)), rng)
        words = np.cumsum(VOCABULARY.words(made["tokens"]))
        for word in np.unique(words):
            chosen = made["chosen"][words == word]
            hidden += bool(chosen.all())
            partly += bool(chosen.any()) and not chosen.all()
    assert (hidden > 100, partly) == (True, 0)


@pytest.mark.parametrize(("masks", "turns"), [(0, 6), (3, 3), (1, 1)])
def test_static_masks_come_back_in_turn(masks: int, turns: int) -> None:
    """Six epochs of the same samples under the loop's own generators."""
    loss, samples = MLM({"masks": masks}, VOCABULARY), windows()
    order = Batches(samples, 4, seed=3)
    seen = [
        tuple(tuple(loss.example(sample, order.rng(loss, epoch, sample.id))["inputs"]) for sample in samples)
        for epoch in range(6)
    ]
    assert len(set(seen)) == turns
    assert all(seen[epoch] == seen[epoch % turns] for epoch in range(6))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"rte": 0.1, "masked": 1}, ("no option 'rte'", "did you mean 'rate'?", "no option 'masked'")),
     ({"masks": -1}, ("'masks' is -1",)), ({"masks": 1.5}, ("'masks' is wrong", "1.5")),
     ({"masks": True}, ("'masks' is wrong", "True"))],
)  # fmt: skip
def test_bad_options_are_told_at_once(options: dict[str, Any], words: tuple[str, ...]) -> None:
    with study_error(*words, where=False):
        objective.load("mlm", options, VOCABULARY)


@pytest.mark.parametrize("options", [{"rate": 1.5}, {"unit": "letter"}, {"mask": 0.9, "random": 0.2}])
def test_options_out_of_range_are_told_before_the_first_sample(options: dict[str, Any]) -> None:
    with study_error(where=False):
        MLM(options, VOCABULARY)
