"""Steps, jobs, and scale out against scale up: hand-worked collectives, limits, Pareto front, deadlines."""

from __future__ import annotations

import math

import pytest

from keel.catalog.store import Catalogue
from keel.laws.published import PUBLISHED
from keel.size.hardware import Hardware, find
from keel.size.scale import (
    BALANCE,
    Point,
    Run,
    balance,
    experiments_a_week,
    front,
    label,
    more_tokens,
    per_epoch,
    points,
    untimed,
    within,
)
from keel.size.speed import Speed, speed
from keel.size.step import DEVICE_MTBF_S, Work, all_reduce_s, job, step

SEVEN = Run(6 * 7e9 * 1e12, 1e12, 4e6, 7e9, 4096, critical_tokens=5e6)


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return Catalogue()


@pytest.fixture(scope="module")
def types(known: Catalogue) -> list[tuple[Hardware, Speed]]:
    nodes = [find(known, name) for name in ("aws:p4d.24xlarge", "aws:p5.48xlarge", "aws:g5.12xlarge")]
    return [(node, speed(node)) for node in nodes]


def test_all_reduce_by_hand() -> None:
    # 2 (p - 1) / p G / rate: 1 GB over 8 ranks at 1 GB/s is 1.75 s; hops: 14 in a ring, 6 in a tree.
    assert all_reduce_s(1e9, 8, 1e9, 0) == pytest.approx(1.75)
    assert all_reduce_s(0, 8, 1e9, 1e-3, buckets=2) == pytest.approx(2 * 6e-3)
    assert all_reduce_s(0, 2, 1e9, 1e-3) == pytest.approx(2e-3)
    assert all_reduce_s(1e9, 1, 1e9, 1) == 0


def test_communication_is_in_the_node_and_then_between_nodes(known: Catalogue) -> None:
    node = find(known, "aws:p4d.24xlarge")
    work = Work(flop=1e18, params=1e9)
    one, four = step(node, speed(node), work), step(node, speed(node), work, nodes=4)
    inside = all_reduce_s(2e9, 8, 300e9 * 0.65, 10e-6, 80)
    assert one.communication_s == pytest.approx(inside)
    assert four.communication_s == pytest.approx(inside + all_reduce_s(2e9, 4, 50e9 * 0.9, 20e-6, 80))


def test_communication_hides_behind_the_backward_pass_until_it_does_not(known: Catalogue) -> None:
    node = find(known, "aws:g5.12xlarge")
    fast = speed(node)
    much, little = step(node, fast, Work(1e18, 1e9), nodes=4), step(node, fast, Work(1e13, 1e9), nodes=4)
    assert much.exposed_s == 0
    assert little.exposed_s == pytest.approx(little.communication_s - 0.7 * 2 / 3 * little.compute_s)


def test_small_steps_are_bound_by_reading_the_weights(known: Catalogue) -> None:
    node = find(known, "a100-sxm-80")
    assert step(node, speed(node), Work(1.0, 1e9)).compute_s == pytest.approx(3 * 2 * 1e9 / 2039e9)


def test_full_sharding_gathers_weights_in_every_micro_batch(known: Catalogue) -> None:
    node = find(known, "aws:p4d.24xlarge")
    found = step(node, speed(node), Work(1e18, 7e9, sharding="zero3", accumulation=4), nodes=8).communication_s
    once = all_reduce_s(14e9, 8, 300e9 * 0.65, 10e-6, 32) + all_reduce_s(14e9, 8, 50e9 * 0.9, 20e-6, 32)
    assert found == pytest.approx(1.5 * 4 * once)


def test_an_unknown_network_is_said_and_not_timed(known: Catalogue) -> None:
    node = find(known, "gcp:a3-highgpu-8g")
    found = step(node, speed(node), Work(1e18, 1e9), nodes=2)
    assert found.total_s is None
    assert "network" in found.note
    assert {point.nodes for point in points(SEVEN, [(node, speed(node))])} == {1}
    assert untimed([(node, speed(node))]) == (found.note,)


def test_a_job_adds_startup_checkpoints_and_crashes(known: Catalogue) -> None:
    node = find(known, "aws:p5.48xlarge")
    one = step(node, speed(node), Work(1e21, 70e9, 80, "zero3"), nodes=128)
    assert one.total_s
    quiet = job(one, 10_000, 1024)
    assert quiet.total_s.value == pytest.approx(600 + 10_000 * one.total_s.value)
    found = job(one, 10_000, 1024, state_bytes=14 * 70e9, write_bytes_s=10e9, mtbf_s=DEVICE_MTBF_S)
    assert found.interval_s == pytest.approx(math.sqrt(2 * 98 * DEVICE_MTBF_S / 1024))
    assert quiet.total_s.value < found.total_s.value < 1.2 * quiet.total_s.value
    assert found.total_s.value == pytest.approx(found.training_s + found.startup_s + found.checkpoint_s + found.lost_s)
    more = job(one, 10_000, 8192, state_bytes=14 * 70e9, write_bytes_s=10e9, mtbf_s=DEVICE_MTBF_S)
    assert more.lost_s > found.lost_s
    # Llama 3: 419 interruptions in 54 days on 16,384 devices are one in 3.1 hours.
    between_h = DEVICE_MTBF_S / 16384 / 3600
    assert between_h == pytest.approx(3.09, abs=0.01)


