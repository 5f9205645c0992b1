"""`keel fit` on curves: known laws covered, published curves, wrong flags and tables told at once."""

from __future__ import annotations

import csv
import json
import math
from typing import Any

import numpy as np
import pytest

from keel.laws.beside.curves import Schedule
from keel.laws.beside.schedule_verb import fit_curves

AT = "params=1e9,tokens=2e10"
LINEAR = "linear peak_lr=1e-3 total=6000 warmup=100 stable=4800"


def told(tree: dict[str, Any]) -> str:
    return json.dumps(tree["problems"])


def curve_rows(noise: float = 3e-4) -> list[dict[str, Any]]:
    """Two curves of a known law of the summed rate and the rate now."""
    rng = np.random.default_rng(5)
    plans = {
        "flat": Schedule.of("cosine", peak_lr=1e-3, total=4000, warmup=100, final_lr=1e-3),
        "falls": Schedule.of("cosine", peak_lr=1e-3, total=4000, warmup=100, final_lr=1e-4),
    }
    steps = np.arange(200.0, 4001.0, 50.0)
    return [
        {"run": name, "step": int(s), "lr": float(lr), "loss": float(loss * math.exp(noise * rng.standard_normal()))}
        for name, plan in plans.items()
        for s, lr, loss in zip(steps, plan.at(steps), curve_loss(plan, steps))
    ]


def curve_loss(plan: Schedule, step: Any) -> Any:
    return 3 + 0.3 * plan.area(step) ** -0.5 + 100 * plan.at(step)


def test_a_run_under_another_schedule(tmp_path, keel_fit, write_csv):
    path = write_csv(tmp_path / "curves.csv", curve_rows())
    code, tree, said = keel_fit(path, "--schedule", LINEAR, "--warmup", "100", "--anneal", ".2", shown=True)
    assert code == 0
    found, end = tree["result"], tree["result"]["forecasts"][0]
    plan = Schedule.parse(LINEAR)
    assert end["step"] == 6000
    for point in found["points"]:
        assert point["low"] < float(curve_loss(plan, np.array([point["step"]]))[0]) < point["high"]
    assert (end["high"] - end["low"]) / end["value"] < 0.05
    flat = [point for point in found["annealed"] if point["curve"] == "flat"]
    assert flat[-1]["step"] == 4000
    place = np.array([4000.0])
    decayed = Schedule.of("linear", peak_lr=1e-3, total=4000, warmup=100, stable=3200)
    assert flat[-1]["low"] < float(curve_loss(decayed, place)[0]) < flat[-1]["high"]
    assert all(point["step"] < 600 for point in found["annealed"] if point["curve"] == "falls")
    for words in ("[[Curves]]", "[[Law]] L0 + A S1^-alpha", "[[Forecast]] linear", "step 6000:", "[[Annealed]]"):
        assert words in said


def test_notes_and_warnings_of_curves_are_told(tmp_path, keel_fit, write_csv):
    rows = [row for row in curve_rows() if row["step"] >= 800]
    plan = "cosine peak_lr=2e-3 total=4000"
    code, tree, said = keel_fit(write_csv(tmp_path / "curves.csv", rows), "--schedule", plan, shown=True)
    assert code == 0
    assert len(tree["result"]["notes"]) == 2
    assert "rise from 0 over 800 steps" in said
    assert "peak rate 0.002 is outside" in said
    assert "has no warm-up" in said


def test_another_size_lends_its_decay(tmp_path, keel_fit, write_csv):
    lender = write_csv(tmp_path / "small.csv", curve_rows())
    flat = [row | {"loss": 0.9 * row["loss"]} for row in curve_rows() if row["run"] == "flat"]
    path = write_csv(tmp_path / "large.csv", flat)
    code, tree, _ = keel_fit(path, "--schedule", LINEAR, "--warmup", "100")
    assert (code, tree["status"]) == (3, "refused")
    assert "no curve lowers its learning rate" in told(tree)
    code, tree, said = keel_fit(path, "--schedule", LINEAR, "--warmup", "100", "--like", str(lender), shown=True)
    assert code == 0
    end = tree["result"]["forecasts"][0]
    assert end["low"] < 0.9 * float(curve_loss(Schedule.parse(LINEAR), np.array([6000.0]))[0]) < end["high"]
    assert "decays also from" in said


