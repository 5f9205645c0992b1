"""The learning-rate and batch surface: known optima inside their intervals, costs, edges, refusals, real sweeps."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from keel.errors import Refusal
from keel.laws import Row
from keel.laws.beside import lr_batch
from keel.laws.beside.lr_batch import BATCH_MEAN, LR_MEAN, fit_rates
from keel.laws.beside.valley import excess

RATES = 1e-3 * 2.0 ** np.arange(-3, 4)
BATCHES = 2.0 ** np.arange(16, 22)


def best_lr(n, d, batch=2.0**18):
    return 2e-3 * (n / 1e8) ** -0.45 * (d / 2e9) ** -0.1 * (batch / 2**18) ** 0.5


def best_batch(n, d):
    return 2**18 * (d / 2e9) ** 0.55


def cost(d, kappa=0.02, skew=1.0):
    return kappa * (np.expm1(skew * d) - skew * d) / skew**2


def sweep(cells, rates=RATES, batches=(), noise=0.001, seed=0, scatter=0.0):
    """Runs of every rate (and batch) in each cell (params, tokens); `scatter` moves each cell's best rate."""
    rng, rows = np.random.default_rng(seed), []
    for n, d in cells:
        moved = scatter * rng.standard_normal()
        for batch in batches or (math.nan,):
            for lr in rates:
                off = math.log(lr / best_lr(n, d, batch if batches else 2**18)) - moved
                lost = cost(off) + (cost(math.log(batch / best_batch(n, d)), 0.01, 0.5) if batches else 0)
                value = (1.8 + 400 / n**0.33 + 2000 / d**0.36) * math.exp(lost + noise * rng.standard_normal())
                rows.append(
                    Row(f"{n:.0e} {d:.0e} {lr:.2g} {batch:.2g}", n, d, 6 * n * d, value, lr=lr, batch_tokens=batch)
                )
    return rows


CELLS = [(2e7, 4e8), (5e7, 1e9), (5e7, 4e9), (1e8, 2e9), (2e8, 4e9)]


def test_derivatives_are_those_of_the_excess():
    rng = np.random.default_rng(1)
    theta = np.concatenate([LR_MEAN, BATCH_MEAN]) + 0.3 * rng.standard_normal((4, 11))
    x = rng.standard_normal((6, 4))
    _, by = excess(theta, x)
    for j in range(11):
        step = np.zeros(11)
        step[j] = 1e-6
        slope = (excess(theta + step, x)[0] - excess(theta - step, x)[0]) / 2e-6
        np.testing.assert_allclose(by[..., j], slope, rtol=1e-5, atol=1e-8)


def hits(num, scatter):
    """How often the interval for a size ten times larger holds its best rate, and the median half-width in log."""
    inside, widths = 0, []
    for seed in range(num):
        found = fit_rates(sweep(CELLS, seed=seed, scatter=scatter)).best(2e9, 4e10)
        shift = scatter * np.random.default_rng(1000 + seed).standard_normal()
        inside += found.low < best_lr(2e9, 4e10) * math.exp(shift) < found.high
        widths.append(math.log(found.high / found.low) / 2)
    return inside, float(np.median(widths))


@pytest.mark.parametrize("scatter", [0.0, 0.2])
def test_the_best_rate_of_a_larger_size_is_covered(scatter):
    inside, width = hits(20, scatter)
    assert inside >= 15  # P(fewer than 15 of 20 | .9) < 1.2 %
    assert width < 0.8


def test_a_surface_that_knows_no_size_would_fail_that_check(monkeypatch):
    """Mutant: the best rate is the same at every size and token count."""
    monkeypatch.setattr(lr_batch, "LR_MEAN", np.array([0, 0, 0, 0, math.log(0.02), 0]))
    monkeypatch.setattr(lr_batch, "LR_SD", np.array([2.5, 1e-3, 1e-3, 1e-3, 1.2, 0.6]))
    assert hits(5, 0.0)[0] <= 2


def test_exponents_and_shape_are_recovered():
    found = fit_rates(sweep(CELLS, noise=2e-4)).constants()
    for name, known in {"a_N": -0.45, "a_D": -0.1, "kappa": 0.02, "s": 1.0}.items():
        _, low, high = found[name]
        assert low <= known <= high, (name, found[name])
    assert found["a_N"][2] - found["a_N"][1] < 0.5


def test_rate_and_batch_together():
    surface = fit_rates(sweep(CELLS[1:4], batches=tuple(BATCHES), noise=5e-4))
    found = surface.best(1e9, 2e10)
    batch = best_batch(1e9, 2e10)
    assert found.batch_low < batch < found.batch_high
    assert found.low < best_lr(1e9, 2e10, found.batch_tokens) < found.high
    # At a batch of one's own, the rate follows the batch, and the batch's own cost is in the regret.
    small = surface.best(1e9, 2e10, batch_tokens=batch / 16)
    assert small.lr == pytest.approx(best_lr(1e9, 2e10, batch / 16), rel=0.4)
    assert small.regret > found.regret + 0.5 * cost(math.log(1 / 16), 0.01, 0.5)


