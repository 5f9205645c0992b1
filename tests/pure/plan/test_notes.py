"""What a plan does not weigh is said."""

from __future__ import annotations

from keel.objective.facts import FACTS
from keel.plan.notes import notes
from keel.study import parse

DATA = {"data": {"train": "x"}}


def test_a_use_case_that_the_loss_precludes_is_named() -> None:
    found = notes(parse(DATA | {"use_case": [{"name": "gaps", "task": "fill-mask"}]}), ("clm", FACTS["clm"]))
    assert "precluded" in found[0].what
    assert "left" in found[0].why


def test_a_use_case_that_no_source_speaks_of_is_named() -> None:
    found = notes(parse(DATA | {"use_case": [{"name": "cats", "task": "image-classification"}]}), ("clm", FACTS["clm"]))
    assert "nothing is known" in found[0].what


def test_a_use_case_that_the_loss_unlocks_needs_no_word() -> None:
    asked = parse(DATA | {"use_case": [{"name": "write", "task": "text-generation"}]})
    assert notes(asked, ("clm", FACTS["clm"])) == []


def test_fields_that_are_not_weighed_are_listed() -> None:
    case = {"name": "write", "task": "text-generation", "metric": "rouge1", "accept": 0.4}
    found = notes(parse(DATA | {"use_case": [case]}), ("clm", FACTS["clm"]))
    assert "use_case.metric, use_case.accept" in found[0].what
    assert notes(parse(DATA | {"use_case": [case]}), None, recorded=["write"]) == [], "recorded scores are weighed"


def test_losses_of_plain_text_are_left_out_of_pairs_aloud() -> None:
    case = {"use_case": [{"name": "help", "task": "translation"}]}
    pairs = {"data": {"parallel": {"en": "a.en", "de": "a.de"}}}
    (found,) = notes(parse(pairs | case), ("translation", FACTS["translation"]))
    assert "mbart" in found.what
    assert "tlm" not in found.what
    assert "[data] is parallel" in found.why
    assert notes(parse(pairs), ("translation", FACTS["translation"])) == []
