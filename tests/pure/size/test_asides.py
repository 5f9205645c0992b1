"""`keel size --scaling` and `--run-of`: the Amazon Search case and AlexaTM as a user asks for them."""

from __future__ import annotations

import json

import pytest
from helpers import study_error
from typer.testing import CliRunner

from keel.cli import app
from keel.size.asides import run_of, scaling


def test_the_amazon_search_case() -> None:
    """99 minutes on one node, 13.5 on eight: T-AMZ of the literature's own numbers."""
    found = scaling("1=99min,8=13.5min")
    assert found.result["speed_up"] == pytest.approx(7.333, abs=5e-4)
    assert found.result["efficiency"] == pytest.approx(0.917, abs=5e-4)
    assert found.result["serial_share"]["value"] == pytest.approx(0.01299, abs=5e-6)
    sixteen, more = found.result["minutes"][16], found.result["minutes"][32]
    assert (round(sixteen["value"], 2), round(more["value"], 2)) == (7.39, 4.34)
    assert sixteen["low"] < 7.39 < sixteen["high"]
    assert "cannot" in found.text
    assert "would tell" in found.text


def test_minutes_and_hours_are_one_time() -> None:
    assert scaling("1=2h,4=30min").result["efficiency"] == pytest.approx(1.0)


def test_money_is_nodes_times_hours_times_price() -> None:
    found = scaling("1=99min,8=13.5min", "aws:p4d.24xlarge")
    price = found.result["usd_per_hour"]
    paid = next(number for number in found.numbers if number.name == "scaling.usd.16")
    assert paid.value == pytest.approx(16 * found.result["minutes"][16]["value"] / 60 * price)


def test_every_wrong_piece_is_told() -> None:
    with study_error("duration", "nodes=time") as seen:
        scaling("1=99,8=13.5min,x")
    assert len(seen[0].problems) == 2


def test_alexatm_is_sixteen_nodes_for_120_days() -> None:
    found = run_of("alexatm-20b", "aws:p4d.24xlarge").result
    assert (found["devices"], found["hours"], found["nodes"]) == (128, 2880, 16)
    assert found["params"] == pytest.approx(19.7e9, rel=0.002)
    assert found["mfu_stated"] == pytest.approx(2.04e23 / (368_640 * 3600 * 312e12))
    assert found["usd_today"]["value"] == pytest.approx(16 * 2880 * 21.9576, rel=1e-3)


def test_a_run_needs_a_node_and_a_known_name() -> None:
    with study_error("on which hardware"):
        run_of("alexatm-20b", "")
    with study_error("did you mean 'alexatm-20b'"):
        run_of("alexatm-20", "aws:p4d.24xlarge")


def test_both_at_the_command_line() -> None:
    done = CliRunner().invoke(app, ["size", "--scaling", "1=99min,8=13.5min", "--json"])
    assert json.loads(done.stdout)["result"]["minutes"]["16"]["value"] == pytest.approx(7.39, abs=5e-3)
    assert CliRunner().invoke(app, ["size", "--run-of", "nobody", "--hardware", "t4"]).exit_code == 2
