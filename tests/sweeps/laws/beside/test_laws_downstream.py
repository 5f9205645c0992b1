"""Loss to accuracy: known curves covered, chance and bounds respected, refusals, and the public tasks."""

from __future__ import annotations

import csv
import gzip
import math

import numpy as np
import pytest

from keel.errors import Refusal, StudyError
from keel.laws import Row
from keel.laws.beside import downstream
from keel.laws.beside.downstream import MEAN, SD, Pair, _curve, fit_task, losses, pairs_of
from keel.laws.ensemble import build, coordinates
from keel.laws.forecast import spread

NATS = "nats_per_token"
CHANCE = 0.25
FAR = np.array([[2e9, 4e10, 4.8e20, 1.0]])


def accuracy_of(loss):
    return CHANCE + 0.7 / (1 + np.exp(2.5 * (loss - 2.6)))


def pairs_from(rows, seed=0, scatter=0.005, truth=accuracy_of):
    rng = np.random.default_rng(seed)
    return [Pair(r.id, r.value, float(np.clip(truth(r.value) + scatter * rng.standard_normal(), 0, 1))) for r in rows]


def test_derivatives_are_those_of_the_curve():
    rng = np.random.default_rng(2)
    theta, z = MEAN + 0.5 * SD * rng.standard_normal((4, 4)), rng.uniform(-0.3, 0.3, 6)
    _, by = _curve(theta, z, CHANCE)
    for j in range(4):
        step = np.zeros(4)
        step[j] = 1e-6
        slope = (_curve(theta + step, z, CHANCE)[0] - _curve(theta - step, z, CHANCE)[0]) / 2e-6
        np.testing.assert_allclose(by[..., j], slope, rtol=1e-5, atol=1e-9)


def covered(make_ladder, truth, num):
    """Ladders from a known law of the loss and a known curve, five times beyond: hits, mean error, half-width."""
    hits, errors, widths = 0, [], []
    for seed in range(num):
        rows = make_ladder(noise=0.003, seed=seed)
        found = downstream.downstream(build(rows, NATS), pairs_from(rows, seed), FAR, 0.9, CHANCE)[0]
        rng = np.random.default_rng(500 + seed)
        value = accuracy_of(truth(2e9, 4e10) * math.exp(0.003 * rng.standard_normal())) + 0.005 * rng.standard_normal()
        hits += found.low <= value <= found.high
        errors.append(abs(found.value - value))
        widths.append((found.high - found.low) / 2)
    return hits, float(np.mean(errors)), float(np.median(widths))


def test_the_interval_covers_a_known_curve(make_ladder, truth):
    hits, error, width = covered(make_ladder, truth, 8)
    assert hits >= 6  # P(fewer than 6 of 8 | .9) < 4 %
    assert error < 0.06
    assert width < 0.2


def test_a_curve_that_ignores_the_loss_would_fail_that_check(make_ladder, truth, monkeypatch):
    """Mutant: every loss is worth the middle pair's accuracy."""
    honest = downstream._eta
    monkeypatch.setattr(downstream, "_eta", lambda theta, z: honest(theta, 0 * z))
    hits, error, _ = covered(make_ladder, truth, 2)
    assert hits < 2 or error > 0.06


def test_with_many_exact_pairs_the_curve_comes_back(make_ladder):
    rows = make_ladder(sizes=(1e7, 3e7, 1e8, 3e8, 1e9, 3e9), ratios=(5, 20, 80), noise=0)
    task = fit_task(pairs_from(rows, scatter=1e-4), CHANCE)
    seen = np.linspace(min(r.value for r in rows), max(r.value for r in rows), 9)
    np.testing.assert_allclose(task.accuracy(seen), accuracy_of(seen), atol=0.004)


def test_chance_and_one_bound_every_answer(make_ladder):
    rows = make_ladder()
    task = fit_task(pairs_from(rows), CHANCE)
    for loss, low, high in ((0.1, 0.5, 1.0), (20.0, CHANCE - 0.05, CHANCE + 0.05)):
        found = task.forecast(np.full((32, 1), loss), 0.99)[0]
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert low <= found.value <= high
    assert any("scatter of chance" in text for text in task.forecast(np.full((32, 1), 20.0))[0].warnings)


def test_the_interval_grows_below_the_lowest_loss_and_its_parts_are_told(make_ladder):
    rows = make_ladder()
    task = fit_task(pairs_from(rows), CHANCE)
    lowest = min(r.value for r in rows)
    near, far = (task.forecast(np.full((32, 1), lowest * share))[0] for share in (1.0, 0.8))
    assert far.high - far.low > 1.5 * (near.high - near.low)
    assert far.ahead == pytest.approx(0.2)
    assert any("20 % below the lowest" in text for text in far.warnings)
    assert near.width_parts["loss"] == 0
    spread_out = task.forecast(lowest * np.linspace(0.9, 1.1, 32)[:, None])[0]
    assert spread_out.width_parts["loss"] > near.width_parts["scatter"] > 0


def test_the_unit_of_the_loss_changes_nothing(make_ladder):
    pairs = pairs_from(make_ladder())
    other = [p._replace(loss=p.loss / math.log(2)) for p in pairs]
    at = np.full((32, 1), 2.2)
    one, two = fit_task(pairs, CHANCE).forecast(at)[0], fit_task(other, CHANCE).forecast(at / math.log(2))[0]
    assert two[:3] == pytest.approx(one[:3], rel=1e-6)


