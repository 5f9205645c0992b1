"""Each route by a small shortlist, its threshold from both sides, and what is said of the routes not taken."""

from __future__ import annotations

from typing import Any

import pytest
from chosen import case, data, model, shortlist

from keel.choose.holdings import Holdings
from keel.choose.rank import Shortlist
from keel.choose.reasons import Fresh, Known, thresholds, trained_flop
from keel.choose.route import ORDER, Route, decide, forced

BERT = model("bert", 1e8, train_flop=1e20)
GPT = model("gpt", 1e8, architecture="decoder", objective="CLM", train_flop=1e20)
TAG, DRAFT = case("tag"), case("draft", "text-generation")
POOR = Fresh(None, None, "data")
RICH = Fresh(1e23, 1e9, "compute")


def known(held: Holdings, listed: Shortlist | None = None, fresh: Fresh = POOR, cases: Any = (TAG,),
          category: str = "encoder", lost: str = "") -> Known:  # fmt: skip
    listed = shortlist(BERT, cases=cases) if listed is None else listed
    name = listed.ranked[0].candidate.model.id if listed.ranked else ""
    return Known(listed, cases, held, category, fresh, name, lost)  # type: ignore[arg-type]


def route(held: Holdings, *rest: Any, start: str = "auto", **more: Any) -> Route:
    return decide(known(held, *rest, **more), start)


@pytest.mark.parametrize(
    ("held", "value"),
    [(data(1e7), "continue"), (data(9.9e6), "collect"), (data(None), "collect"),
     (data(1e6, labels=64.0), "fine-tune"), (data(1e6, labels=63.0), "collect"), (data(1e6, labels=0.0), "collect"),
     (data(1e6, pairs=1000.0), "fine-tune"), (data(1e6, pairs=999.0), "collect"),
     (data(1e9, "parallel", pairs=1e6), "fine-tune"), (data(1e9, "instructions", pairs=50.0), "collect"),
     (data(1e6, rows={"tag": 64}), "fine-tune"), (data(1e6, rows={"tag": 63}), "collect"),
     (data(1e6, rows={"tag": None}), "fine-tune"), (data(1e6, rows={"tag": 0}), "collect")],
)  # fmt: skip
def test_text_and_examples_from_both_sides(held: Holdings, value: str) -> None:
    assert route(held).value == value


@pytest.mark.parametrize(
    ("held", "category", "value"),
    [(data(3e5, "image"), "vision", "continue"), (data(2.9e5, "image", labels=64.0), "vision", "fine-tune"),
     (data(1e6, "image-text"), "vision-language", "continue"),
     (data(9e5, "image-text"), "vision-language", "fine-tune"),
     (data(999, "image-text"), "vision-language", "collect")],
)  # fmt: skip
def test_images_and_pairs_from_both_sides(held: Holdings, category: str, value: str) -> None:
    assert route(held, category=category).value == value


def test_a_release_is_used_where_it_serves_as_it_is_and_nothing_can_be_trained() -> None:
    listed = shortlist(GPT, cases=(DRAFT,))
    assert route(data(1e5), listed, cases=(DRAFT,), category="decoder").value == "use"
    assert route(data(1e5), listed, cases=(DRAFT, case("names", "sts")), category="decoder").value == "collect"
    assert route(data(1e7), listed, cases=(DRAFT,), category="decoder").value == "continue"
    assert route(data(1e5), listed, cases=(), category="decoder").value == "collect"


def test_a_release_whose_recorded_scores_are_accepted_is_used_though_data_are_many() -> None:
    assert route(data(1e9), shortlist(BERT, met=True)).value == "use"
    assert route(data(1e9), shortlist(BERT, met=False)).value == "continue"


@pytest.mark.parametrize(("flop", "value"), [(1.01e20, "scratch"), (0.99e20, "continue")])
def test_fresh_weights_where_more_is_spent_than_on_any_rival_of_that_size(flop: float, value: str) -> None:
    found = route(data(1e9), fresh=Fresh(flop, 1e9, "compute"))
    assert found.value == value
    assert "bert" in (found.why if value == "scratch" else found.others["scratch"])


