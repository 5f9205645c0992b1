"""Accuracy is forecast beside nats, by a law that never leaves (0, 1), and scored with them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from keel.files import read_json, write_json
from keel.laws import Target, forecast, seal
from keel.laws.law import Row
from keel.run.measured import forecasts, values

pytestmark = pytest.mark.tensor
TARGET = Target(params=1e9, tokens=2e10)


def nats(params: float, tokens: float) -> float:
    return 0.05 + 30 / params**0.25 + 40 / tokens**0.25


def accuracy(params: float, tokens: float) -> float:
    return math.exp(-0.4 * nats(params, tokens))


def result(params: float, tokens: float, right: float | None) -> dict[str, Any]:
    found = {"value": right, "low": 0.0, "high": 1.0} if right is not None else None
    return {"id": f"{params:g}-{tokens:g}", "kind": "branch", "ok": True, "gate": None, "params": {"total": params},
            "tokens": tokens, "flop": 6 * params * tokens, "class_nats": nats(params, tokens), "accuracy": found,
            "objective": "classify", "judge": "class_nats", "family": "vit"}  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for params in (1e7, 3e7, 1e8, 3e8):
        for ratio in (10, 20, 40):
            made = result(params, ratio * params, accuracy(params, ratio * params))
            write_json(tmp_path / "runs" / made["id"] / "result.json", "keel.result/1", made)
    return tmp_path / "runs"


def test_the_accuracy_of_a_larger_run_lies_in_its_interval(runs: Path) -> None:
    found = forecasts(runs, [path.name for path in runs.iterdir()], "class_nats", TARGET, 0.9)
    assert not found.problems
    made = found.forecasts["accuracy"]
    assert 0 < made.low < accuracy(1e9, 2e10) < made.high < 1


def test_a_run_that_has_reached_1_leaves_no_forecast_and_says_so(runs: Path) -> None:
    made = result(5e8, 1e10, 1.0)
    write_json(runs / made["id"] / "result.json", "keel.result/1", made)
    found = forecasts(runs, [path.name for path in runs.iterdir()], "class_nats", TARGET, 0.9)
    assert not found.forecasts
    assert "no forecast of accuracy" in found.problems[0].what


def test_a_judge_without_one_has_none(runs: Path) -> None:
    assert forecasts(runs, [], "bits_per_byte", TARGET, 0.9) == ({}, [])
    assert values({"judge": "bits_per_byte", "bits_per_byte": 1.0}) == {}
    assert values(result(1e7, 1e8, None)) == {}, "a run that was not judged"


def test_what_is_sealed_beside_is_scored_beside(runs: Path, tmp_path: Path) -> None:
    rows = [Row(f"{n:g}-{r}", n, r * n, 6 * n * r * n, nats(n, r * n)) for n in (1e7, 3e7, 1e8) for r in (10, 20, 40)]
    found = forecasts(runs, [path.name for path in runs.iterdir()], "class_nats", TARGET, 0.9)
    whole = forecast(rows, TARGET, unit="class_nats")
    assert not isinstance(whole, tuple)
    seal.seal(tmp_path / "big", whole, "big", rows, found.forecasts)
    sealed = read_json(tmp_path / "big" / "forecast.json", seal.SCHEMA)["beside"]["accuracy"]
    assert (sealed["unit"], sealed["value"]) == ("share_right", found.forecasts["accuracy"].value)
    for measured, hit in ((sealed["high"] + 0.01, False), (sealed["value"], True)):
        told = seal.score(tmp_path / "big", whole.value, beside={"accuracy": measured})["beside"]["accuracy"]
        assert (told["measured"], told["hit"]) == (measured, hit)
        (tmp_path / "big" / "score.json").unlink()
