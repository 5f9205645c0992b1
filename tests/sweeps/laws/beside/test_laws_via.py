"""`keel fit --via`: tasks through their loss, on a known curve and on Gadre's runs; what is wrong is told at once."""

from __future__ import annotations

import csv
import json
import math
from typing import Any

import numpy as np
import pytest

from keel.errors import StudyError
from keel.laws.beside.via_verb import fit_via

AT = "params=1e9,tokens=2e10"
CHANCE = 0.25
VIA = ("--loss", "acc", "--via", "val_loss", "--chance", "0.25")


def told(tree: dict[str, Any]) -> str:
    return json.dumps(tree["problems"])


def accuracy_of(loss: float) -> float:
    return CHANCE + 0.7 / (1 + math.exp(2.5 * (loss - 2.6)))


@pytest.fixture
def tasks(make_ladder: Any) -> list[dict[str, Any]]:
    """A ladder with losses and accuracies of a known curve."""
    rng = np.random.default_rng(3)
    return [
        {"name": r.id, "params_total": r.params, "tokens": r.tokens, "val_loss": r.value,
         "acc": accuracy_of(r.value) + 0.004 * float(rng.standard_normal())} for r in make_ladder(noise=0.001)
    ]  # fmt: skip


def test_a_task_is_forecast_through_its_loss(tasks, truth, tmp_path, keel_fit, write_csv):
    code, tree, said = keel_fit(write_csv(tmp_path / "runs.csv", tasks), *VIA, "--at", AT, shown=True)
    assert code == 0
    found = tree["result"]["forecasts"][0]
    assert found["low"] < accuracy_of(truth(1e9, 2e10)) < found["high"]
    assert found["high"] - found["low"] < 0.2
    assert found["via"]["low"] < truth(1e9, 2e10) < found["via"]["high"]
    assert (found["unit"], found["via"]["unit"]) == ("accuracy", "val_loss")
    assert set(found["width_parts"]) == {"loss", "curve", "scatter"}
    for words in ("[[Laws]]", "[[Task]] acc", "[[Forecast]] 1B params", "via val_loss", "accuracy, 90 %"):
        assert words in said


def test_its_keys_are_those_of_every_forecast_of_keel_fit(tasks, tmp_path, keel_fit, write_csv):
    path = write_csv(tmp_path / "runs.csv", tasks)
    plain = keel_fit(path, "--loss", "val_loss", "--at", AT)[1]["result"]
    via = keel_fit(path, *VIA, "--at", AT)[1]["result"]
    assert set(plain) <= set(via)
    assert set(plain["forecasts"][0]) <= set(via["forecasts"][0])
    for key in ("value", "low", "high", "width_parts"):
        assert via["forecasts"][0]["via"][key] == pytest.approx(plain["forecasts"][0][key])


def test_empty_accuracies_are_named_and_their_losses_still_count(tasks, tmp_path, keel_fit, write_csv):
    tasks[3]["acc"], tasks[7]["acc"] = "", "nan"
    path = write_csv(tmp_path / "runs.csv", tasks)
    code, tree, _ = keel_fit(path, *VIA, "--at", AT, "--where", "params_total>3e7")
    kept = [run["name"] for run in tasks if run["params_total"] > 3e7]
    assert code == 0
    assert tree["result"]["task"]["left_out"] == [tasks[3]["name"], tasks[7]["name"]]
    assert tree["result"]["task"]["pairs"] == len(kept) - 2
    assert tree["result"]["runs"]["used"] == len(kept)
    assert f"2 of {len(kept)} runs have no acc" in told(tree)


def test_a_bad_accuracy_is_named_by_its_run_whatever_rows_are_left_out(tasks, tmp_path, keel_fit, write_csv):
    tasks[9]["acc"] = "x"
    path = write_csv(tmp_path / "runs.csv", tasks)
    code, tree, _ = keel_fit(path, *VIA, "--at", AT, "--where", "params_total>3e7")
    assert code == 2
    assert tasks[9]["name"] in told(tree)


def test_per_cent_is_a_share_times_a_hundred(tasks, tmp_path, keel_fit, write_csv):
    one = keel_fit(write_csv(tmp_path / "a.csv", tasks), *VIA, "--at", AT)[1]["result"]["forecasts"][0]
    percent = [run | {"acc": 100 * run["acc"]} for run in tasks]
    two = keel_fit(write_csv(tmp_path / "b.csv", percent), *VIA, "--at", AT)[1]["result"]["forecasts"][0]
    assert two["unit"] == "accuracy_percent"
    for key in ("value", "low", "high"):
        assert two[key] == pytest.approx(100 * one[key])
    percent[0]["acc"] = 0.5
    code, tree, _ = keel_fit(write_csv(tmp_path / "c.csv", percent), *VIA, "--at", AT)
    assert code == 2
    assert "a share or per cent" in told(tree)


