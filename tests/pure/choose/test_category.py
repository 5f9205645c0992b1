"""The main category: cover decides, and ties go by data, latency and size."""

from __future__ import annotations

import pytest
from chosen import case, data

from keel.choose.category import choose, forced, trains
from keel.choose.weights import Weighed

SEARCH, DRAFT, DIGEST = case("search", "retrieval", 3.0), case("draft", "text-generation"), case("d", "summarization")
ENTITY, LABEL = case("names", "token-classification"), case("label", "image-classification")


def test_cover_is_the_weighted_share() -> None:
    found = choose((SEARCH, DRAFT), data())
    assert (found.category, found.covers["encoder"]) == ("encoder", 0.75)
    assert found.covers["decoder"] == (3 * 0.5 + 1) / 4
    assert choose((SEARCH._replace(weight=1.0), DRAFT._replace(weight=3.0)), data()).category == "decoder"


def test_what_it_cannot_serve_is_told_beside() -> None:
    found = choose((SEARCH, DRAFT), data())
    assert any("'draft'" in text and "decoder" in text for text in found.beside)


@pytest.mark.parametrize(
    ("cases", "held", "category", "word"),
    [((DIGEST,), data(), "decoder", "size:"), ((DIGEST,), data(pairs=5e5), "encoder-decoder", "data:"),
     ((DIGEST,), data(modality="instructions"), "encoder-decoder", "data:"),
     ((case("d", "summarization", serve={"latency_ms": 50}),), data(), "encoder-decoder", "latency:"),
     ((LABEL,), data(modality="image"), "vision", "data:"),
     ((LABEL,), data(modality="image-text"), "vision-language", "data:"),
     ((DIGEST,), data(modality="image"), "decoder", "first of equals")],
)  # fmt: skip
def test_ties(cases: tuple[Weighed, ...], held: object, category: str, word: str) -> None:
    found = choose(cases, held)  # type: ignore[arg-type]
    assert found.category == category
    assert word in found.why
    assert "cover the same 100 %" in found.why


def test_a_tie_of_text_keeps_both_in_the_running_and_images_do_not() -> None:
    assert choose((DIGEST,), data()).tied == ("encoder-decoder",)
    assert choose((LABEL,), data(modality="image")).tied == ()
    assert choose((LABEL,), data(modality="image-text")).tied == ()


def test_pairs_do_not_move_what_an_encoder_is_made_for() -> None:
    assert choose((SEARCH, ENTITY), data(pairs=1e6)).category == "encoder"
    answers = choose((case("faq", "question-answering"),), data(pairs=1e6))
    assert (answers.category, answers.tied) == ("encoder", ("decoder", "encoder-decoder"))


def test_data_that_cannot_train_it_is_told() -> None:
    found = choose((DIGEST,), data(modality="image"))
    assert not trains(data(modality="image"), found.category)
    assert any("cannot train" in text for text in found.beside)


def test_without_use_cases_it_is_assumed_and_said() -> None:
    found = choose((), data(modality="image-text"))
    assert (found.category, found.beside) == ("vision-language", ())
    assert "no use case is said" in found.why


def test_a_forced_category_is_judged_anew() -> None:
    own = choose((DIGEST,), data())
    found = forced(own, "encoder", "[set]", (DIGEST,), data())
    assert (found.category, found.tied) == ("encoder", ())
    assert found.why.startswith("yours ([set]); keel would choose decoder")
    assert any(
        "served better by decoder or encoder-decoder: of encoder, has no decoder" in text for text in found.beside
    )
