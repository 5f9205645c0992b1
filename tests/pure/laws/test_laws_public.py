"""Published runs: the errors and coverage that docs/decisions/0002 states, guarded against getting worse."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from keel.laws import Row, Target, forecast
from keel.laws.ensemble import build, coordinates
from keel.laws.forecast import spread


def rows_of(path, params, tokens, loss, keep=lambda r: True):
    with path.open(newline="") as file:
        found = [(float(r[params]), float(r[tokens]), float(r[loss])) for r in csv.DictReader(file) if keep(r)]
    return [Row(f"r{i}", n, d, 6 * n * d, v) for i, (n, d, v) in enumerate(found)]


def gap10(rows):
    """The top decile by compute, forecast from the runs with at most a tenth of its least compute."""
    flop = np.array([r.flop for r in rows])
    held = flop >= np.quantile(flop, 0.9)
    seen = flop <= flop[held].min() / 10
    return [r for r, keep in zip(rows, seen) if keep], [r for r, keep in zip(rows, held) if keep]


def errors(rows, unit="nats_per_token"):
    seen, held = gap10(rows)
    value, low, high, _ = spread(build(seen, unit), coordinates(held), 0.9)
    truth = np.array([r.value for r in held])
    return 100 * np.abs(value / truth - 1).mean(), ((low <= truth) & (truth <= high)).mean()


@pytest.mark.parametrize(("corpus", "most"), [("c4_original", 3.5), ("rpj", 2.5), ("rw_original", 3.0)])
def test_gadre(public_runs, corpus, most):
    rows = rows_of(public_runs / "gadre/runs.csv", "N", "D", "loss_c4_val", lambda r: r["dataset"] == corpus)
    error, covered = errors(rows)
    assert error < most
    assert covered == 1


def test_olmo_ladder(public_runs):
    error, covered = errors(rows_of(public_runs / "olmo_ladder/runs.csv", "params", "tokens", "c4_loss_last5"))
    assert error < 1.2
    assert covered == 1


def test_datablations_without_repeats(public_runs):
    def once(r):
        return float(r["epochs"]) <= 1 and "dedup" not in r["suffix"] and "opt" not in r["suffix"]

    error, covered = errors(rows_of(public_runs / "datablations/val_loss_C4.csv", "N", "D", "loss", once))
    assert error < 1.5
    assert covered > 0.8


def test_the_demo_ladder(public_runs):
    """Three seeds of the tiny ladder, 8x beyond the largest run: within 3 %, interval under 6 %, most covered."""
    misses, hits, widths = [], 0, []
    for seed in "012":

        def of(r, big, seed=seed):
            return r["set"] == "demo" and r["seed"] == seed and (r["width"] == "64") == big

        path, names = public_runs / "tiny_sotu/runs.csv", ("params_total", "tokens", "val_bits_per_byte")
        big = rows_of(path, *names, lambda r: of(r, True))[0]
        found = forecast(rows_of(path, *names, lambda r: of(r, False)), Target(big.params, big.tokens))
        misses.append(abs(found.value / big.value - 1))
        hits += found.low <= big.value <= found.high
        widths.append((found.high - found.low) / found.value / 2)
    assert np.median(misses) < 0.025
    assert hits >= 2
    assert max(widths) < 0.06
