"""The losses that are offered: what each says of itself comes before what its kind says."""

from __future__ import annotations

from typing import Any

import pytest
from chosen import case, data

from keel.choose.holdings import Holdings
from keel.choose.kind import Category
from keel.objective.facts import FACTS
from keel.plan.pretraining import left_out, ways

DRAFT, DIGEST, RERANK = case("draft", "text-generation"), case("digest", "summarization"), case("rank", "reranking")
LABEL, CAPTION = case("label", "image-classification"), case("alt", "image-to-text")


def by_id(category: Category, held: Holdings, *cases: Any) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in ways(category, cases, held)}


def test_a_loss_that_precludes_what_its_kind_can_do_does_not_unlock_it() -> None:
    found = by_id("encoder-decoder", data(), DRAFT, DIGEST)
    assert found["span_corruption"]["unlocks"] == ["summarization"]
    assert found["span_corruption"]["precludes"] == ["text-generation"]
    assert "needs a stage of prefix LM" in found["span_corruption"]["precludes_why"]
    assert found["ul2"]["unlocks"] == ["text-generation", "summarization"]
    assert "span_corruption" not in by_id("encoder-decoder", data(), DRAFT), "nothing is left that it unlocks"


@pytest.mark.parametrize("category", ["encoder", "decoder", "encoder-decoder"])
def test_what_keel_trains_is_never_said_to_do_what_its_facts_preclude(category: Category) -> None:
    uses = sorted({use for facts in FACTS.values() for use in (*facts.unlocks, *facts.precludes)})
    for name, item in by_id(category, data(labels=5.0), *(case(use, use) for use in uses)).items():
        if item["trains_here"]:
            assert set(item["unlocks"]) & FACTS[name].precludes.keys() == set(), name
            assert set(item["precludes"]) & FACTS[name].unlocks.keys() == set(), name
            assert set(FACTS[name].unlocks) <= set(item["unlocks"]), name


def test_where_a_loss_is_silent_its_kind_speaks() -> None:
    assert "writes true or false" in by_id("encoder-decoder", data(), RERANK)["bart"]["why"]


def test_what_the_data_lack_is_told_and_comes_last() -> None:
    translate = case("help", "translation")
    names = list(by_id("encoder-decoder", data(), translate))
    assert set(names[-2:]) == {"translation", "instruct"}
    found = by_id("encoder-decoder", data(), translate)
    assert "needs pairs of translations" in found["translation"]["note"]
    assert "needs" not in by_id("encoder-decoder", data(modality="parallel"), translate)["translation"]["note"]
    assert "needs" not in by_id("encoder-decoder", data(pairs=5.0), translate)["translation"]["note"]
    assert (
        "needs pairs"
        in by_id("encoder-decoder", data(modality="instructions", pairs=5.0), translate)["translation"]["note"]
    )
    assert "needs pairs" in by_id("encoder", data(), LABEL, case("tag"))["tlm"]["note"]


@pytest.mark.parametrize(("labels", "why"), [(None, "none are said"), (0.0, "there are none")])
def test_what_needs_labels_is_left_out_aloud(labels: float | None, why: str) -> None:
    held = data(1e6, "image", labels=labels)
    assert "classify" not in by_id("vision", held, LABEL)
    assert left_out("vision", (LABEL,), held) == [{"id": "supervised", "why": f"needs labels, and {why}"}]
    assert left_out("vision", (CAPTION,), held) == []
    given = data(1e6, "image", labels=9.0)
    assert "classify" in by_id("vision", given, LABEL)
    assert left_out("vision", (LABEL,), given) == []


def test_the_weights_of_two_terms_are_advised_where_there_are_two() -> None:
    found = by_id("vision-language", data(1e6, "image-text"), CAPTION)
    assert [name for name, item in found.items() if "lambda_con : lambda_cap" in item["note"]] == ["coca"]


def test_no_use_case_offers_nothing() -> None:
    assert ways("encoder", (), data()) == []
