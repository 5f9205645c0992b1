"""Published answers re-made from the published runs, and known constants inside keel's own intervals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from keel.errors import Refusal, StudyError
from keel.laws import Row, Target, forecast
from keel.laws.classic import classic
from keel.laws.design.isoflop import minima, power_law
from keel.laws.forms import LAWS
from keel.laws.law import Frame
from keel.laws.published import PUBLISHED

ROOT = Path(__file__).parents[3]
GOLDEN = json.loads((ROOT / "tests" / "golden" / "reproduced.json").read_text())["values"]
PARTS = ("gadre", "porian", "olmo", "clark", "muennighoff")
LAW = PUBLISHED["chinchilla-besiroglu"]


@pytest.fixture(scope="module")
def benchmark():
    """benchmarks/reproduce.py, the command that prints these answers."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import reproduce
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return reproduce


@pytest.fixture
def script(benchmark, public_runs, monkeypatch):
    monkeypatch.setattr(benchmark, "SCALING", public_runs)
    return benchmark


@pytest.mark.parametrize("part", PARTS)
def test_the_published_answer_comes_out(script, part):
    answers = dict(script.PARTS[part]())
    assert set(answers) == {name for name in GOLDEN if name.startswith(part)}
    for name, value in answers.items():
        wanted = GOLDEN[name]
        assert value == pytest.approx(wanted["value"], rel=wanted.get("rel", 0), abs=wanted.get("abs", 0)), name


def test_all_published_answers_have_a_part():
    assert {name.split()[0] for name in GOLDEN} == set(PARTS)


def test_published_constants_describe_the_runs_they_come_from(script):
    """Gadre's three laws on all of their runs: 1.4 to 1.8 %. The wrong reading of their second constant gives 4 %."""
    for corpus in script.CORPORA:
        n, d, loss = script.gadre_runs(corpus)
        law = PUBLISHED[f"gadre-{corpus}"]
        assert 0.013 < np.abs(law.at(params=n, tokens=d) / loss - 1).mean() < 0.019
        c = law.constants
        wrong = c["E"] + c["A"] * n ** -c["a"] + c["B"] * 6 ** (c["a"] / 2) * d ** -c["a"]
        assert np.abs(wrong / loss - 1).mean() > 0.04


def test_keel_refuses_gadres_five_runs_and_covers_from_all_small_ones(script):
    """Its own rule: 280 x of compute from five runs is not forecast; from all runs at 1/300 the interval holds."""
    n, d, loss = script.gadre_runs("rpj")
    rows = [Row(f"r{i}", *z, 6 * z[0] * z[1], y) for i, (z, y) in enumerate(zip(zip(n, d), loss))]
    target = next(row for row in rows if row.params > 6e9)
    aim = Target(target.params, target.tokens)
    ratio = d / n
    five = ((n < 5e8) & (np.abs(ratio - 20) < 1)) | ((n < 2e7) & (np.abs(ratio - 320) < 1))
    refusal = forecast([row for row, seen in zip(rows, five) if seen], aim, unit="nats_per_token")
    assert isinstance(refusal, Refusal)
    assert "280 x" in refusal.why
    found = forecast([row for row in rows if row.flop <= target.flop / 300], aim, unit="nats_per_token")
    assert found.low < target.value < found.high
    assert abs(found.value / target.value - 1) < 0.035


# Besiroglu ----------------------------------------------------------------------------------------------------------


def test_the_noise_free_law_is_found_again(benchmark):
    n, d = benchmark.besiroglu_points()
    assert (len(n), n.min() >= 57e6, n.max() <= 16.2e9) == (245, True, True)
    fitted = classic(LAWS["chinchilla"], LAW.at(params=n, tokens=d), params=n, tokens=d)
    assert fitted.constants == pytest.approx(LAW.constants, rel=1e-4)
    assert fitted.num_at_best > 20


# Classic fits -------------------------------------------------------------------------------------------------------


def points(num=60, seed=0):
    rng = np.random.default_rng(seed)
    n, d = np.exp(rng.uniform(np.log(1e8), np.log(1e10), num)), np.exp(rng.uniform(np.log(1e9), np.log(3e11), num))
    return n, d, LAW.at(params=n, tokens=d)


def test_huber_shrugs_off_outliers_that_least_squares_follows():
    n, d, loss = points()
    loss[::10] *= 1.3
    robust = classic(LAWS["chinchilla"], loss, params=n, tokens=d, num_starts=6).constants["E"]
    plain = classic(LAWS["chinchilla"], loss, params=n, tokens=d, delta=None, num_starts=6).constants["E"]
    assert abs(robust - LAW.constants["E"]) < 0.01 < 0.05 < abs(plain - LAW.constants["E"])


def test_units_and_order_change_nothing():
    n, d, loss = points()
    loss = loss * np.exp(0.003 * np.random.default_rng(1).standard_normal(len(n)))
    one = classic(LAWS["chinchilla"], loss, params=n, tokens=d, num_starts=4)
    scaled = {"params": n[::-1] / 1e6, "tokens": d[::-1] / 1e9}
    other = classic(LAWS["chinchilla"], loss[::-1] / np.log(2), **scaled, num_starts=4)
    assert one.constants["a"] == pytest.approx(other.constants["a"], rel=1e-3)
    assert one.constants["E"] / np.log(2) == pytest.approx(other.constants["E"], rel=1e-3)


