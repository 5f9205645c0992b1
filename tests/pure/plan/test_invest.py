"""People's time and compute against the deadline and the value."""

from __future__ import annotations

from typing import Any

import pytest
from chosen import exactly
from helpers import study

from keel.errors import Refused
from keel.plan.invest import DAY_S, doubts, invest, time_left_s, value_of
from keel.plan.means import Means
from keel.plan.spending import Spending
from keel.study import UseCase

DAY = "2026-11-24"


def cost(hours: float | None = 100.0, usd: float | None = 10.0, share: float = 1.0) -> Spending:
    return Spending(exactly(1e18), exactly(1e9), None if usd is None else exactly(usd),
                    None if hours is None else exactly(hours), 8, "node", "by hand", share)  # fmt: skip


def made(spent: Spending, usd: float | None = None, limits: Any = None, use_case: Any = (), **budget: Any) -> Any:
    asked = study(budget=budget | ({"compute_usd": usd} if usd else {}), limits=limits or {}, use_case=use_case)
    return invest(asked, Means((), True, usd, None, (), None, (), ()), spent, DAY)


@pytest.mark.parametrize(("said", "days"), [("2026-11-25", 1), ("2027-11-24", 365), ("3 weeks", 21), ("36 hours", 1.5)])
def test_time_left_of_a_date_and_of_a_duration(said: str, days: float) -> None:
    assert time_left_s(study(budget={"deadline": said}), DAY) == days * DAY_S


@pytest.mark.parametrize("said", ["2026-11-24", "2020-01-01"])
@pytest.mark.parametrize("hours", [None, 0.0, 100.0])
def test_a_deadline_that_is_past_is_refused_whatever_it_takes(said: str, hours: float | None) -> None:
    with pytest.raises(Refused, match="the deadline is past"):
        made(cost(hours), deadline=said)


@pytest.mark.parametrize(("days", "nodes"), [(6, 1), (5, 2), (1, 6)])
def test_nodes_are_hours_over_four_fifths_of_the_time_left(days: int, nodes: int) -> None:
    found = made(cost(100.0), deadline=f"{days} days")
    assert found["nodes"] == nodes
    assert found["hours_on_them"] == pytest.approx(100 / nodes)
    assert found["runs_a_week"] == pytest.approx(1.68 * nodes)


def test_a_deadline_that_the_nodes_cannot_meet_is_refused_with_the_least_that_would_do() -> None:
    with pytest.raises(Refused) as refused:
        made(cost(100.0), limits={"nodes": 2}, deadline="1 day")
    fix = refused.value.refusal.fix
    assert fix.endswith("a deadline of 2.7 days, or 6 nodes"), fix
    assert made(cost(100.0), limits={"nodes": 2}, deadline="65 hours")["nodes"] == 2, "2.7 days do"
    assert made(cost(100.0), limits={"nodes": 6}, deadline="1 day")["nodes"] == 6, "6 nodes do"


def test_without_a_deadline_one_node_and_without_hours_none() -> None:
    assert made(cost(100.0))["nodes"] == 1
    assert made(cost(None))["nodes"] is None
    assert made(cost(0.0))["nodes"] is None


def test_a_deadline_without_hours_is_told() -> None:
    told = doubts(made(cost(None), deadline="1 day"), cost(None))
    assert [problem.what for problem in told] == ["the deadline is not weighed"]
    assert doubts(made(cost(), deadline="9 days"), cost()) == []


def test_the_value_is_the_budgets_else_the_use_cases_together() -> None:
    cases = [UseCase(name="a", task="sts", value_usd=3), UseCase(name="b", task="sts", value_usd=4),
             UseCase(name="c", task="sts")]  # fmt: skip
    assert value_of(study(use_case=cases)) == 7
    assert value_of(study(use_case=cases, budget={"value_usd": 0})) == 0
    assert value_of(study(use_case=cases[2:])) is None
    assert made(cost(usd=10.0), value_usd=200)["share_of_value"] == pytest.approx(0.05)


@pytest.mark.parametrize(("usd", "told"), [(10.0, []), (10.1, ["the budget is 10.1 % of a year's value ($100)"])])
def test_a_budget_beyond_its_share_of_the_value_is_told(usd: float, told: list[str]) -> None:
    assert [problem.what for problem in doubts(made(cost(), usd, value_usd=100), cost())] == told


def test_a_budget_that_ends_the_route_is_told() -> None:
    assert [problem.what for problem in doubts(made(cost()), cost(share=0.25))] == [
        "the budget pays for 25 % of the route"
    ]


def test_both_investments_are_said() -> None:
    assert made(cost(usd=None))["why"] == (
        "two investments: people's time is not said ([budget] people_days) and compute without a price"
    )
    assert made(cost(), people_days=3)["why"] == "two investments: 3 person-days and compute $10"
