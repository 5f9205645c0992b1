"""Which candidate stands first: what fits, what is good enough, the smallest; recorded scores before published ones."""

from __future__ import annotations

from typing import Any

import pytest
from chosen import candidate, case, catalogue, data, model, score

from keel.catalog.rows import Model, Result
from keel.choose.candidates import Candidate
from keel.choose.rank import LONGEST, Shortlist, grown, shortlist
from keel.choose.weights import Weighed
from keel.choose.yardsticks import MNLI, recorded

TAG = case("tag", metric="accuracy")
ACCEPTED = case("tag", metric="accuracy", accept=0.85)


def mnli(model_id: str, value: float) -> Result:
    return Result(model_id, "nli", MNLI[0], MNLI[1], value, MNLI[2], "paper")


def ranked(*models: Model, cases: tuple[Weighed, ...] = (TAG,), results: tuple[Result, ...] = (), held: Any = None,
           **fields: dict[str, Any]) -> Shortlist:  # fmt: skip
    found = [candidate(each, cases, **fields.get(each.id, {})) for each in models]
    return shortlist(catalogue(*models, results=results), found, cases, held or data(), "encoder")


def ids(found: Shortlist) -> list[str]:
    return [item.candidate.model.id for item in found.ranked]


def facts(found: Shortlist) -> dict[str, str]:
    return {item.id: item.fact for item in found.dropped}


def sisters(*sizes: float) -> list[Model]:
    return [model(f"m{size:g}", size, family="m") for size in sizes]


@pytest.mark.parametrize(("small", "first"), [(81.0, "small"), (80.9, "large")])
def test_within_a_tenth_of_the_best_is_good_enough(small: float, first: str) -> None:
    found = ranked(model("small", 1e7), model("large", 1e9), results=(mnli("small", small), mnli("large", 90.0)))
    assert ids(found)[0] == first
    assert found.yardstick.startswith("MNLI-m, acc")


def test_unscored_stands_behind_what_is_scored() -> None:
    found = ranked(model("tiny", 1e6), model("bad", 1e7), model("good", 1e9),
                   results=(mnli("bad", 50.0), mnli("good", 90.0)))  # fmt: skip
    assert ids(found) == ["good", "bad", "tiny"]
    assert "no comparable published score" in found.ranked[-1].why


def test_the_best_is_that_of_those_that_fit() -> None:
    results = (mnli("small", 50.0), mnli("large", 72.0), mnli("foreign", 99.0))
    models = model("small", 1e7), model("large", 1e9), model("foreign", 2e9)
    assert ids(ranked(*models, results=results, foreign={"unsure": True})) == ["large", "small", "foreign"]
    assert ids(ranked(*models, results=results)) == ["foreign", "small", "large"]


def test_cover_comes_before_scores_and_size() -> None:
    cases = (TAG, case("find", "retrieval"))
    decoder = model("d", 1e6, architecture="decoder", objective="CLM")
    assert ids(ranked(decoder, model("e", 1e9), cases=cases)) == ["e", "d"]


def test_a_context_that_holds_half_of_a_document_comes_before_size() -> None:
    held = data(documents=1e6, text_tokens=1024e6)
    found = ranked(model("short", 1e7, context=511), model("half", 1e9, context=512), held=held)
    assert ids(found) == ["half", "short"]


def test_only_the_smallest_of_a_family_is_listed_and_the_others_are_to_grow_to() -> None:
    found = ranked(*sisters(3e8, 1e8, 2e8))
    assert ids(found) == ["m1e+08"]
    assert facts(found) == {"m3e+08": "larger", "m2e+08": "larger"}
    assert [item.model.id for item in found.grown] == ["m2e+08", "m3e+08"]


def test_an_unknown_size_stands_last_and_grows_to_nothing() -> None:
    found = ranked(model("unknown", None, family="m"), *sisters(1e9))
    assert ids(found) == ["m1e+09"]
    assert grown([candidate(each) for each in sisters(1e8, 2e8)], candidate(model("x", None, family="m"))) == ()


def test_what_is_beyond_the_list_is_dropped_with_its_place() -> None:
    found = ranked(*(model(f"m{place}", 1e6 * place) for place in range(1, LONGEST + 3)))
    assert len(found.ranked) == LONGEST
    assert [item.why.split(":")[0] for item in found.dropped] == ["ranked 9 of 10", "ranked 10 of 10"]


def test_a_tied_category_keeps_its_places() -> None:
    many = [model(f"e{place}", 1e6) for place in range(LONGEST)]
    found = ranked(*many, model("d", 1e6, architecture="decoder", objective="CLM"))
    assert "d" in ids(found)


def test_no_candidate_gives_an_empty_list() -> None:
    assert ranked().ranked == ()


def test_recorded_the_smallest_that_is_accepted_stands_first_even_where_another_is_better() -> None:
    results = (score("m1e+08", "tag", 0.86), score("m2e+08", "tag", 0.99))
    found = ranked(*sisters(1e8, 2e8), cases=(ACCEPTED,), results=results)
    assert ids(found) == ["m1e+08", "m2e+08"]
    assert found.ranked[0].met
    assert found.yardstick == "your own recorded scores"