def test_weights_count_like_copies():
    n, d, loss = points(20)
    loss = loss * np.exp(0.01 * np.random.default_rng(2).standard_normal(20))
    twice = classic(LAWS["tied"], np.r_[loss, loss[:5]], params=np.r_[n, n[:5]], tokens=np.r_[d, d[:5]], num_starts=4)
    weights = np.where(np.arange(20) < 5, 2.0, 1.0)
    weighed = classic(LAWS["tied"], loss, params=n, tokens=d, weights=weights, num_starts=4)
    assert twice.objective == pytest.approx(weighed.objective, rel=1e-6)


def test_the_gradient_of_the_plain_residual_is_right():
    """Least squares on the loss has its minimum where a small step in any direction costs."""
    n, d, loss = points(20)
    loss = loss * np.exp(0.01 * np.random.default_rng(3).standard_normal(20))
    found = classic(LAWS["chinchilla"], loss, params=n, tokens=d, delta=None, residual="plain")
    assert found.objective == pytest.approx(0.5 * (found.residual**2).sum(), rel=1e-9)
    frame: Frame = found.frame
    for j in range(5):
        for step in (-0.003, 0.003):
            theta = found.theta + step * (np.arange(5) == j)
            value = found.law.value(theta, n, d, frame=frame)[0]
            assert 0.5 * ((loss - value) ** 2).sum() > found.objective


@pytest.mark.parametrize(
    ("law", "where", "values", "said"),
    [
        ("chinchilla", {"params": [1e9] * 4, "tokens": [1e10] * 4}, [2.0] * 4, "4 values for 5 constants"),
        ("tied", {"params": [1e9] * 5}, [2.0] * 5, "was given params"),
        ("tied", {"params": [1e9] * 5, "tokens": [1e10] * 5, "depth": [1] * 5}, [2.0] * 5, "was given"),
        ("tied", {"params": [1e9] * 4 + [-1], "tokens": [1e10] * 5}, [2.0] * 5, "params is not positive"),
        ("tied", {"params": [1e9] * 5, "tokens": [1e10] * 5}, [2.0] * 4 + [np.nan], "values is not positive"),
        ("tied", {"params": [1e9] * 5, "tokens": [1e10] * 5}, [2.0] * 6, "6 values at 5 points"),
    ],
)
def test_bad_input_is_named(law, where, values, said):
    with pytest.raises(StudyError, match=said):
        classic(LAWS[law], values, **where)


# Iso-FLOP sweeps ----------------------------------------------------------------------------------------------------


def sweep(num=9, reach=5.0):
    budgets = np.geomspace(1e18, 1e21, 6)
    flop = np.repeat(budgets, num)
    best = np.repeat([LAW.optimum(c).params for c in budgets], num)
    size = best * np.tile(np.geomspace(1 / reach, reach, num), len(budgets))
    return flop, size, LAW.at(params=size, tokens=flop / 6 / size)


def test_minima_of_a_known_law_lie_at_its_best_sizes():
    flop, size, loss = sweep()
    order = np.random.default_rng(0).permutation(len(flop))
    found = minima(flop[order], size[order], loss[order])
    assert len(found) == 6
    for least in found:
        best = LAW.optimum(least.flop)
        assert least.params == pytest.approx(best.params, rel=0.02)
        assert least.value == pytest.approx(best.value, rel=1e-4)
        assert not least.at_edge
    c = LAW.constants
    exponent = power_law([m.flop for m in found], [m.params for m in found]).exponent
    assert exponent == pytest.approx(c["b"] / (c["a"] + c["b"]), abs=0.002)


def test_a_minimum_at_the_edge_is_marked():
    flop, size, loss = sweep()
    keep = size > 1.1 * np.repeat([LAW.optimum(c).params for c in np.unique(flop)], 9)
    found = minima(flop[keep], size[keep], loss[keep])
    assert all(least.at_edge for least in found)


def test_a_power_law_weighs_by_its_errors():
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    y = 3 * x**0.5 * np.array([1, 1, 1, 4.0])
    assert power_law(x, y, [1e-3, 1e-3, 1e-3, 10.0]).exponent == pytest.approx(0.5, abs=1e-6)
    assert power_law(x, y).exponent > 0.6
    assert power_law(x, y).r2 < power_law(x[:3], y[:3]).r2 == pytest.approx(1.0)


def test_a_sweep_that_shows_no_minimum_is_named():
    flop, size, loss = sweep()
    with pytest.raises(StudyError) as error:
        minima(np.r_[flop, 5e22, 5e22], np.r_[size, 1e9, 1e9], np.r_[loss, 2.0, 2.1])
    assert "2 runs of 1 sizes at 5e+22" in error.value.problems[0].what
    with pytest.raises(StudyError, match="values is not positive"):
        minima(flop, size, -loss)
    with pytest.raises(StudyError, match="different or no length"):
        minima(flop[1:], size, loss)
    with pytest.raises(StudyError, match="no slope"):
        power_law([1e18, 1e18], [1e8, 2e8])
