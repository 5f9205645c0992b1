"""What there is to spend: prices and speeds to FLOP by hand, what is not said is asked for and never made up."""

from __future__ import annotations

from typing import Any

import pytest
from chosen import SHIPPED, exactly
from helpers import FAKE_MACHINE, study, study_error

from keel.plan.means import ASSUMED, Means, Node, means_of
from keel.size.hardware import Hardware, find
from keel.size.speed import Speed
from keel.size.time import Estimate

DAY = "2026-11-24"
P4D = "aws:p4d.24xlarge"


def means(hardware: Any = (), machine: Any = None, **budget: Any) -> Means:
    return means_of(SHIPPED, study(limits={"hardware": hardware}, budget=budget), machine, DAY)


def said(found: Means) -> str:
    return "\n".join(map(str, found.problems))


def test_a_nodes_price_of_a_flop_by_hand() -> None:
    chip = SHIPPED.accelerators["a100-sxm-40"]
    hardware = Hardware("node", chip, 2, Estimate(36.0, 18.0, 72.0, "stated"), DAY, "here", None, None)
    node = Node(hardware, Speed("bf16", 2e14, exactly(0.5), Estimate(1e14, 5e13, 2e14, "stated"), ()))
    assert node.flop_s.ends == (2e14, 1e14, 4e14)
    assert node.usd_per_flop is not None
    assert node.usd_per_flop.ends == pytest.approx((5e-17, 1.25e-17, 2e-16)), "low is fast and cheap"
    assert Node(hardware._replace(usd_per_hour=None), node.speed).usd_per_flop is None


def test_money_buys_what_is_left_after_reserves() -> None:
    found = means(P4D, compute_usd=1000)
    node = found.node
    assert node is not None
    assert node.usd_per_flop is not None
    assert found.flop is not None
    assert found.training_usd == pytest.approx(800.0)
    assert found.flop.value == pytest.approx(800 / node.usd_per_flop.value)
    assert {number.name for number in found.numbers} == {f"price.{P4D}", f"speed.{P4D}", "budget.flop"}
    assert "hardware" not in said(found)


def test_the_cheapest_a_flop_is_first_and_what_has_no_price_last() -> None:
    names = ("aws:trn2.48xlarge", "aws:g5.xlarge", P4D)
    found = means(names, compute_usd=1000)
    prices = [node.usd_per_flop.value for node in found.nodes if node.usd_per_flop]
    assert prices == sorted(prices)
    assert len(prices) == 2
    assert found.nodes[-1].hardware.name == "aws:trn2.48xlarge"
    assert "aws:trn2.48xlarge has no public price" in said(found)
    assert found.flop is not None


def test_without_hardware_two_nodes_are_assumed_and_the_one_that_is_used_is_named() -> None:
    found = means(compute_usd=1000)
    assert found.assumed
    assert found.node is not None
    assert {node.hardware.name for node in found.nodes} == set(ASSUMED)
    assert f"costs are those of {found.node.hardware.name}, of" in said(found)


def test_no_budget_is_asked_for_and_nothing_is_assumed() -> None:
    found = means()
    assert (found.nodes, found.flop, found.training_usd) == ((), None, None)
    assert [problem.what for problem in found.problems] == ["no budget is given"]


def test_flop_in_place_of_money_are_yours_and_have_no_reserves() -> None:
    found = means(compute="1e21")
    assert found.flop is not None
    assert found.flop.ends == (1e21, 1e21, 1e21)
    assert (found.stated_flop, found.usd) == (1e21, None)
    assert [(number.value, number.yours) for number in found.numbers if number.name == "budget.flop"] == [(1e21, True)]


def test_stated_flop_win_over_what_money_buys() -> None:
    found = means(P4D, compute="1e21", compute_usd=1000)
    assert found.flop is not None
    assert (found.flop.value, found.usd) == (1e21, 1000)


def test_money_on_this_machine_buys_an_unknown_amount() -> None:
    found = means("here", FAKE_MACHINE, compute_usd=1000)
    assert found.flop is None
    assert "how much compute the budget buys is unknown: here has no public price" in said(found)
    assert found.node is not None
    assert found.node.hardware.devices == 1


def test_all_that_is_wrong_with_the_hardware_is_told_at_once() -> None:
    with study_error("this machine is not measured", "aws:p4d.24xlarg'", where=True) as seen:
        means(("here", "aws:p4d.24xlarg", P4D))
    assert len(seen[0].problems) == 2


def test_an_old_price_is_told() -> None:
    assert "prices are more than 90 days old" in said(means(P4D, compute_usd=1))
    fresh = means_of(SHIPPED, study(limits={"hardware": P4D}, budget={"compute_usd": 1}), None,
                     find(SHIPPED, P4D).price_as_of)  # fmt: skip
    assert "days old" not in said(fresh)
