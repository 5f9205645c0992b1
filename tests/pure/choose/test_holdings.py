"""What there is to train on: measured or stated, without what is repeated, unknown where nobody says."""

from __future__ import annotations

from typing import Any

import pytest
from chosen import SHIPPED

from keel.choose.holdings import STATED, Holdings, of_study
from keel.study import Study

ROW = {"vocabulary": 32768, "train_tokens": 1000.0, "train_tokens_low": 900.0, "train_tokens_high": 1100.0}
CORPUS = {
    "tokens": [ROW | {"vocabulary": 512, "train_tokens": 5000.0}, ROW], "bytes": {"value": 4500.0},
    "documents": {"value": 10.0}, "duplicates": {"exact_documents": 2, "sampled_documents": 8},
    "languages": [{"code": "en", "share": 0.93}, {"code": "de", "share": 0.05}, {"code": "fr", "share": 0.015},
                  {"code": "other", "share": 0.005}],
}  # fmt: skip


def study(**data: Any) -> Study:
    return Study.model_validate({"data": data})


def measured(corpus: dict[str, Any], **said: Any) -> Holdings:
    return of_study(SHIPPED, study(train="x", **said), CORPUS | corpus)


def stated(**said: Any) -> Holdings:
    return of_study(SHIPPED, study(stated=said), None)


def test_measured_tokens_lose_the_share_of_exact_copies_at_all_ends() -> None:
    held = measured({})
    assert held.unique is not None
    assert held.unique.ends == pytest.approx((750.0, 675.0, 825.0))
    assert "less 25 % duplicates" in held.unique.source
    assert held.document_tokens == pytest.approx(100.0)
    assert not held.stated


@pytest.mark.parametrize("found", [{}, {"exact_documents": 0, "sampled_documents": 0}, None])
def test_duplicates_that_were_not_counted_take_nothing(found: Any) -> None:
    held = measured({"duplicates": found})
    assert held.unique is not None
    assert held.unique.ends == (1000.0, 900.0, 1100.0)
    assert "duplicates" not in held.unique.source


def test_languages_from_one_in_twenty_on_have_to_be_known_and_the_rest_is_told() -> None:
    held = measured({})
    assert held.languages == ("en", "de")
    assert held.few == ("fr 1.5 %", "other 0.5 %")


def test_parallel_text_has_its_sides_and_its_pairs() -> None:
    held = measured({"kind": "parallel"}, parallel={"en": "a", "is": "b"})
    assert (held.languages, held.pairs, held.supervised) == (("en", "is"), 7.5, True)


def test_instructions_are_pairs_of_input_and_output() -> None:
    assert measured({"kind": "instructions"}, prompt="q", answer="a").pairs == 7.5
    assert measured({}).pairs is None


def test_a_measurement_replaces_a_statement_and_says_so() -> None:
    held = measured({}, stated={"bytes": 9e9, "labels": 70, "domain": "shops", "languages": ["xx"]})
    assert held.unique is not None
    assert held.unique.value == pytest.approx(750.0)
    assert (held.stated, held.labels, held.domain, held.languages) == (False, 70.0, "shops", ("en", "de"))
    assert "in place of what [data] stated says" in held.source


def test_stated_bytes_become_tokens_with_a_range() -> None:
    held = stated(bytes=20e9, languages=["en"])
    assert held.unique is not None
    assert held.unique.low < 4.39e9 < held.unique.high
    assert held.unique.source.startswith(f"bytes {STATED}")
    assert held.stated
    assert (held.labels, held.documents, held.document_tokens) == (None, None, None)


def test_stated_duplicates_are_left_out_of_tokens_but_not_of_a_documents_length() -> None:
    held = stated(tokens=1e9, documents=1e6, duplicates=0.4)
    assert held.unique is not None
    assert held.unique.ends == pytest.approx((6e8, 6e8, 6e8))
    assert held.document_tokens == pytest.approx(1000.0)


def test_documents_alone_leave_the_tokens_unknown() -> None:
    assert stated(documents=1e6).unique is None


@pytest.mark.parametrize(
    ("said", "modality"),
    [({"documents": 1000, "pairs": 1000, "bytes": 1e6}, "parallel"), ({"documents": 1001, "pairs": 1000}, "text"),
     ({"bytes": 1.2e9, "pairs": 5_000_000}, "parallel"), ({"bytes": 3e11, "pairs": 1_000_000}, "text"),
     ({"bytes": 2e9, "pairs": 1_000_000}, "parallel"), ({"bytes": 2.1e9, "pairs": 1_000_000}, "text"),
     ({"tokens": 1e9, "pairs": 1_000_000}, "text"), ({"bytes": 1e6, "pairs": 0}, "text")],
)  # fmt: skip
def test_text_is_its_pairs_or_has_them_beside_it(said: dict[str, Any], modality: str) -> None:
    assert stated(**said).modality == modality


def test_images_and_pairs_are_counted_and_their_bytes_are_no_tokens() -> None:
    images, both = stated(modality="image", documents=5e4), stated(modality="image-text", pairs=7, bytes=1e9)
    assert images.unique is not None
    assert both.unique is not None
    assert (images.unit, images.unique.value, images.generic) == ("images", 5e4, "vision")
    assert (both.unit, both.unique.value, both.text_tokens, both.generic) == ("pairs", 7.0, None, "vision-language")
    assert stated(modality="image", bytes=1e9).unique is None
