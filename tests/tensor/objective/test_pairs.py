"""Next sentence and sentence order: the library's own losses, what is shown as a pair, and what must tell nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, CONTEXT, VOCABULARY, Case, batches, documents, key, one, text
from helpers import study_error

from keel import objective
from keel.model.shapes import Size
from keel.objective.base import Batch, Sample, Scratch, Window
from keel.objective.nsp import NSP
from keel.objective.sop import SOP

pytestmark = pytest.mark.tensor
STOP = int(np.flatnonzero(VOCABULARY.ends_sentence)[0])
PLAIN = {"mask": 0.0, "random": 0.0}  # tokens are chosen and shown all the same


def of_both(samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.id not in (0, 1, 5, 8)]


@pytest.mark.parametrize("name", ["nsp", "sop"])
@pytest.mark.parametrize("family", ["bert", "albert"])
def test_both_terms_are_the_librarys(name: str, family: str) -> None:
    """The library's is the sum of two means. It has no label for "no pair", so all documents have two texts here."""
    loss, modules, batch = one(Case(name, family, lambda: of_both(documents())))
    model: Any = modules["model"]
    at = batch.tensors
    labels = torch.full_like(at["inputs"], -100).reshape(-1)
    labels[at["places"]] = at["targets"]
    second = {"bert": "next_sentence_label", "albert": "sentence_order_label"}[family]
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, 1e-5)):
        model.to(dtype)
        sums, *_ = loss.losses(modules, batch, {}, key(batch))
        theirs = model.library(
            input_ids=at["inputs"], attention_mask=at["attention_mask"], token_type_ids=at["side"],
            labels=labels.view_as(at["inputs"]), **{second: at["labels"]},
        ).loss  # fmt: skip
        ours = sum(total / batch.counts[term] for term, total in sums.items())
        assert ours.item() == pytest.approx(theirs.item(), rel=tolerance)
    assert set(at["labels"].tolist()) == {0, 1}


@pytest.mark.parametrize("name", ["nsp", "sop"])
def test_a_document_without_a_pair_counts_for_its_masked_tokens_alone(name: str) -> None:
    loss, modules, batch = one(CASES[name])
    at = batch.tensors
    assert sorted(set(range(16)) - set(at["pairs"].tolist())) == [0, 1, 5, 8]
    assert batch.counts == {"mlm": len(at["targets"]), name: 12}
    for row in (0, 1, 5, 8):
        seen = at["inputs"][row][at["attention_mask"][row].bool()]
        assert (seen == VOCABULARY.id_of("separator")).sum() == 1
        assert (at["side"][row] == 0).all()
    sums, *_ = loss.losses(modules, batch, {}, key(batch))
    logits = modules["model"].pair(  # type: ignore[operator]
        modules["model"](input_ids=at["inputs"], attention_mask=at["attention_mask"], token_type_ids=at["side"])
    )[at["pairs"]]
    by_hand = -torch.log_softmax(logits, 1)[torch.arange(12), at["labels"]].sum()
    assert sums[name].item() == pytest.approx(by_hand.item(), rel=1e-10)


def shown(batch: Batch, row: int) -> tuple[list[int], list[int]]:
    """The two texts of a row without special tokens."""
    at, special = batch.tensors, list(VOCABULARY.special.values())
    seen = at["attention_mask"][row].bool()
    tokens, side = at["inputs"][row][seen].tolist(), at["side"][row][seen].tolist()
    texts = [[token for token, where in zip(tokens, side) if where == wanted] for wanted in (0, 1)]
    separator = VOCABULARY.id_of("separator")
    assert (texts[0][0], texts[0][-1]) == (VOCABULARY.id_of("start"), separator)
    assert texts[1][-1:] in ([separator], [])
    first, second = ([token for token in text if token not in special] for text in texts)
    return first, second


def stories(number: int) -> list[Sample]:
    """Documents of three sentences; elsewhere are other words."""
    made = []
    for place in range(number):
        words = 5 + np.arange(12) % 2
        words[[3, 7, 11]] = STOP
        made.append(Sample(place, words, elsewhere=lambda _: np.array([9, 10, STOP, 9, 10, 13, STOP])))
    return made