def test_the_unit_of_the_loss_may_be_said_and_a_budget_asked_for(tasks, tmp_path, keel_fit, write_csv):
    path = write_csv(tmp_path / "runs.csv", tasks)
    code, tree, said = keel_fit(path, *VIA, "--via-unit", "nats_per_token", "--at", "compute=1e20", shown=True)
    assert code == 0
    assert tree["result"]["forecasts"][0]["via"]["unit"] == "nats_per_token"
    assert "[[Optimum]]" in said
    assert keel_fit(path, *VIA)[1]["result"]["forecasts"] == []


def test_refusals_of_tasks(tasks, tmp_path, keel_fit, write_csv):
    path = write_csv(tmp_path / "runs.csv", tasks)
    code, tree, _ = keel_fit(path, *VIA, "--at", "params=1e14,tokens=1e15")
    assert (code, tree["status"]) == (3, "refused")
    assert "largest run's compute" in told(tree)
    code, tree, _ = keel_fit(path, *VIA, "--at", "params=1e14,tokens=1e15", "--at", AT)
    assert (code, len(tree["result"]["forecasts"])) == (0, 1)
    rng = np.random.default_rng(1)
    flat = [run | {"acc": CHANCE + 0.01 * float(rng.standard_normal())} for run in tasks]
    code, tree, _ = keel_fit(write_csv(tmp_path / "flat.csv", flat), *VIA, "--at", AT)
    assert code == 3
    assert "at chance" in told(tree)
    code, tree, _ = keel_fit(write_csv(tmp_path / "two.csv", [r for r in tasks if r["params_total"] < 8e7]), *VIA)
    assert code == 3
    assert "2 sizes seen" in told(tree)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--loss", "acc", "--via", "val_loss"), "--via without --chance"),
        (("--loss", "acc", "--via", "val_loss", "--chance", "1"), "--chance 1 is not in [0, 1)"),
        (("--loss", "acc", "--via", "val_loss", "--chance", "25"), "--chance 25 is not in [0, 1)"),
        (("--loss", "acc", "--via", "val_loss", "--chance", "-0.1"), "--chance -0.1 is not in [0, 1)"),
        (("--loss", "acc", "--via", "val_loss", "--chance", "nan"), "--chance nan is not in [0, 1)"),
        (("--via", "val_loss", "--chance", "0.25"), "--via without --loss"),
        (("--loss", "acc", "--via", "acc", "--chance", "0.25"), "name one column"),
        (("--loss", "acc", "--via", "", "--chance", "0.25"), "--via names no column"),
        (("--loss", "acc", "--chance", "0.25"), "--chance without --via"),
        (("--loss", "ac", "--via", "val_loss", "--chance", "0.25"), "--loss ac: no such column"),
        (("--loss", "acc", "--via", "val_los", "--chance", "0.25"), "did you mean 'val_loss'"),
        ((*VIA, "--unit", "perplexity"), "--unit perplexity with --via"),
        ((*VIA, "--next"), "--next with --via"),
        ((*VIA, "--schedule", "linear peak_lr=1e-3 total=6000"), "two laws at once"),
    ],
)
def test_wrong_flags_of_a_task_are_exit_2(flags, words, tasks, tmp_path, keel_fit, write_csv):
    code, tree, _ = keel_fit(write_csv(tmp_path / "runs.csv", tasks), *flags, "--at", AT)
    assert (code, tree["status"]) == (2, "invalid")
    assert words in told(tree)


def test_what_is_written_is_what_is_printed(tasks, tmp_path, keel_fit, write_csv):
    path = write_csv(tmp_path / "runs.csv", tasks)
    tree = keel_fit(path, *VIA, "--at", AT, "--out", str(tmp_path))[1]
    assert json.loads((tmp_path / "via.json").read_text())["task"] == tree["result"]["task"]
    with pytest.raises(StudyError, match="folder of runs"):
        fit_via(tmp_path, "val_loss", CHANCE, columns={"loss": "acc"})


def test_gadre_hellaswag_at_three_to_fifty_times_the_size(public_runs, keel_fit):
    """From runs of at most 412M params on C4: the 1.4B and 6.9B runs' accuracies lie inside, within five points."""
    path = public_runs / "gadre/runs.csv"
    with path.open(newline="") as file:
        large = [r for r in csv.DictReader(file) if r["dataset"] == "c4_original" and float(r["N"]) > 1e9]
    aims = [word for r in large for word in ("--at", f"params={r['N']},tokens={r['D']}")]
    flags = ("--params", "N", "--params-count", "total", "--loss", "acc_hellaswag", "--via", "loss_c4_val")
    kept = ("--where", "dataset=c4_original", "--where", "N<1e9")
    code, tree, _ = keel_fit(path, *flags, "--chance", ".25", *kept, *aims)
    assert code == 0
    assert len(large) == 3
    for found, run in zip(tree["result"]["forecasts"], large):
        assert found["low"] < float(run["acc_hellaswag"]) < found["high"]
        assert abs(found["value"] - float(run["acc_hellaswag"])) < 0.05
        assert found["high"] - found["low"] < 0.3
        assert found["via"]["value"] == pytest.approx(float(run["loss_c4_val"]), rel=0.03)
    at_chance = ("--params", "N", "--loss", "acc_mmlu", "--via", "loss_c4_val", "--chance", ".25", *kept, *aims)
    assert keel_fit(path, *at_chance)[0] == 3
