"""The search team's case (99 min on 1 node, 13.5 on 8), what one ratio cannot tell, and a published run taken apart."""

from __future__ import annotations

import pytest

from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.model.shapes import Use
from keel.model.shapes.released import RELEASED
from keel.size.reported import taken_apart
from keel.size.strong import amdahl, strong

AMAZON = ((1, 99.0), (8, 13.5))


def test_the_amazon_case_by_amdahl() -> None:
    found = strong(AMAZON)
    assert found.speed_up == pytest.approx(7.333, abs=5e-4)
    assert 100 * found.efficiency == pytest.approx(91.7, abs=0.05)
    assert found.serial_share.value == pytest.approx(0.01299, abs=5e-6)
    assert amdahl(99 / 13.5, 8) == pytest.approx(found.serial_share.value)
    assert found.minutes(16).value == pytest.approx(7.39, abs=5e-3)
    assert found.minutes(32).value == pytest.approx(4.34, abs=5e-3)


def test_one_ratio_leaves_an_interval_that_holds_every_explanation() -> None:
    found = strong(AMAZON, error=0.0)
    assert [each.name for each in found.explanations] == [
        "serial part or bandwidth", "tree latency, log2 n", "ring latency, n - 1",
    ]  # fmt: skip
    for nodes, minutes in AMAZON:
        assert found.minutes(nodes).low == pytest.approx(minutes)
        assert found.minutes(nodes).high == pytest.approx(minutes)
    # By hand: a ring's 1.125 / 7 min a node more gives 99 / 32 + 31 x .1607 = 8.08 min on 32.
    assert found.minutes(32).high == pytest.approx(99 / 32 + 31 * 1.125 / 7)
    assert found.minutes(32).low == pytest.approx(4.3393, abs=1e-3)
    assert "one ratio cannot separate serial work from communication" in found.cannot
    assert "4 x the most nodes measured" in found.minutes(32).source


def test_serial_and_bandwidth_cost_the_same_at_every_n() -> None:
    # f T (1 - 1/n) and c 2 (n - 1) / n are one function of n: no further point tells them apart.
    serial, shared = 0.01299 * 99, 99 * (1 - 0.01299)
    bandwidth = 0.01299 * 99 / 2
    for nodes in (2, 8, 16, 512):
        assert shared / nodes + serial == pytest.approx(99 / nodes + bandwidth * 2 * (nodes - 1) / nodes)
    assert "the same at every n" in strong([(1, 99), (4, 26), (8, 14)]).cannot


def test_the_next_point_is_named_and_tells() -> None:
    # At 2 % no single point tells; at 1 % the time on 64 nodes does, whichever explanation is true.
    found = strong(AMAZON)
    assert (found.tells.nodes, found.tells.error) == (64, 0.01)
    for truth in found.explanations:
        told = strong([*AMAZON, (64, truth.minutes(64))], error=0.01)
        assert [each.name for each in told.explanations] == [truth.name]
        assert told.minutes(128).high - told.minutes(128).low < found.minutes(128).high - found.minutes(128).low


def test_known_shares_are_found_again() -> None:
    for share in (0.0, 0.002, 0.05, 0.4):
        times = [(n, 60 * (share + (1 - share) / n)) for n in (1, 2, 4, 16)]
        found = strong(times, error=0.005)
        assert found.serial_share.low - 1e-9 <= share <= found.serial_share.high + 1e-9
        assert found.minutes(16).value == pytest.approx(times[-1][1], rel=1e-6)


def test_faster_than_ideal_is_no_negative_share() -> None:
    assert strong([(1, 99), (8, 12.0)]).serial_share.value == 0


def test_usd_is_nodes_times_hours_times_price() -> None:
    found = strong(AMAZON)
    assert found.usd(8, 21.9576).value == pytest.approx(8 * 13.5 / 60 * 21.9576)
    assert found.usd(32, 1.0).high > found.usd(8, 1.0).high


def test_bad_points_are_all_said() -> None:
    with pytest.raises(StudyError) as raised:
        strong([(8, 0.0), (8, 13.5)], error=2)
    assert len(raised.value.problems) == 3


def test_alexatm_is_16_nodes_for_120_days() -> None:
    # The encoder sees what 15 % of dropped tokens leave; the decoder writes the whole text.
    released, use = RELEASED["AlexaTM 20B, as the paper lays it out"], Use(870, 1024, 1024)
    found = taken_apart(Catalogue(), "alexatm-20b", "aws:p4d.24xlarge", released, use)
    assert (found.devices, found.hours / 24, found.nodes) == (128, 120, 16)
    assert found.device_hours == 15_360 * 24
    assert found.params
    # The weights alone by hand: 46 x 12 d^2 + 32 x 16 d^2 + 3 V d = 19.69e9; norms, biases and positions are the rest.
    weights = 46 * 12 * 4096**2 + 32 * 16 * 4096**2 + 3 * 150_000 * 4096
    assert weights / 1e9 == pytest.approx(19.69, abs=0.005)
    assert 0 < found.params - weights < 0.001 * weights
    assert found.params == pytest.approx(19.75e9, rel=3e-3)  # as published
    # 154 TFLOP/s a device in the paper, of 312: 49 %, recomputation counted as work. The model's own FLOP: 26 %.
    assert found.mfu_stated == pytest.approx(154 / 312, abs=0.002)
    assert found.mfu_counted
    by_hand = 6 * (0.85 * 46 * 12 * 4096**2 + 32 * 16 * 4096**2 + 150_000 * 4096) * 1e12  # without attention
    assert found.mfu_counted == pytest.approx(by_hand / (368_640 * 3600 * 312e12), rel=0.05)
    assert found.mfu_counted < 0.6 * found.mfu_stated
    assert found.usd_today
    assert found.usd_today.value == pytest.approx(16 * 2880 * 21.9576)


def test_a_row_that_does_not_say_its_time_is_refused() -> None:
    with pytest.raises(StudyError, match="how long"):
        taken_apart(Catalogue(), "pythia-12b", "aws:p4d.24xlarge")
    with pytest.raises(StudyError, match="unknown model"):
        taken_apart(Catalogue(), "alexatm", "aws:p4d.24xlarge")
