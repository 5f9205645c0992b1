"""A run on the machines one has in mind, as a person reads it and as a program does."""

from __future__ import annotations

import pytest

from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.size.machines import MOST_NODES, machines
from keel.size.machines_show import strong_lines
from keel.size.strong import strong

DAY_S = 86400.0


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return Catalogue()


def test_a_7b_on_p4d_says_memory_time_nodes_and_dollars(known: Catalogue) -> None:
    found = machines(known, ["aws:p4d.24xlarge"], params=7e9, flop=6 * 7e9 * 1e12, tokens=1e12, deadline_s=30 * DAY_S)
    text = "\n".join(found.lines)
    assert "spread weights, gradients and optimiser over 8 devices" in text
    assert "312 TFLOP/s bf16 by its datasheet, 271 measured" in text
    assert "best balance: " in text
    assert "deadline 30 d: " in text
    assert found.deadline
    assert found.deadline.point
    assert found.deadline.point.quality_hours.value <= 720
    # 4.2e22 FLOP at 39 % of 312 TFLOP/s is 95,900 device-hours; at $2.74 each, $263,000 and what the nodes wait.
    assert found.best
    assert found.best.usd
    assert 263_000 < found.best.usd.value < 1.15 * 263_000
    numbers = {number.name: number for number in found.numbers}
    assert numbers["machine.best.usd"].value == found.best.usd.value
    for number in found.numbers:
        assert number.source
        assert number.formula
        assert number.inputs


def test_the_fewest_nodes_hold_it_and_one_less_does_not(known: Catalogue) -> None:
    found = machines(known, ["aws:g5.12xlarge"], params=7e9, flop=6 * 7e9 * 1e10, tokens=1e10)
    least = found.holdings[0].least_nodes
    assert least == 2
    assert "at least 2 nodes" in "\n".join(found.lines)
    assert min(point.nodes for point in found.front) == least


def test_a_model_that_no_count_of_nodes_holds_is_said(known: Catalogue) -> None:
    found = machines(known, ["aws:g4dn.xlarge"], params=1e12, flop=6e24, tokens=1e12)
    assert found.holdings[0].least_nodes is None
    assert found.front == ()
    assert "no type can be timed" in found.lines
    assert any(f"does not hold the model on {MOST_NODES:,} nodes" in problem.what for problem in found.problems)


def test_the_front_is_over_all_types_and_the_beaten_ones_are_named(known: Catalogue) -> None:
    found = machines(known, ["aws:p4d.24xlarge", "aws:p5.48xlarge", "aws:g5.12xlarge"], params=7e9,
                     flop=6 * 7e9 * 1e12, tokens=1e12)  # fmt: skip
    assert {point.hardware for point in found.front} == {"aws:p4d.24xlarge", "aws:p5.48xlarge"}
    assert any(line.endswith("aws:g5.12xlarge") and line.startswith("beaten") for line in found.lines)


def test_without_a_known_critical_batch_nodes_stay_within_the_batch(known: Catalogue) -> None:
    found = machines(known, ["aws:g4dn.12xlarge"], params=1.1e8, flop=6 * 1.1e8 * 4e9, tokens=4e9, context=512,
                     batch_tokens=256 * 512, category="encoder")  # fmt: skip
    assert max(point.devices for point in found.front) <= 256
    assert any("critical batch is unknown" in problem.what for problem in found.problems)
    assert any("has no bf16" in problem.what for problem in found.problems)


def test_a_floor_is_said_and_no_dollars_are_shown(known: Catalogue) -> None:
    found = machines(known, ["gcp:a3-ultragpu-8g"], params=1e9, flop=1.2e20, tokens=2e10, deadline_s=60)
    assert all(point.usd is None for point in found.front)
    whats = [problem.what for problem in found.problems]
    assert any("at least $74.49 an hour" in what for what in whats)
    assert any("network of gcp:a3-ultragpu-8g is unknown" in what for what in whats)
    assert "the deadline cannot be met" in whats


def test_everything_wrong_is_said_at_once(known: Catalogue) -> None:
    with pytest.raises(StudyError) as raised:
        machines(known, ["aws:p4d", "azure:none"], params=0, flop=-1, tokens=1e9)
    assert len(raised.value.problems) == 4


def test_the_search_teams_case_as_lines() -> None:
    said = "\n".join(strong_lines(strong([(1, 99), (8, 13.5)]), (16, 32), usd_per_hour=5.672))
    assert "7.33 times as fast, 91.7 % of ideal" in said
    assert "16 nodes: 7.39 min" in said
    assert "32 nodes: 4.34 min" in said
    assert "cannot tell: one ratio cannot separate" in said
    assert "would tell: the time on 64 nodes" in said
    assert "$13 a run" in said  # 32 x 4.34 / 60 x 5.672