@pytest.mark.parametrize(
    ("held", "fresh", "listed", "word"),
    [(data(9.9e7), RICH, shortlist(BERT), "too small to pretrain"),
     (data(1e9), RICH._replace(binds="data"), shortlist(BERT), "the data end before the budget"),
     (data(1e9), POOR, shortlist(BERT), "no budget"),
     (data(1e9), RICH._replace(params=9e7), shortlist(BERT), "larger than the 90M"),
     (data(1e9), RICH, shortlist(BERT._replace(train_flop=None)), "is unknown"),
     (data(1e9), RICH, shortlist(BERT, model("b", 1e6)), "is unknown")],
)  # fmt: skip
def test_why_not_from_scratch(held: Holdings, fresh: Fresh, listed: Shortlist, word: str) -> None:
    found = route(held, listed, fresh)
    assert found.value == "continue"
    assert word in found.others["scratch"]


def test_without_a_released_model_it_is_scratch_or_collect_with_the_reason() -> None:
    lost = "no released model is left: the limit 'permissive' of licences drops all 3 that would serve"
    found, poor = (route(data(amount), shortlist(), lost=lost) for amount in (1e8, 9e7))
    assert found.value == "scratch"
    assert found.why.startswith(lost)
    assert poor.value == "collect"
    assert poor.why.startswith(lost)
    assert {poor.others[name] for name in ("use", "continue", "fine-tune")} == {lost}


def test_data_that_cannot_train_the_category_continue_nothing() -> None:
    held = data(5e6, "image", labels=1e6)
    found = route(held, shortlist(GPT, cases=(DRAFT,)), RICH, (DRAFT,), "decoder")
    assert found.value == "use"
    for name in ("scratch", "continue", "fine-tune"):
        assert found.others[name] == "image data cannot train a decoder model"
    collected = route(held, shortlist(GPT, cases=(TAG,)), RICH, (TAG,), "decoder")
    assert collected.value == "collect"
    assert "gather 10M tokens" in collected.why


def test_every_other_route_says_why_and_one_that_holds_too_says_that_it_comes_later() -> None:
    found = route(data(1e9, labels=100.0))
    assert set(found.others) == set(ORDER) - {"continue"}
    assert found.others["fine-tune"].startswith("it comes after continue; 100 labels are enough")
    assert "too small" not in found.others["fine-tune"]
    assert "too small" in route(data(1e6, labels=100.0)).why


def test_unknown_is_said_to_be_unknown_and_not_too_small() -> None:
    found = route(data(None))
    assert "how many tokens there are is unknown, and 10M tokens are wanted" in found.why
    assert "too small" not in found.why
    assert "not said" in found.others["fine-tune"]


def test_stated_amounts_are_marked() -> None:
    assert "(stated, not measured)" in route(data(1e9, stated=True)).why


def test_scratch_and_a_named_base_are_the_users() -> None:
    found = route(data(1e9), start="scratch")
    assert (found.value, found.keel) == ("scratch", "continue")
    assert found.why.startswith("yours ([start] from); keel would continue")
    named = route(data(1e9), fresh=RICH, start="bert")
    assert (named.value, named.keel) == ("continue", "continue")
    assert named.why.startswith("yours: from 'bert'")
    assert route(data(1e6, labels=100.0), start="bert").value == "fine-tune", (
        "a base is named, not what is done with it"
    )


def test_a_folder_that_is_no_row_is_gone_on_from_by_its_name() -> None:
    facts = known(data(1e9))._replace(name="my-weights")
    assert facts.base is None
    assert "my-weights" in decide(facts, "./my-weights").why


def test_a_forced_route_keeps_the_reasons_of_the_others() -> None:
    own = route(data(1e9))
    found = forced(own, "collect")
    assert (found.value, found.keel) == ("collect", "continue")
    assert found.others["continue"] == own.why
    assert "collect" not in found.others


def test_training_flop_is_published_or_six_n_d_or_unknown() -> None:
    assert trained_flop(model("x", 1e8, train_flop=5.0, seen=1e9, seen_unit="B tokens")) == 5.0
    assert trained_flop(model("x", 1e8, seen=3e9, seen_unit="B tokens")) == 6 * 1e8 * 3e9
    assert trained_flop(model("x", 1e8, seen=3e9, seen_unit="M pairs")) is None
    assert trained_flop(model("x", None, seen=3e9, seen_unit="B tokens")) is None


def test_thresholds_are_those_that_decide_each_with_its_source() -> None:
    assert [row[:3] for row in thresholds(data(1))][:2] == [("continue", 1e7, "tokens"), ("scratch", 1e8, "tokens")]
    assert all(source.startswith("convention") for *_, source in thresholds(data(1, "image-text")))