@pytest.mark.parametrize(("small", "first"), [(0.881, "m1e+08"), (0.879, "m2e+08")])
def test_recorded_without_acceptance_the_margin_decides(small: float, first: str) -> None:
    found = ranked(*sisters(1e8, 2e8), results=(score("m1e+08", "tag", small), score("m2e+08", "tag", 0.90)))
    assert ids(found)[0] == first
    assert not found.ranked[0].met, "nothing was said to be accepted"


def test_one_that_misses_gives_way_with_its_smaller_sisters_and_the_larger_are_left() -> None:
    found = ranked(*sisters(5e7, 1e8, 2e8, 3e8), cases=(ACCEPTED,), results=(score("m1e+08", "tag", 0.84),))
    assert facts(found) == {"m1e+08": "missed", "m5e+07": "missed", "m3e+08": "larger"}
    assert ids(found) == ["m2e+08"]
    assert [item.model.id for item in found.grown] == ["m3e+08"]


def test_a_use_case_that_was_not_scored_is_unknown_neither_met_nor_missed() -> None:
    cases = (ACCEPTED, case("names", "token-classification", 0.5, accept=0.8))
    results = (score("a", "tag", 0.90), score("b", "tag", 0.89), score("b", "names", 0.81, "f1"))
    found = ranked(model("a", 1e8), model("b", 2e8), cases=cases, results=results)
    assert ids(found) == ["b", "a"]
    assert [item.met for item in found.ranked] == [True, False]
    assert "names: not scored" in found.ranked[1].why
    assert "misses" not in found.ranked[1].why
    assert found.recorded == ("tag", "names")


@pytest.mark.parametrize(("metric", "accept"), [("error rate", 0.15), ("perplexity", 12.0), ("bits_per_byte", 1.0)])
def test_where_less_is_better_less_is_accepted(metric: str, accept: float) -> None:
    wanted = case("tag", metric=metric, accept=accept)
    results = (score("m1e+08", "tag", accept * 1.01, metric), score("m2e+08", "tag", accept * 0.99, metric))
    found = ranked(*sisters(1e8, 2e8), cases=(wanted,), results=results)
    assert ids(found) == ["m2e+08"]
    assert facts(found) == {"m1e+08": "missed"}


def test_an_acceptance_of_nothing_at_all_is_met_by_a_score_of_nothing() -> None:
    wanted = case("tag", metric="error", accept=0.0)
    assert ranked(model("a"), cases=(wanted,), results=(score("a", "tag", 0.0, "error"),)).ranked[0].met


def test_the_best_is_the_best_candidate() -> None:
    found = ranked(model("a", 1e8), model("b", 2e8),
                   results=(score("a", "tag", 0.8), score("b", "tag", 0.81), score("barred", "tag", 0.99)))  # fmt: skip
    assert "within 0.02 of the best" in found.ranked[0].why
    assert found.left == ("tag: barred is no candidate here",)


def test_recorded_scores_of_another_metric_or_setting_rank_nothing_and_are_told() -> None:
    results = (score("a", "tag", 0.8), score("b", "tag", 0.7, "macro-F1"), score("b", "tag", 0.9, setting="zero-shot"),
               score("c", "tag", 0.8, "Accuracy"))  # fmt: skip
    found = recorded(catalogue(results=results), "tag", "accuracy")
    assert set(found.scores) == {"a", "c"}
    assert len(found.left) == 2
    assert recorded(catalogue(results=results), "tag", "macro_f1").scores["b"].value == 0.7
    assert recorded(catalogue(results=[score("a", "tag", 0.8, kept="shipped")]), "tag", None).scores == {}


def test_a_candidate_is_listed_once() -> None:
    twice: list[Candidate] = [candidate(each, (TAG,)) for each in sisters(1e8, 2e8, 3e8)]
    found = shortlist(catalogue(results=[score("m2e+08", "tag", 0.5)]), twice, (TAG,), data(), "encoder")
    assert sorted([*ids(found), *facts(found)]) == ["m1e+08", "m2e+08", "m3e+08"]
    assert facts(found) == {"m1e+08": "unscored", "m3e+08": "unscored"}


def test_sizes_alike_are_one_size_then_tokens_before_bytes_then_the_younger() -> None:
    old, young = model("old", 1e8, year=2019), model("young", 1.02e8, year=2023)
    letters = model("letters", 0.99e8, year=2024, context_said="1024 bytes")
    assert ids(ranked(old, letters, young)) == ["young", "old", "letters"]
    assert ids(ranked(old, young._replace(params=1.3e8))) == ["old", "young"], "not alike: the smaller is first"


def test_an_unknown_context_stands_between_one_that_holds_a_long_document_and_one_that_does_not() -> None:
    models = model("short", 1e7, context=512), model("unknown", 2e7), model("long", 1e9, context=1024)
    assert ids(ranked(*models, held=data(documents=1e6, text_tokens=2048e6))) == ["long", "unknown", "short"]
    assert ids(ranked(*models, held=data(documents=1e6, text_tokens=512e6))) == ["short", "unknown", "long"]


@pytest.mark.parametrize(("languages", "used"), [(("en",), True), (("de",), False), (("en-GB",), True), ((), True)])
def test_english_scores_do_not_rank_other_languages(languages: tuple[str, ...], used: bool) -> None:
    models = model("small", 1e7), model("large", 1e9)
    found = ranked(*models, results=(mnli("small", 50.0), mnli("large", 90.0)), held=data(languages=languages))
    assert bool(found.yardstick) is used
    assert (ids(found)[0] == "large") is used
