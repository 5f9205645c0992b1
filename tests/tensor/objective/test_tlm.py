"""Translation language modelling: the library's own masked head on both texts, with languages and places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, VOCABULARY, Case, batches, key, lines, one
from helpers import study_error

from keel.objective.base import Sample, Window
from keel.objective.facts import FACTS
from keel.objective.tlm import TLM

pytestmark = pytest.mark.tensor
NAMED = {"languages": ["de", "en", "fr"]}


@pytest.mark.parametrize("family", FACTS["tlm"].families)
def test_the_loss_is_the_librarys(family: str) -> None:
    """With all that the library takes, written out by hand: languages 0, 1; places from 0, from pad + 1 in XLM-R."""
    size = {"token_types": 3} if family == "xlm" else {}
    loss, modules, batch = one(Case("tlm", family, lines, NAMED, size))
    at, model = batch.tensors, modules["model"]
    labels = torch.full_like(at["inputs"], -100).reshape(-1)
    labels[at["places"]] = at["targets"]
    beside = {
        "xlm": {"langs": at["language"], "position_ids": at["place"]},
        "xlm-roberta": {"position_ids": at["place"] + 1 + VOCABULARY.id_of("pad")},
        "bert": {"token_type_ids": at["side"], "position_ids": at["place"]},
    }[family]
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, 1e-5)):
        model.to(dtype)
        sums, *_ = loss.losses(modules, batch, {}, key(batch))
        theirs: Any = model.library(
            input_ids=at["inputs"], attention_mask=at["attention_mask"], labels=labels.view_as(at["inputs"]), **beside
        )
        assert sums["mlm"].item() / batch.counts["mlm"] == pytest.approx(theirs.loss.item(), rel=tolerance)


def test_each_token_has_its_language_and_its_place_within_its_text() -> None:
    loss = TLM(NAMED, VOCABULARY)
    for sample, batch in zip(lines(), batches(loss, lines(), [1] * 16)):
        at = {name: value[0].tolist() for name, value in batch.tensors.items() if value.dim() == 2}
        assert sample.second is not None
        one, two = len(sample.tokens) + 2, len(sample.second) + 1
        first, second = (NAMED["languages"].index(language) for language in sample.languages)
        assert at["language"] == [first] * one + [second] * two
        assert at["place"] == [*range(one), *range(two)]
        assert at["side"] == [0] * one + [1] * two


def test_both_texts_have_targets_and_no_special_token_is_one() -> None:
    batch = batches(TLM({"rate": 0.5}, VOCABULARY), lines(), [16])[0]
    side = batch.tensors["side"].reshape(-1)[batch.tensors["places"]]
    assert set(side.tolist()) == {0, 1}
    assert (batch.tensors["targets"] >= len(VOCABULARY.special)).all()


def test_without_names_the_languages_are_the_sides() -> None:
    at = batches(TLM({}, VOCABULARY), lines(), [16])[0].tensors
    assert torch.equal(at["language"], at["side"])


def test_languages_and_places_reach_the_model() -> None:
    loss, modules, batch = one(CASES["tlm"])
    plain = loss.losses(modules, batch, {}, key(batch))[0]["mlm"].item()
    for name in ("language", "place"):
        other = {**batch.tensors, name: torch.zeros_like(batch.tensors[name])}
        changed = type(batch)(other, batch.counts, batch.ids)
        assert loss.losses(modules, changed, {}, key(batch))[0]["mlm"].item() != pytest.approx(plain, rel=1e-6)


def test_each_side_has_half_of_what_is_left() -> None:
    assert TLM({}, VOCABULARY).window(32) == Window(14, 14)
    longest = Sample(0, np.full(14, 5), np.full(14, 5))
    assert batches(TLM({}, VOCABULARY), [longest], [1])[0].tensors["inputs"].shape == (1, 31)


def test_bad_languages() -> None:
    with study_error("languages of a pair are de and nl", "known are de, en, fr"):
        TLM(NAMED, VOCABULARY).example(lines()[0]._replace(languages=("de", "nl")), np.random.default_rng(0))
    with study_error("languages of a pair are not named"):
        TLM(NAMED, VOCABULARY).example(lines()[0]._replace(languages=()), np.random.default_rng(0))
    with study_error("rows for 2 of 3 languages", "set model.token_types to 3"):
        Case("tlm", "xlm", lines, NAMED, {"token_types": 2}).parts()
