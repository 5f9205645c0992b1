"""Seconds a token: measured steps first, the GEMM peak where there are none."""

from __future__ import annotations

from typing import Any

import pytest

from keel.size.time import UTILISATION, gemm_peak_flop_per_s, seconds_per_token

FP32, BF16 = {"body": "fp32", "head": "fp32"}, {"body": "bf16", "head": "bf16"}


def test_a_measured_size_takes_what_was_measured(fake_machine: dict[str, Any]) -> None:
    for row in fake_machine["steps"]:
        found = seconds_per_token(fake_machine, row["flop_per_token"], row["threads"], row["precision"])
        assert found.value == pytest.approx(1 / row["tokens_per_s"])
        assert (found.low, found.high) == pytest.approx((0.75 * found.value, 1.25 * found.value))
        assert found.source == "steps timed by keel look"


def test_between_sizes_the_time_grows_with_the_work(fake_machine: dict[str, Any]) -> None:
    fake_machine["steps"][2]["tokens_per_s"] *= 1.3
    work = [4e5 * 1.2**step for step in range(25)]
    times = [seconds_per_token(fake_machine, flop, 1, FP32).value for flop in work]
    assert times == sorted(times)
    known = [1 / row["tokens_per_s"] for row in fake_machine["steps"] if row["threads"] == 1]
    assert min(known) <= times[0] <= times[-1]


def test_beyond_the_measured_sizes(fake_machine: dict[str, Any]) -> None:
    assert seconds_per_token(fake_machine, 4e7, 1, FP32).value == pytest.approx(4e7 / 5e9)
    assert seconds_per_token(fake_machine, 1e3, 1, FP32).value == pytest.approx(5e5 / 5e9)


def test_steps_of_other_threads_or_precision_are_not_mixed_in(fake_machine: dict[str, Any]) -> None:
    one, two = (seconds_per_token(fake_machine, 1e6, threads, FP32).value for threads in (1, 2))
    assert one == pytest.approx(2 * two)
    other = seconds_per_token(fake_machine, 1e6, 1, BF16)
    assert "GEMM peak" in other.source


def test_without_steps_the_peak_and_its_wide_interval(fake_machine: dict[str, Any]) -> None:
    fake_machine["steps"] = []
    found = seconds_per_token(fake_machine, 1e6, 2, FP32)
    low, middle, high = UTILISATION
    assert found[:3] == pytest.approx((1e6 / (middle * 4e10), 1e6 / (high * 4e10), 1e6 / (low * 4e10)))
    del fake_machine["steps"]
    assert seconds_per_token(fake_machine, 1e6, 2, FP32) == found


def test_the_peak_is_the_best_fitting_row(fake_machine: dict[str, Any]) -> None:
    fake_machine["gemm"].append({"precision": "bf16", "threads": 1, "m": 1, "k": 1, "n": 1, "flop_per_s": 9e10})
    assert gemm_peak_flop_per_s(fake_machine, 1, "bf16") == 9e10
    assert gemm_peak_flop_per_s(fake_machine, 2, "fp32") == 4e10
    assert gemm_peak_flop_per_s(fake_machine, 64, "fp32") == 9e10