def test_half_of_the_second_texts_come_from_elsewhere_and_say_so() -> None:
    loss = NSP(PLAIN, VOCABULARY)
    batch = batches(loss, stories(400), [400])[0]
    labels = batch.tensors["labels"]
    assert len(labels) == 400
    assert abs(int(labels.sum()) - 200) < 4 * 10
    whole = stories(1)[0].tokens.tolist()
    for row, label in enumerate(labels.tolist()):
        first, second = shown(batch, row)
        assert first == whole[: len(first)]
        if label:
            assert set(second) <= {9, 10, 13, STOP}
            assert second in ([9, 10, STOP, 9], [9, 10, 13, STOP], [9, 10, STOP, 9, 10, 13, STOP])
        else:
            assert second == whole[len(first) : len(first) + len(second)]


def test_lengths_do_not_tell_the_next_sentence() -> None:
    """Documents and those elsewhere of all lengths: the lengths of both texts have the same law under both labels."""
    rng = np.random.default_rng(5)
    samples = [
        Sample(place, text(rng, int(rng.integers(4, 29))), elsewhere=lambda own: text(own, int(own.integers(1, 29))))
        for place in range(1500)
    ]
    batch = batches(NSP(PLAIN, VOCABULARY), samples, [1500])[0]
    labels, rows = batch.tensors["labels"].numpy(), batch.tensors["pairs"].tolist()
    lengths = np.array([[len(part) for part in shown(batch, row)] for row in rows])
    for column in (lengths[:, 0], lengths[:, 1], lengths.sum(axis=1)):
        gap = column[labels == 1].mean() - column[labels == 0].mean()
        assert abs(gap) < 4 * column.std() * (1 / labels.sum() + 1 / (1 - labels).sum()) ** 0.5


def test_lengths_that_tell_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual leak, put into the product: the text that follows keeps its length, one from elsewhere has its own."""
    relate = NSP.relate

    def leaky(self: NSP, sample: Sample, first: Any, second: Any, rng: Any) -> Any:
        found, other, label = relate(self, sample, first, second, rng)
        return found, other if label else second, label

    monkeypatch.setattr(NSP, "relate", leaky)
    with pytest.raises(AssertionError):
        test_lengths_do_not_tell_the_next_sentence()


def test_half_of_the_pairs_are_swapped_and_say_so() -> None:
    batch = batches(SOP(PLAIN, VOCABULARY), stories(400), [400])[0]
    labels = batch.tensors["labels"].tolist()
    assert abs(sum(labels) - 200) < 4 * 10
    whole = stories(1)[0].tokens.tolist()
    for row, label in enumerate(labels):
        first, second = shown(batch, row)
        assert (second + first if label else first + second) == whole


@pytest.mark.parametrize("name", ["nsp", "sop"])
def test_rows_fit_the_context_and_sides_are_told(name: str) -> None:
    loss = CASES[name].objective()
    assert loss.window(CONTEXT) == Window(CONTEXT - 3, CONTEXT - 3)
    longest = np.resize([5, STOP], CONTEXT - 3)
    long = [Sample(0, longest, elsewhere=lambda _: longest)]
    at = batches(loss, long, [1])[0].tensors
    assert at["inputs"].shape == (1, CONTEXT)
    places, side = at["place"][0].tolist(), at["side"][0].tolist()
    cut = side.index(1)
    assert (places[:cut], places[cut:]) == (list(range(cut)), list(range(CONTEXT - cut)))


@pytest.mark.parametrize("name", ["nsp", "sop", "tlm"])
def test_padding_changes_nothing(name: str) -> None:
    case = CASES[name]
    loss, modules, samples = case.objective(), case.parts(), case.samples()
    apart = [loss.losses(modules, each, {}, key(each))[0] for each in batches(loss, samples, [1] * 16)]
    whole = batches(loss, samples, [16])[0]
    sums, *_ = loss.losses(modules, whole, {}, key(whole))
    for term, total in sums.items():
        assert total.item() == pytest.approx(sum(each[term].item() for each in apart), rel=1e-6)


def test_one_document_has_no_elsewhere() -> None:
    with study_error("no other document", "sop"):
        NSP({}, VOCABULARY).example(stories(1)[0]._replace(elsewhere=None), np.random.default_rng(0))
    with study_error("'roberta' cannot serve the loss 'nsp'", "bert, albert"):
        NSP({}, VOCABULARY).parts("roberta", Size(width=8, layers=1, vocabulary=64, context=8, head_width=4), Scratch())
    with study_error("no option 'rat'", where=False):
        objective.load("sop", {"rat": 1})