def test_llama_2_7b_takes_its_published_hours(types: list[tuple[Hardware, Speed]]) -> None:
    # 184,320 A100-hours by its card: 6 x 6.738e9 x 2e12 FLOP, 4 M tokens a step.
    run = Run(6 * 6.738e9 * 2e12, 2e12, 4e6, 6.738e9, 4096)
    found = points(run, types[:1], counts=(16,))[0]
    assert found.devices * found.hours.low < 184_320 < found.devices * found.hours.high
    assert found.devices * found.hours.value == pytest.approx(184_320, rel=0.25)


def test_more_nodes_are_faster_and_dearer_and_no_point_of_the_front_is_beaten(
    types: list[tuple[Hardware, Speed]],
) -> None:
    found = points(SEVEN, types)
    best = front(found)
    assert 5 < len(best) < len(found)
    for one in best:
        for other in found:
            assert one.usd
            assert other.usd
            mine = (one.nodes, one.quality_hours.value, one.usd.value)
            theirs = (other.nodes, other.quality_hours.value, other.usd.value)
            assert theirs == mine or any(theirs[axis] > mine[axis] for axis in range(3))
    hours = [point.quality_hours.value for point in best]
    assert hours == sorted(hours, reverse=True)


def test_time_to_quality_is_more_than_time_to_tokens_past_the_critical_batch(
    types: list[tuple[Hardware, Speed]],
) -> None:
    found = {point.nodes: point for point in points(SEVEN, types[1:2])}
    assert found[64].quality_hours == found[64].hours
    large = found[1024]
    assert large.batch_tokens == 8192 * 4096
    assert large.quality_hours.value / large.hours.value == pytest.approx((1 + 8192 * 4096 / 5e6) / (1 + 4e6 / 5e6))
    assert "batch grows" in large.note
    unknown = points(SEVEN._replace(critical_tokens=None), types[1:2], counts=(1024,))[0]
    assert unknown.quality_hours.value == unknown.hours.value
    assert "critical batch unknown" in unknown.note


def test_the_tokens_of_a_larger_batch_are_the_published_law() -> None:
    law = PUBLISHED["mccandlish-tokens"]
    for batch in (1e5, 1e6, 3e7):
        ratio = law.at(batch_tokens=batch, critical_batch_tokens=2e6) / law.at(
            batch_tokens=5e5, critical_batch_tokens=2e6
        )
        assert more_tokens(batch, 5e5, 2e6) == pytest.approx(float(ratio))


def test_an_epoch_is_not_the_same_quality() -> None:
    # The search team's case: the batch grew 8 times with the nodes. At a critical batch of one node's own, the epoch
    # is 8 times shorter and the same quality is 1.8 times as far.
    epoch, quality = per_epoch(99 / 60, 8, 1e6, 1e6)
    assert epoch == pytest.approx(99 / 60 / 8)
    assert quality / epoch == pytest.approx((1 + 8) / (1 + 1))


def test_a_deadline_is_inverted_to_the_cheapest_nodes_that_meet_it(types: list[tuple[Hardware, Speed]]) -> None:
    run = SEVEN._replace(micro_batch=4)
    every = points(run, types[:1], counts=range(1, 200))
    found = within(every, 720)
    assert found.point
    assert found.point.usd
    assert found.point.quality_hours.value <= 720
    assert all(point.usd.value >= found.point.usd.value for point in every
               if point.usd and point.quality_hours.value <= 720)  # fmt: skip
    assert max(point.nodes for point in every if point.quality_hours.value > 720) >= found.point.nodes - 4
    assert "at risk" in found.line


def test_a_deadline_that_cannot_be_met_is_an_honest_no(types: list[tuple[Hardware, Speed]]) -> None:
    found = within(points(SEVEN, types), 2)
    assert found.point is None
    assert found.fastest
    assert found.line.startswith("no: 2 h cannot be met; the fastest is")
    assert label(found.fastest) in found.line
    assert within([], 2).fastest is None


def test_the_balanced_point_costs_at_most_a_tenth_more(types: list[tuple[Hardware, Speed]]) -> None:
    found = points(SEVEN, types)
    best = balance(found)
    assert best
    point, line = best
    cheapest = min(each.usd.value for each in found if each.usd)
    assert point.usd
    assert point.usd.value <= BALANCE * cheapest
    assert not [each for each in found if each.usd and each.usd.value <= BALANCE * cheapest
                and each.quality_hours.value < point.quality_hours.value]  # fmt: skip
    assert line.startswith(f"best balance: {label(point)}")


def test_without_prices_device_hours_decide(known: Catalogue) -> None:
    node = find(known, "aws:p5e.48xlarge")
    found = points(SEVEN, [(node, speed(node))])
    assert all(point.usd is None for point in found)
    best = balance(found)
    assert best
    assert "device-hours" in best[1]
    assert isinstance(front(found)[0], Point)


def test_experiments_a_week_are_whole() -> None:
    assert experiments_a_week(1.65) == 101
    assert experiments_a_week(200) == 0
