"""`keel fit` on rows with learning rates: the best one, runs off theirs, and no say in the forecast."""

from __future__ import annotations

import csv
import json
import math
from typing import Any

import numpy as np
import pytest

from keel.laws import Row
from keel.laws.beside import rates as rates_room
from keel.laws.beside.rates import rates

AT = "params=1e9,tokens=2e10"


def told(tree: dict[str, Any]) -> str:
    return json.dumps(tree["problems"])


def swept(noise: float = 2e-4, cost: float = 0.02) -> list[dict[str, Any]]:
    """Four sizes and two lengths with five rates about a known best one, lr* = 2 N^-.4."""
    rng = np.random.default_rng(7)
    return [
        {"params_total": n, "tokens": ratio * n, "lr": 2 * n**-0.4 * factor, "loss": (1.8 + 478 / n**0.35
         + 2144 / (ratio * n) ** 0.37) * (1 + cost * math.log(factor) ** 2) * math.exp(noise * rng.standard_normal())}
        for n in (1e7, 3e7, 1e8, 3e8) for ratio in (10, 30) for factor in (0.25, 0.5, 1, 2, 4)
    ]  # fmt: skip


def test_a_sweep_tells_the_best_rate_and_who_is_off(tmp_path, keel_fit, write_csv):
    code, tree, said = keel_fit(
        write_csv(tmp_path / "runs.csv", swept()), "--at", AT, "--at", "params=5e8,tokens=5e9", shown=True
    )
    assert code == 0
    lr = tree["result"]["lr"]
    assert len(lr["best"]) == 2
    for best in lr["best"]:
        assert best["low"] < 2 * best["params"] ** -0.4 < best["high"]
    off = {item["id"] for item in lr["off"]}
    assert off <= {item["id"] for item in tree["result"]["runs"]["down_weighted"]}
    factors = {f"row {i + 1}": run["lr"] * run["params_total"] ** 0.4 / 2 for i, run in enumerate(swept())}
    far = {row for row, factor in factors.items() if abs(math.log(factor)) > 1}
    assert far <= off <= {row for row, factor in factors.items() if abs(math.log(factor)) > 0.1}
    assert said.count("tokens: lr ") == 2
    assert "[[Off their rate]]" in said


def test_naming_runs_off_their_rate_moves_no_forecast(tmp_path, monkeypatch, keel_fit, write_csv):
    path = write_csv(tmp_path / "runs.csv", swept())
    one = keel_fit(path, "--at", AT)[1]["result"]
    monkeypatch.setattr(rates_room, "MOST_ROWS", 10)
    code, tree, _ = keel_fit(path, "--at", AT)
    assert code == 0
    assert tree["result"]["lr"] is None
    assert "learning rates are not looked at" in told(tree)
    assert tree["result"]["forecasts"] == one["forecasts"]


def test_rates_that_tell_nothing_are_one_note_or_none(make_ladder, tmp_path, keel_fit, write_csv):
    rows = make_ladder()
    own = [{"params_total": r.params, "tokens": r.tokens, "lr": 2 * r.params**-0.4, "loss": r.value} for r in rows]
    code, tree, _ = keel_fit(write_csv(tmp_path / "own.csv", own), "--at", AT)
    assert (code, tree["result"]["lr"]) == (0, None)
    assert "learning" not in told(tree)
    two = own + [run | {"lr": 2 * run["lr"], "loss": 1.001 * run["loss"]} for run in own]
    code, tree, _ = keel_fit(write_csv(tmp_path / "two.csv", two), "--at", AT)
    assert (code, tree["result"]["lr"]) == (0, None)
    assert told(tree).count("no learning-rate surface") == 1
    assert "three learning rates" in told(tree)


def test_a_rate_costs_the_same_in_every_unit(make_ladder):
    """Perplexities are read as losses: the surface is the same."""
    rows = [Row(str(i), r["params_total"], r["tokens"], 1.0, r["loss"], lr=r["lr"]) for i, r in enumerate(swept())]
    other = [row._replace(value=math.exp(row.value)) for row in rows]
    one, two = rates(rows, "nats_per_token", [], 0.9)[0], rates(other, "perplexity", [], 0.9)[0]
    assert [item["id"] for item in one["off"]] == [item["id"] for item in two["off"]]
    assert one["constants"]["a_N"]["value"] == pytest.approx(two["constants"]["a_N"]["value"], rel=1e-6)


def test_repeats_are_no_matter_of_the_rate():
    rows = [Row(str(i), r["params_total"], r["tokens"], 1.0, r["loss"], lr=r["lr"]) for i, r in enumerate(swept())]
    again = [row._replace(id=f"{row.id} again", value=1.2 * row.value, unique_tokens=row.tokens / 8) for row in rows]
    found = rates([*rows, *again], "nats_per_token", [], 0.9)[0]
    assert found["off"] == rates(rows, "nats_per_token", [], 0.9)[0]["off"]
    assert f"{len(again)} runs that repeat" in " ".join(found["notes"])
    assert rates(again, "nats_per_token", [], 0.9) == (None, [])


def test_the_demo_sweep_names_the_rates_known_to_be_too_high(public_runs, keel_fit):
    """tiny_sotu, width 32: twice the best rate is named at three lengths, and only that."""
    path = public_runs / "tiny_sotu/runs.csv"
    kept = [word for one in ("objective=clm", "schedule=wsd", "decay_fraction=0.2", "vocabulary=2048", "set!=demo")
            for word in ("--where", one)]  # fmt: skip
    flags = ("--params", "params_total", "--loss", "val_bits_per_byte", *kept, "--at", "params=1e6,tokens=4e6")
    code, tree, said = keel_fit(path, *flags, shown=True)
    assert code == 0
    with path.open(newline="") as file:
        runs = {f"row {line}": run for line, run in enumerate(csv.DictReader(file), 1)}
    off = [runs[item["id"]] for item in tree["result"]["lr"]["off"]]
    assert {(run["width"], run["lr"], run["tokens"]) for run in off} == {
        ("32", "0.025", tokens) for tokens in ("199680", "399872", "799744")
    }
    best = tree["result"]["lr"]["best"][0]
    assert best["low"] < best["lr"] < best["high"]
    assert "beyond the largest swept" in said