def test_too_far_a_schedule_is_refused(tmp_path, keel_fit, write_csv):
    path = write_csv(tmp_path / "curves.csv", curve_rows())
    code, tree, _ = keel_fit(path, "--schedule", "linear peak_lr=1e-3 total=4e6")
    assert (code, tree["status"]) == (3, "refused")
    assert "summed learning rate" in told(tree)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--schedule", "linear"), "no schedule: 'linear'"),
        (("--schedule", ""), "no schedule: ''"),
        (("--schedule", "zigzag peak_lr=1e-3 total=100"), "one of linear, cosine, exponential"),
        (("--schedule", "linear peak_lr=1e-3 total=inf"), "no schedule"),
        (("--schedule", "linear peak_lr=1e-3 total=9 total=100"), "no schedule"),
        (("--schedule", "linear peak_lr=1e-3 total=100 stable=200"), "no such schedule"),
        (("--schedule", "exponential peak_lr=1e-3 total=100"), "exponential decay to 0"),
        (("--anneal", "1.2"), "--anneal 1.2 is not in (0, 1)"),
        (("--anneal", ".2", "--warmup", "-1"), "--warmup -1 is no number of steps"),
        (("--warmup", "100"), "--warmup without --schedule or --anneal"),
        (("--schedule", LINEAR, "--group", "rn"), "did you mean 'run'"),
        (("--like", "other.csv"), "--like without --schedule or --anneal"),
        (("--anneal", ".2", "--like", "other.csv"), "other.csv"),
        (("--schedule", LINEAR, "--at", AT), "--at with --schedule"),
        (("--schedule", LINEAR, "--params", "run"), "--params is not for curves"),
        (("--schedule", LINEAR, "--loss", "los"), "did you mean 'loss'"),
        (("--schedule", LINEAR, "--unit", "perplexity"), "the law is one of a loss"),
    ],
)
def test_wrong_flags_of_curves_are_exit_2(flags, words, tmp_path, keel_fit, write_csv):
    code, tree, _ = keel_fit(write_csv(tmp_path / "curves.csv", curve_rows()), *flags)
    assert (code, tree["status"]) == (2, "invalid")
    assert words in told(tree)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda row: {k: v for k, v in row.items() if k != "lr"}, "no column is known as lr"),
        (lambda row: {k: v for k, v in row.items() if k != "step"}, "the heading step"),
        (lambda row: {k: v for k, v in row.items() if k != "loss"}, "no column is known as loss"),
        (lambda row: row | {"lr": "fast" if row["step"] == 400 else row["lr"]}, "row 5, lr: not a usable number"),
        (lambda row: row | {"run": "" if row["step"] == 400 else row["run"]}, "no run is named"),
        (lambda row: row | {"run": "one"}, "two points at one step"),
    ],
)
def test_bad_tables_of_curves_are_exit_2(spoil, words, tmp_path, keel_fit, write_csv):
    path = write_csv(tmp_path / "curves.csv", [spoil(row) for row in curve_rows()])
    code, tree, _ = keel_fit(path, "--schedule", LINEAR)
    assert (code, tree["status"]) == (2, "invalid")
    assert words in told(tree)


def test_rows_of_curves_keep_their_numbers_when_others_are_left_out(tmp_path, keel_fit, write_csv):
    rows = curve_rows()
    rows[100]["loss"] = "x"
    code, tree, _ = keel_fit(write_csv(tmp_path / "c.csv", rows), "--schedule", LINEAR, "--where", "run=falls")
    assert code == 2
    assert "row 101, loss" in told(tree)


def test_columns_of_curves_go_by_other_names(tmp_path):
    rows = [{"run_id": r["run"], "global_step": r["step"], "learning_rate": r["lr"], "val_loss": r["loss"]}
            for r in curve_rows()]  # fmt: skip
    one = fit_curves(rows, LINEAR, warmup=100).result
    two = fit_curves(curve_rows(), LINEAR, warmup=100, out=tmp_path).result
    assert one["forecasts"][0]["value"] == two["forecasts"][0]["value"]
    assert one["columns"] == {"run": "run_id", "step": "global_step", "lr": "learning_rate", "loss": "val_loss",
                              "unit": "val_loss"}  # fmt: skip
    assert json.loads((tmp_path / "schedule.json").read_text())["law"] == two["law"]


def test_published_curves_through_the_command(public_runs, tmp_path, keel_fit):
    """100M: fitted on the published three, the end of the run with a late linear decay, and a checkpoint annealed."""
    folder, path = public_runs / "multi_power_law_curves", tmp_path / "curves.csv"
    names = ("cosine_24000", "constant_24000", "wsdcon_9")
    lines = [f"{n},{line}" for n in names for line in (folder / f"100M_{n}.csv").read_text().splitlines()[1:]]
    path.write_text("run,step,lr,loss\n" + "\n".join(lines) + "\n")
    with (folder / "100M_wsdld_20000_24000.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    plan = "linear peak_lr=3e-4 total=24000 warmup=2160 stable=20000 final_lr=3e-5"
    code, tree, _ = keel_fit(path, "--schedule", plan, "--warmup", "2160", "--anneal", "0.1667")
    assert code == 0
    end, measured = tree["result"]["forecasts"][0], float(last["loss"])
    assert end["value"] == pytest.approx(measured, rel=0.006)
    assert end["low"] < measured < end["high"]
    annealed = [p for p in tree["result"]["annealed"] if p["curve"] == "constant_24000"][-1]
    assert annealed["low"] < measured < annealed["measured"]
    assert annealed["value"] == pytest.approx(measured, rel=0.012)
    code, tree, _ = keel_fit(path, "--schedule", plan, "--where", "run=constant_24000")
    assert code == 3