def test_a_task_at_chance_is_refused_and_says_what_would_help(make_ladder):
    rows = make_ladder()
    found = fit_task(pairs_from(rows, truth=lambda loss: CHANCE, scatter=0.01), CHANCE)
    assert isinstance(found, Refusal)
    assert "at chance" in found.why
    assert "released model" in found.fix
    below = fit_task(pairs_from(rows, truth=lambda loss: 0.2, scatter=0.001), CHANCE)
    assert isinstance(below, Refusal)
    few = fit_task(pairs_from(rows)[:5], CHANCE)
    assert isinstance(few, Refusal)
    assert "5 pairs" in few.why


def test_bad_pairs_and_cells_are_all_named():
    good = [Pair(f"r{i}", 3.0 - i / 10, 0.3 + i / 20) for i in range(8)]
    for bad in (Pair("x", -1.0, 0.5), Pair("x", math.nan, 0.5), Pair("x", 3.0, 45.0), Pair("x", 3.0, math.nan)):
        with pytest.raises(StudyError, match="1 pairs"):
            fit_task([*good, bad], CHANCE)
    with pytest.raises(StudyError, match="chance"):
        fit_task(good, 25)
    records = [{"l": "3.1", "a": "40"}, {"l": "", "a": "41"}, {"l": 2.9, "a": 43.5}]
    pairs, empty = pairs_of(records, "l", "a", percent=True)
    assert [p.accuracy for p in pairs] == [0.4, 0.435]
    assert empty == ("row 2",)
    with pytest.raises(StudyError) as found:
        pairs_of([{"l": "x", "a": 1}, {"l": 3, "a": "y"}], "l", "a")
    assert len(found.value.problems) == 2


def test_equally_likely_losses_are_those_of_the_forecast(make_ladder):
    ensemble = build(make_ladder(), NATS)
    found = losses(ensemble, FAR)
    assert found.shape == (downstream.NUM_LOSS, 1)
    assert (np.diff(found[:, 0]) >= 0).all()
    value, low, high, _ = spread(ensemble, FAR, 0.5)
    inside = ((found >= low) & (found <= high)).mean()
    assert inside == pytest.approx(0.5, abs=1.5 / downstream.NUM_LOSS)
    assert np.median(found) == pytest.approx(value[0], rel=1e-3)


def judge(rows, tasks, unit=NATS):
    """Top compute decile from the runs at a tenth of it or less; errors and hits of {name: (accuracies, chance)}."""
    flop = np.array([r.flop for r in rows])
    held = flop >= np.quantile(flop, 0.9)
    seen = flop <= flop[held].min() / 10
    likely = losses(
        build([r for r, keep in zip(rows, seen) if keep], unit), coordinates([r for r, out in zip(rows, held) if out])
    )
    errors, hits = [], []
    for accuracy, chance in tasks.values():
        pairs = [Pair(r.id, r.value, a) for r, a, keep in zip(rows, accuracy, seen) if keep]
        found = fit_task(pairs, chance).forecast(likely)
        truth = np.asarray(accuracy)[held]
        errors += [abs(f.value - a) for f, a in zip(found, truth)]
        hits += [f.low <= a <= f.high for f, a in zip(found, truth)]
    return errors, hits


def test_gadre_tasks(public_runs):
    """Five tasks, runs 10x-300x beyond: mean error under 7 points, most covered; MMLU refused as at chance."""
    with (public_runs / "gadre/runs.csv").open(newline="") as file:
        found = [r for r in csv.DictReader(file) if r["dataset"] == "c4_original"]
    rows = [Row(r["name"], float(r["N"]), float(r["D"]), 6 * float(r["N"]) * float(r["D"]), float(r["loss_c4_val"]))
            for r in found]  # fmt: skip
    chances = {"hellaswag": 0.25, "piqa": 0.5, "copa": 0.5, "coqa": 0.0, "bigbench_qa_wikidata": 0.0}
    errors, hits = judge(rows, {t: ([float(r[f"acc_{t}"]) for r in found], chance) for t, chance in chances.items()})
    assert np.mean(errors) < 0.07
    assert np.mean(hits) >= 0.8
    small = [Pair(r["name"], row.value, float(r["acc_mmlu"])) for r, row in zip(found, rows) if row.params < 5e8]
    assert isinstance(fit_task(small, 0.25), Refusal)


def test_olmo_tasks_through_their_own_bits_per_byte(public_runs):
    with gzip.open(public_runs / "olmo_ladder/checkpoints.csv.gz", "rt", newline="") as file:
        last = {r["run"]: r for r in csv.DictReader(file)}
    for task, chance in {"hellaswag_val": 0.25, "csqa_val": 0.2}.items():
        rows = [Row(n, float(r["params"]), float(r["tokens"]), 1e9 * float(r["train_gflops"]), float(r[f"bpb_{task}"]))
                for n, r in last.items()]  # fmt: skip
        accuracy = [float(r[f"acc_{task}"]) for r in last.values()]
        error, hit = judge(rows, {task: (accuracy, chance)}, "bits per byte of the answer")
        assert max(error) < 0.06
        assert all(hit)