def test_each_run_is_told_what_it_lost():
    rows = sweep(CELLS, noise=2e-4)
    rows += [Row("ladder", 4e8, 8e9, 6 * 4e8 * 8e9, 2.5, lr=8 * best_lr(4e8, 8e9))]
    surface = fit_rates(rows)
    found = {c.id: c for c in surface.costs()}
    assert len(found) == len(rows)
    for row in rows[:-1]:
        lost = math.expm1(cost(math.log(row.lr / best_lr(row.params, row.tokens))))
        assert found[row.id].cost == pytest.approx(lost, abs=0.002 + 0.1 * lost)
    far = found["ladder"]
    assert far.low < math.expm1(cost(math.log(8))) < far.high
    assert far.log_distance == pytest.approx(math.log(8), abs=0.3)
    off = surface.off()
    assert any(item["id"] == "ladder" and "above the best" in item["why"] for item in off)
    assert all(found[item["id"]].cost > 0.005 for item in off)
    assert surface.costs()[0].cost == max(c.cost for c in surface.costs())


@pytest.mark.parametrize(("keep", "side"), [(RATES[:3] / 2, "at least"), (RATES[4:] * 3, "at most")])
def test_a_best_beyond_the_sweep_is_one_sided(keep, side):
    surface = fit_rates(sweep(CELLS, rates=keep))
    found = surface.best(1e8, 2e9)
    assert found.side == side
    assert (found.high == math.inf) if side == "at least" else (found.low == 0)
    assert any("best run at the" in text and "sweep further" in text for text in found.warnings)
    truth = best_lr(1e8, 2e9)
    assert found.low < truth < found.high


def test_one_size_leaves_the_exponent_to_the_prior_and_says_so():
    near = fit_rates(sweep([(1e8, 2e9)])).best(1e8, 2e9)
    far = fit_rates(sweep([(1e8, 2e9)])).best(1e10, 2e9)
    assert any("exponent of params is the prior's" in text for text in far.warnings)
    assert any("100 x beyond the largest swept" in text for text in far.warnings)
    assert math.log(far.high / far.low) > 2 * math.log(near.high / near.low)
    assert near.low < best_lr(1e8, 2e9) < near.high
    assert near.regret < 0.001


def test_units_change_nothing():
    rows = sweep(CELLS)
    other = [r._replace(params=r.params / 1e6, tokens=r.tokens / 1e9, lr=r.lr * 100, value=r.value / 2) for r in rows]
    one, two = fit_rates(rows).best(1e9, 2e10), fit_rates(other).best(1e3, 20)
    assert two.lr == pytest.approx(100 * one.lr, rel=1e-6)
    assert two.high == pytest.approx(100 * one.high, rel=1e-6)


def test_no_sweep_no_rate_and_pure_noise_are_refused():
    lone = [r for i, r in enumerate(sweep(CELLS)) if i % 7 in (2, 3)]
    for rows, why in (([], "no run has"), ([r._replace(lr=math.nan) for r in lone], "no run has"), (lone, "three")):
        found = fit_rates(rows)
        assert isinstance(found, Refusal)
        assert why in found.why
    rng = np.random.default_rng(0)
    flat = [r._replace(value=3 * math.exp(0.01 * rng.standard_normal())) for r in sweep(CELLS)]
    assert isinstance(fit_rates(flat), Refusal)


def test_a_diverged_run_does_not_move_the_best():
    rows = sweep(CELLS)
    wild = [r._replace(value=r.value * 3) if r.lr == RATES[-1] else r for r in rows]
    one, two = fit_rates(rows).best(1e9, 2e10), fit_rates(wild).best(1e9, 2e10)
    assert abs(math.log(two.lr / one.lr)) < 0.25


def test_batches_missing_in_some_rows_are_left_out_of_all():
    rows = sweep(CELLS, batches=(2.0**18,))
    rows[0] = rows[0]._replace(batch_tokens=math.nan)
    found = fit_rates(rows).best(1e9, 2e10, batch_tokens=2.0**20)
    assert math.isnan(found.batch_tokens)
    assert found.warnings[-1] == "not every run has a batch: the one given changes nothing here"
    assert found.low < best_lr(1e9, 2e10) < found.high


def test_the_tiny_sweep(public_runs):
    """Width 32 at three rates and three token counts: .0125 is near the best at .2 M tokens, twice it is named."""
    with (public_runs / "tiny_sotu/runs.csv").open(newline="") as file:
        found = [r for r in csv.DictReader(file) if r["objective"] == "clm" and r["schedule"] == "wsd"
                 and r["decay_fraction"] == "0.2" and not r["unique_tokens"] and r["vocabulary"] == "2048"
                 and r["set"] in ("grid", "arms", "own-schedule")]  # fmt: skip
    rows = [
        Row(f"{r['width']}-{r['tokens']}-{float(r['lr']):.4f}-{i}", float(r["params_total"]), float(r["tokens"]), 1.0,
            float(r["val_bits_per_byte"]), lr=float(r["lr"]), batch_tokens=float(r["batch_tokens"]))
        for i, r in enumerate(found)
    ]  # fmt: skip
    surface = fit_rates(rows)
    best = surface.best(90272, 2e5)
    assert best.low < 0.0125 < best.high
    named = [item["id"] for item in surface.off()]
    assert {name.rsplit("-", 1)[0] for name in named} == {f"32-{d}-0.0250" for d in (199680, 399872, 799744)}
