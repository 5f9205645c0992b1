"""Quantities: what is printed can be read back, and what is not a quantity is said to be none."""

from __future__ import annotations

import random

import pytest
from helpers import study_error

from keel.units import parse_count, parse_duration_s, show_bytes, show_count, show_duration, show_usd


@pytest.mark.parametrize(
    ("text", "value"),
    [("350M", 350e6), ("7b", 7e9), ("1.2e19", 1.2e19), ("20_000", 2e4), ("20,000", 2e4), ("1,200,000.5", 1200000.5),
     (".5k", 500.0), (" 3 T ", 3e12), ("-4", -4.0), ("0", 0.0), ("1e-3", 1e-3), (12, 12.0), (2.5, 2.5),
     ("2P", 2e15), ("3E", 3e18)],
)  # fmt: skip
def test_counts_are_read(text: str | float, value: float) -> None:
    assert parse_count(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text", ["", "M", "lots", "1.2.3", "12 apples", "--3", "5 KB", "nan", "inf", "1,5", "1,5M", "20,00"]
)
def test_what_is_no_count_is_refused(text: str) -> None:
    with study_error(repr(text), "budget.compute"):
        parse_count(text, "budget.compute")


def test_a_truth_value_is_no_count() -> None:
    with study_error("True", where=False):
        parse_count(True)


@pytest.mark.parametrize("seed", range(3))
def test_counts_round_trip_to_three_digits(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(2000):
        value = rng.uniform(1, 10) * 10.0 ** rng.randint(0, 24) * rng.choice((1, -1))
        assert parse_count(show_count(value)) == pytest.approx(value, rel=5.1e-3), value


@pytest.mark.parametrize("exponent", range(25))
def test_counts_at_each_magnitude_and_just_below(exponent: int) -> None:
    for value in (10.0**exponent, 10.0**exponent * 0.99999, 9.995 * 10.0**exponent):
        shown = show_count(value)
        assert parse_count(shown) == pytest.approx(value, rel=5.1e-3)
        assert "1e+03" not in shown


def test_the_unit_stands_behind_the_count() -> None:
    assert show_count(350e6, "params") == "350M params"
    assert show_count(0) == "0"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6 weeks", 3628800), ("3 h 20 min", 12000), ("90s", 90), ("1 day, 2 hours", 93600), ("0.5 h", 1800), (45, 45),
     ("2 minutes", 120), ("1 month", 2629800), ("1 year", 31557600), ("3h20min", 12000)],
)  # fmt: skip
def test_durations_are_read(text: str | float, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "3", "3 fortnights", "h", "3 h and", "20 min x"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with study_error(repr(text), "here"):
        parse_duration_s(text, "here")


@pytest.mark.parametrize("seed", range(3))
def test_durations_round_trip_to_two_units(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(2000):
        value = 10.0 ** rng.uniform(-2, 8)
        again = parse_duration_s(show_duration(value))
        assert again == pytest.approx(value, rel=0.06), (value, show_duration(value))
        assert again <= value + 0.5 or value < 10


def test_durations_never_show_sixty() -> None:
    shown = {show_duration(value) for value in (59.6, 3599.7, 86399.8, 60, 3600, 86400)}
    assert shown == {"1 min", "1 h", "1 d"}


def test_bytes_and_money() -> None:
    assert [show_bytes(value) for value in (0, 999, 999.6, 1e6, 1.25e9, 3e12, 2e15)] == [
        "0 B", "999 B", "1 kB", "1 MB", "1.25 GB", "3 TB", "2 PB"]  # fmt: skip
    assert [show_usd(value) for value in (0.031, 9.5, 41, 20_000)] == ["$0.031", "$9.5", "$41", "$20,000"]
