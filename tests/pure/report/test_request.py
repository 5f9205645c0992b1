"""The budget as a request: the ask with its reserves, what it buys, what binds; one page, safe, without network."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from test_report_page import EVIL, Page
from typer.testing import CliRunner

from keel import cli
from keel.files import write_json, write_text
from keel.report.request import request
from keel.report.request_figure import MoneyBuys
from keel.report.request_input import request_of
from keel.report.request_sums import rates_of, sums
from keel.report.request_words import headline
from keel.study import Study

STUDY: dict[str, Any] = {
    "data": {"stated": {"modality": "text", "bytes": 20e9, "languages": ["en"]}},
    "use_case": [
        {"name": "product search", "task": "retrieval", "weight": 3, "value_usd": 320_000},
        {"name": "descriptions", "task": "text-generation", "value_usd": 80_000},
    ],
    "budget": {"compute_usd": 20_000, "people_days": 20, "deadline": "6 weeks"},
}
# As plan.answer.decision_json gives it for product search: 1 to 4 passes over 4.4 B tokens.
CONTINUED: dict[str, Any] = {
    "as_of": "2026-11-24",
    "numbers": [{"name": "price.aws:p4d.24xlarge", "value": 21.96, "low": 21.96, "high": 35.56, "source": "a list"}],
    "decision": {
        "route": {"value": "continue", "why": "4.4B tokens are enough to go on with"},
        "category": {"value": "encoder", "why": "covers most"},
        "base": {"id": "some-encoder", "params": 66e6, "licence": "apache-2.0", "licence_basis": "card",
                 "as_of": "2026-11-24"},
        "shortlist": [{"id": "some-encoder", "matrix": [
            {"use_case": "product search", "serves": "yes", "why": "one vector a text"},
            {"use_case": "descriptions", "serves": "no", "why": "gives no next token"},
        ]}],
        "cost": {"usd": 8.0, "usd_low": 4.0, "usd_high": 64.0, "hours": 0.3, "hours_low": 0.2, "hours_high": 1.8,
                 "flop": 1e18, "tokens": 4.4e9, "tokens_low": 4.0e9, "tokens_high": 19.2e9, "nodes": 1,
                 "hardware": "aws:p4d.24xlarge", "how": "6 N D"},
        "size": {"params": 2e8, "params_low": 1e7, "params_high": 9e8, "low_set_by": "a", "high_set_by": "b",
                 "laws": []},
        "data": {"unit": "tokens", "unique": 4.4e9, "high": 4.8e9, "stated": True}, "binds": "data",
        "budget": {"reserves": [{"name": "ladder", "share": 0.1}, {"name": "failures", "share": 0.1}]},
        "smaller": [], "problems": [{"what": "prices are 127 days old", "why": "of July", "fix": "", "where": ""}],
    },
}  # fmt: skip


def changed(**parts: Any) -> dict[str, Any]:
    """The plan with parts of its decision replaced; tables are laid over."""
    made = copy.deepcopy(CONTINUED)
    for name, value in parts.items():
        old = made["decision"].get(name)
        made["decision"][name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return made


def study(**parts: Any) -> Study:
    return Study.model_validate({**STUDY, **parts})


def scratch() -> dict[str, Any]:
    """Fresh weights that money bounds: at the dear end it is spent when 43 % is done."""
    bought = ((0.1, 21e9, 0.41e12), (0.5, 49e9, 0.9e12), (2.0, 100e9, 1.76e12))
    others = [{"usd": part * 5e6, "share": part, "params": size, "tokens": seen} for part, size, seen in bought]
    return changed(
        route={"value": "scratch"}, base=None, binds="compute", smaller=others,
        cost={"usd_low": 3.2e6, "usd": 4e6, "usd_high": 5e6, "tokens": 1.26e12, "tokens_low": 1.26e12,
              "tokens_high": 0.54e12, "hours": 5200, "hours_low": 4200, "hours_high": 3900, "nodes": 14},
        size={"params": 70e9, "laws": [{"law": "one", "outside": "flop 176x above", "in_band": True}]},
        data={"unique": 3e12, "high": 3e12},
    )  # fmt: skip


def words_of(page: Page) -> str:
    """What a person reads, breaking or not."""
    return page.words.replace("\u00a0", " ")


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(request(CONTINUED, study(), "shop"))


def test_the_ask_is_the_plans_cost_with_its_reserves() -> None:
    made = request_of(CONTINUED, study())
    assert (made.usd_low, made.usd_high) == pytest.approx((4 / 0.8, 64 / 0.8))
    assert headline(made) == "We ask for $5 to $80 of compute and 20 people-days, within 6 weeks"


def test_a_budget_that_ends_the_training_is_not_asked_above() -> None:
    made = request_of(scratch(), study(budget={"compute_usd": 5e6}))
    assert made.usd_high == 5e6


def test_the_ask_comes_first_and_everything_is_on_the_page(page: Page) -> None:
    assert page.headings == [
        "What it buys",
        "What other sums would buy",
        "What could go wrong",
        "What the sum is made of",
    ]
    for words in ("We ask for $5 to $80", "some-encoder", "apache-2.0", "4 passes over the data", "not served",
                  "0.02 % at most", "$400,000 a year", "$19,920 or more stay unspent", "The data bind, not the money",
                  "prices are 127 days old", "'descriptions' (text-generation) is not served", "20 % of the sum",
                  "approved by"):  # fmt: skip
        assert words in words_of(page), words


def test_nothing_is_loaded_and_no_script_is_there(page: Page) -> None:
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"script", "img", "iframe", "object", "form", "base"}
    loaded = [attrs for _, attrs in page.seen if any(key in attrs for key in ("src", "data"))]
    assert loaded == []
    assert not [attrs for tag, attrs in page.seen if tag == "link"]


def test_what_comes_from_outside_is_escaped() -> None:
    made = changed(base={"id": EVIL, "licence": EVIL}, route={"why": EVIL}, binds=EVIL,
                   problems=[{"what": EVIL, "why": EVIL}])  # fmt: skip
    uses = [{"name": EVIL, "task": "retrieval"}]
    text = request(made, study(use_case=uses), EVIL)
    assert "<script" not in text
    assert "onerror=alert(2)>" not in text
    assert EVIL in Page(text).words


def test_an_unknown_sum_is_said_and_not_drawn() -> None:
    nothing = {"usd": None, "usd_low": None, "usd_high": None, "hours": None, "hours_low": None, "hours_high": None}
    made = changed(cost=nothing)
    shown = Page(request(made, study(budget={})))
    assert "The sum is not known yet: the study says no budget" in shown.words
    assert "svg" not in {tag for tag, _ in shown.seen}
    assert "approved by" not in shown.words


@pytest.mark.parametrize("route", ["use", "collect"])
def test_nothing_is_asked_for_where_nothing_is_trained(route: str) -> None:
    cost = dict.fromkeys((name for name in CONTINUED["decision"]["cost"] if re.match("usd|hours|tokens", name)), 0.0)
    shown = Page(request(changed(route={"value": route}, cost=cost), study()))
    assert "No compute is asked for and 20 people-days are, within 6 weeks" in shown.words
    assert "$20,000 that the study allows stay unspent" in shown.words
    assert "svg" not in {tag for tag, _ in shown.seen}


def test_a_smaller_sum_sees_less_and_a_larger_one_no_more() -> None:
    listed = sums(request_of(CONTINUED, study()))
    assert [item.usd for item in listed] == pytest.approx([8, 40, 80, 20_000])
    assert [item.seen for item in listed] == pytest.approx([1.92e9, 9.6e9, 19.2e9, 19.2e9])
    assert "nothing more" in listed[-1].words
    assert listed[1].words == "9.6B tokens seen: 2 passes over the data"


def test_money_that_binds_buys_another_size() -> None:
    made = request_of(scratch(), study(budget={"compute_usd": 5e6}))
    listed = sums(made)
    assert [item.usd for item in listed] == [5e5, 2.5e6, 5e6, 1e7]
    assert listed[2].words == "70B parameters on 1.26T tokens"
    figure = MoneyBuys.of(made)
    assert figure is not None
    assert figure.kink_usd is None
    words = words_of(Page(request(scratch(), study(budget={"compute_usd": 5e6}))))
    assert "The money binds" in words
    assert "the money ends when 43 % of the tokens are seen" in words
    assert "the size rests on laws outside their range: one (flop 176x above)" in words
    assert "14 x aws:p4d.24xlarge" in words


def test_the_line_rises_to_the_ask_and_is_flat_from_there() -> None:
    made = request_of(CONTINUED, study())
    figure, rates = MoneyBuys.of(made), rates_of(made)
    assert figure is not None
    assert rates is not None
    assert figure.kink_usd == made.usd_high
    assert rates.dear == pytest.approx(80 / 19.2e9)
    assert rates.cheap == pytest.approx(5 / 4e9)
    lows = [span.low for span in figure.spans]
    assert lows == sorted(lows)
    assert all(span.low <= span.high <= rates.most for span in figure.spans)
    assert {span.low for span in figure.spans if span.usd >= figure.kink_usd} == {19.2e9}
    assert all(span.low < 19.2e9 for span in figure.spans if span.usd < figure.kink_usd)


def test_a_budget_above_its_value_is_a_risk() -> None:
    cheap = study(budget={"compute_usd": 20_000, "value_usd": 100})
    words = words_of(Page(request(CONTINUED, cheap)))
    assert "at most 80 % of the $100 a year that the gain is said to be worth, above the 10 %" in words
    assert "the ask is above 10 % of the value" in words


def test_an_ask_above_what_is_allowed_says_so() -> None:
    tight = study(budget={"compute_usd": 50})
    assert "$30 more than the $50 that the study allows" in words_of(Page(request(CONTINUED, tight)))


def invoke(*arguments: str) -> Any:
    done = CliRunner().invoke(cli.app, ["report", "--request", *arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_the_verb_writes_the_same_page_twice(tmp_path: Path) -> None:
    stated = '[data.stated]\nmodality = "text"\nbytes = 20e9\n[[use_case]]\nname = "find"\ntask = "retrieval"\n'
    write_text(tmp_path / "study.toml", f"{stated}[budget]\ncompute_usd = 20_000\n")
    assert CliRunner().invoke(cli.app, ["plan", "--study", str(tmp_path), "--as-of", "2026-11-24"]).exit_code == 0
    code, tree = invoke("--study", str(tmp_path))
    assert (code, tree["writes"]) == (0, ["request.html"])
    first = (tmp_path / "request.html").read_bytes()
    assert len(first) < 200_000
    invoke("--study", str(tmp_path))
    assert (tmp_path / "request.html").read_bytes() == first
    shown = Page(first.decode("ascii"))
    assert re.search(r"We ask for (up to )?\$\d", shown.words)
    assert "svg" in {tag for tag, _ in shown.seen}, "the plan says what the figure needs"


def test_no_plan_and_a_plan_without_a_decision_are_told(tmp_path: Path) -> None:
    write_text(tmp_path / "study.toml", "[data.stated]\nbytes = 2e9\n")
    code, tree = invoke("--study", str(tmp_path))
    assert (code, tree["problems"][0]["what"]) == (2, "there is no plan yet")
    write_json(tmp_path / "plan.json", "keel.plan/1", {"route": {}})
    code, tree = invoke("--study", str(tmp_path))
    assert (code, tree["problems"][0]["what"]) == (2, "the plan holds no decision")
