"""The decision joined: what the user wishes, what binds, and what is told beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chosen import SHIPPED, case, catalogue, data, model, shortlist
from helpers import study_error

from keel.choose.candidates import Candidate, Dropped, Survey, Wanted
from keel.choose.category import choose
from keel.choose.rank import Shortlist
from keel.errors import Refused
from keel.plan.answer import decision_json
from keel.plan.binding import Lost, lost_of
from keel.plan.decide import Decision, Evidence, decide
from keel.study import Limits, Study

DAY = "2026-11-24"
TEXT = {"bytes": 20e9, "languages": ["en"]}
SEARCH = {"name": "search", "task": "retrieval"}
DRAFT = {"name": "draft", "task": "text-generation"}
NOTHING = Evidence()
P4D = {"hardware": ["aws:p4d.24xlarge"], "licence": "permissive"}


def made(folder: Path, *uses: dict[str, Any], stated: dict[str, Any] = TEXT, seen: Evidence = NOTHING,
         **tables: Any) -> Decision:  # fmt: skip
    tree = {"data": {"stated": stated}, "use_case": uses or (SEARCH,), "limits": P4D} | tables
    return decide(folder, Study.model_validate(tree), SHIPPED, seen, DAY)


def told(found: Decision) -> str:
    return "\n".join(map(str, found.problems))


def test_product_search_goes_on_from_a_released_encoder_and_data_bind(tmp_path: Path) -> None:
    found = made(tmp_path, budget={"compute_usd": 20_000})
    assert (found.route.value, found.chosen.category, found.binds) == ("continue", "encoder", "data")
    assert found.base is not None
    assert found.base.name == found.listed.ranked[0].candidate.model.id
    assert found.binds_why.startswith("data binds, not money: from scratch 9")
    assert found.fresh.usd is not None
    assert found.fresh.usd.value < 1000


def test_without_a_budget_what_binds_is_said_as_far_as_is_known(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert (found.ask.flop, found.cost.usd is None) == (None, False)
    assert found.binds_why == "data binds, as far as is known: the budget in FLOP is unknown"
    assert "no budget is given" in told(found)


def test_a_budget_that_ends_the_route_binds(tmp_path: Path) -> None:
    poor, rich = (made(tmp_path, DRAFT, budget={"compute_usd": usd}) for usd in (5, 50_000))
    assert (poor.binds, rich.binds) == ("compute", "data")
    assert "the budget pays for" in told(poor)
    assert "the budget pays for" not in told(rich)


def test_data_that_cannot_train_the_category_are_no_part_of_size_or_cost(tmp_path: Path) -> None:
    images = {"modality": "image", "documents": 5e6}
    found = made(tmp_path, {"name": "digest", "task": "summarization"}, stated=images, budget={"compute": "1e20"})
    assert (found.chosen.category, found.route.value) == ("decoder", "use")
    assert (found.ask.unique, found.ask.unit, found.ask.unit_tokens) == (None, "tokens", None)
    assert found.fresh.flop is None
    assert "image data cannot train a decoder model" in told(found)


def test_a_folder_to_start_from_is_the_base_with_stated_data(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    found = made(tmp_path, start={"from": "weights"})
    assert (found.route.value, found.base and found.base.name) == ("continue", "weights")
    assert found.cost.flop is None
    assert "the size of the base is unknown" in found.cost.how
    assert "what 'weights' may be used for is not known" in told(found)
    base = decision_json(found)["base"]
    assert (base["id"], base["licence"], base["licence_class"], base["params"]) == ("weights", None, "unknown", None)


def test_a_measured_folder_gives_the_base_its_size_and_the_category(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    seen = Evidence(released={"name": "my-gpt", "family": "gpt2", "params": 2e7})
    found = made(tmp_path, seen=seen, start={"from": "weights"})
    assert found.chosen.category == "decoder"
    assert found.chosen.why.startswith("yours ([start] from = 'weights'); keel would choose encoder")
    assert found.cost.flop is not None
    assert found.cost.flop.value == pytest.approx(6 * 2e7 * found.held.unique.value)  # type: ignore[union-attr]


def test_a_named_base_stands_first_and_nothing_is_lost(tmp_path: Path) -> None:
    auto, named = made(tmp_path), made(tmp_path, start={"from": "bert-large-uncased"})
    assert named.listed.ranked[0].candidate.model.id == "bert-large-uncased"
    assert named.listed.ranked[0].why.startswith("yours ([start] from)")
    for found in (auto, named):
        ids = [item.candidate.model.id for item in found.listed.ranked]
        ids += [item.id for item in (*found.listed.dropped, *found.surveyed.dropped)]
        assert sorted(ids) == sorted(SHIPPED.models)
    assert {item.model.family for item in named.listed.grown} <= {"BERT"}


def test_a_named_base_that_serves_nothing_is_kept_as_yours_and_told(tmp_path: Path) -> None:
    found = made(tmp_path, start={"from": "vit-base-16-in21k"})
    assert found.base is not None
    assert (found.base.name, found.chosen.category) == ("vit-base-16-in21k", "vision")
    assert "'vit-base-16-in21k' is no candidate by the facts, and is kept as yours" in told(found)
    assert decision_json(found)["base"]["note"].startswith("patches")


def test_a_named_base_against_the_licence_is_refused_with_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        made(tmp_path, DRAFT, start={"from": "opt-125m"})
    assert "contradicts the limits" in refused.value.refusal.what
    assert "relax [limits] licence" in refused.value.refusal.fix
    assert "meets them" in refused.value.refusal.fix


def test_set_route_and_category_are_yours_and_wrong_ones_are_told(tmp_path: Path) -> None:
    found = made(tmp_path, set={"route": "collect", "category": "decoder"})
    assert (found.route.value, found.chosen.category, found.binds) == ("collect", "decoder", "data")
    assert [number.name for number in found.numbers if number.yours] == ["route", "category"]
    with study_error("'route' is wrong", "continue"):
        made(tmp_path, set={"route": "continu"})
    with study_error("'category' is wrong", "encoder"):
        made(tmp_path, set={"category": "encodr"})


def test_all_unknown_names_are_told_at_once(tmp_path: Path) -> None:
    served = {"accelerator": "t44", "latency_ms": 4}
    with study_error("bertt", "'t44'", "aws:p4d.24xlarg'") as seen:
        made(tmp_path, SEARCH | {"serve": served}, start={"from": "bertt"}, limits={"hardware": ["aws:p4d.24xlarg"]})
    assert len(seen[0].problems) == 3


@pytest.mark.parametrize(
    ("serve", "word"),
    [({"latency_ms": 40}, "the latency of 'search' is not weighed"),
     ({"latency_ms": 40, "accelerator": "a30"}, "how fast a a30 is, is unknown"),
     ({"latency_ms": 40, "accelerator": "t4"}, "")],
)  # fmt: skip
def test_a_latency_that_cannot_be_weighed_is_told(tmp_path: Path, serve: dict[str, Any], word: str) -> None:
    found = told(made(tmp_path, SEARCH | {"serve": serve}))
    assert word in found
    assert ("is not weighed" in found) == bool(word)


def test_limits_that_nothing_meets_are_refused_with_a_relaxation_that_works(tmp_path: Path) -> None:
    serve = {"latency_ms": 0.001, "accelerator": "t4"}
    with pytest.raises(Refused) as refused:
        made(tmp_path, SEARCH | {"serve": serve})
    enough = float(refused.value.refusal.fix.split(" to ")[1].split(":")[0])
    assert made(tmp_path, SEARCH | {"serve": serve | {"latency_ms": enough}}).base is not None


def test_tokens_served_are_a_number_with_its_convention(tmp_path: Path) -> None:
    found = made(tmp_path, SEARCH | {"serve": {"queries_per_day": 1000}})
    served = next(number for number in found.numbers if number.name == "size.served_tokens")
    assert served.value == 1000 * 128 * 365
    assert "convention" in served.source


def lost(surveyed: Survey, listed: Shortlist, *models: Any, **limits: Any) -> Lost:
    cases = (case("tag"),)
    wanted = Wanted(cases, data(), Limits(**limits), choose(cases, data()))
    return lost_of(catalogue(*models), wanted, surveyed, listed)


def test_what_leaves_no_released_model() -> None:
    barred, none = model("a", licence_class="non-commercial"), shortlist()
    assert lost(Survey((), ()), shortlist(barred)) == Lost()
    found = lost(Survey((), (Dropped("a", "licence", "x"),)), none, barred, licence="permissive")
    assert found.binds == "licence"
    assert "drops all 1 that would serve" in found.why
    foreign = barred._replace(languages="fr")
    found = lost(Survey((), (Dropped("a", "licence", "x"),)), none, foreign, licence="permissive")
    assert found.binds == "", "without the licence it would not serve either"
    found = lost(Survey((), (Dropped("a", "memory", "x"), Dropped("b", "latency", "x"))), none)
    assert found.binds == "latency"
    assert "none knows all of en" in lost(Survey((), (Dropped("a", "language", "x"),)), none).why
    assert "serves a use case" in lost(Survey((), (Dropped("a", "use", "x"),)), none).why
    left: Any = Candidate(barred, "masked", (), 1.0, ())
    assert "misses what you accept" in lost(Survey((left,), ()), none).why


@pytest.mark.parametrize(("share", "times"), [(0.1, 0.1), (0.5, 0.5), (2.0, 2.0)])
def test_what_another_sum_would_buy(tmp_path: Path, share: float, times: float) -> None:
    held = {"tokens": 1e13, "languages": ["en"]}
    found = made(tmp_path, DRAFT, stated=held, budget={"compute_usd": 10_000})
    row = next(item for item in decision_json(found)["smaller"] if item["share"] == share)
    assert row["usd"] == 10_000 * times
    again = made(tmp_path, DRAFT, stated=held, budget={"compute_usd": 10_000 * times})
    assert row["params"] == pytest.approx(again.band.params)
    assert row["tokens"] == pytest.approx(again.band.tokens)
    assert row["covers_route"] == (again.cost.share == 1.0)


def test_another_sum_takes_its_share_of_stated_flop_too(tmp_path: Path) -> None:
    flop = made(tmp_path).cost.flop
    assert flop is not None
    found = made(tmp_path, budget={"compute_usd": 20_000, "compute": flop.value * 1.5})
    assert [item["covers_route"] for item in decision_json(found)["smaller"]] == [False, False, True]
