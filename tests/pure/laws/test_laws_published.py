"""Published laws: the papers' own numbers, what each entry must say, derivatives, best sizes, bad input."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from keel.errors import Refusal, StudyError
from keel.laws.design.allocate import compute_optimal, serving_optimal
from keel.laws.law import COORDS, Law
from keel.laws.published import PUBLISHED
from keel.laws.published.routed import saturating

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "laws.json").read_text())["values"]


def inside(law: Law) -> dict[str, float]:
    """A point in the middle of a law's valid box."""
    bounds = {name: law.valid.get(name, (1.0, 1e12)) for name in law.coords}
    return {name: math.sqrt(max(low, 1e-3) * min(high, 1e30)) for name, (low, high) in bounds.items()}


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row['law']}-{next(iter(row['where'].values())):.3g}")
def test_the_papers_own_numbers(row):
    assert float(PUBLISHED[row["law"]].at(**row["where"])) == pytest.approx(row["value"], rel=row["rel"])


@pytest.mark.parametrize("law", PUBLISHED.values(), ids=PUBLISHED)
def test_an_entry_says_what_it_is(law):
    assert re.search(r"arXiv:\d{4}\.\d{5}", law.origin)
    assert law.formula
    assert law.unit
    assert set(law.counts) == set(law.coords)
    assert set(law.valid) <= set(law.coords)
    assert all(low < high for low, high in law.valid.values())
    assert law.fixed is not None
    assert len(law.fixed) == len(law.params) == len(law.constants)
    value = float(law.at(**inside(law)))
    assert math.isfinite(value)
    assert value > 0
    assert law.outside(**inside(law)) == {}


@pytest.mark.parametrize("law", PUBLISHED.values(), ids=PUBLISHED)
def test_derivatives_are_those_of_the_value(law):
    point = np.array([[math.log(inside(law)[axis]) if axis in law.coords else 0.0 for axis in law.axes]])
    theta = np.array([law.fixed]) + 0.01
    by = law.curve(theta, point)[1][0, 0]
    for j in range(theta.shape[1]):
        step = 1e-6 * (np.arange(theta.shape[1]) == j)
        slope = (law.curve(theta + step, point)[0] - law.curve(theta - step, point)[0])[0, 0] / 2e-6
        assert by[j] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_names_are_keys_and_none_is_there_twice():
    assert all(name == law.name for name, law in PUBLISHED.items())
    assert len(PUBLISHED) >= 40


def test_constants_are_those_printed():
    printed = {"Nc": 6.4e13, "aN": 0.076, "Dc": 1.8e13, "aD": 0.103}
    assert PUBLISHED["kaplan"].constants == pytest.approx(printed, rel=1e-12)
    assert PUBLISHED["chinchilla-besiroglu"].constants["b"] == pytest.approx(0.3672, rel=1e-12)


def test_arrays_broadcast_and_agree_with_single_points():
    law = PUBLISHED["clark-s-base"]
    grid = law.at(params=np.array([[2e7], [3e8]]), experts=np.array([1.0, 8.0, 64.0]))
    assert grid.shape == (2, 3)
    assert grid[1, 2] == pytest.approx(float(law.at(params=3e8, experts=64)), rel=1e-14)
    assert (np.diff(grid, axis=1) < 0).all()


def test_a_bad_point_is_named_with_every_fault():
    with pytest.raises(StudyError) as error:
        PUBLISHED["krajewski"].at(params=-1, tokens="many", depth=3)
    said = [problem.what for problem in error.value.problems]
    assert len(said) == 4
    assert any("granularity is missing" in text for text in said)
    assert any("depth is not one of them" in text for text in said)
    assert any("tokens is no number" in text for text in said)
    assert any("params is not positive" in text for text in said)
    assert "all experts" in error.value.problems[0].why


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0, [1e9, -1.0]])
def test_no_value_of_a_point_that_is_none(bad):
    with pytest.raises(StudyError, match="positive and finite"):
        PUBLISHED["dit-loss"].at(flop=bad)


def test_outside_says_how_far():
    law = PUBLISHED["muennighoff"]
    far = law.outside(params=9e10, tokens=1e10, unique_tokens=1e7)
    assert far == pytest.approx({"params": 10.0, "unique_tokens": 0.1})


def test_a_law_with_its_own_coordinates_is_not_read_as_one_of_params_and_tokens():
    with pytest.raises(AssertionError, match="use at"):
        PUBLISHED["clark-hash"].value(PUBLISHED["clark-hash"].fixed, 1e9, 1e11)
    with pytest.raises(AssertionError, match="use curve"):
        PUBLISHED["clark-hash"].jacobian(PUBLISHED["clark-hash"].fixed, 1e9, 1e11)
    assert PUBLISHED["hoffmann"].axes == COORDS


# Best sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "compute", "params", "tokens"),
    [
        ("chinchilla-besiroglu", 1e19, 0.262e9, 6.36e9),
        ("chinchilla-besiroglu", 1e21, 2.79e9, 59.6e9),
        ("chinchilla-besiroglu", 5.76e23, 73.3e9, 1.31e12),
        ("hoffmann", 5.76e23, 32.2e9, 2.98e12),
    ],
)
def test_the_best_size_for_a_budget(name, compute, params, tokens):
    best = PUBLISHED[name].optimum(compute)
    assert best.params == pytest.approx(params, rel=2e-3)
    assert best.tokens == pytest.approx(tokens, rel=2e-3)


@pytest.mark.parametrize("name", ["chinchilla-besiroglu", "hoffmann-tex", "gadre-rpj", "krajewski-dense"])
def test_the_search_finds_the_closed_form(name):
    """N* = G (C/6)^(b/(a+b)), G = (aA / bB)^(1/(a+b))."""
    c, compute = PUBLISHED[name].constants, 3e21
    a, b = c["a"], c.get("b", c["a"])
    size = (a * c["A"] / (b * c["B"])) ** (1 / (a + b)) * (compute / 6) ** (b / (a + b))
    assert PUBLISHED[name].optimum(compute).params == pytest.approx(size, rel=1e-6)


def test_the_printed_constants_of_hoffmann_contradict_its_own_table():
    """Why they carry a warning: half of the 67 billion that the paper trained at this budget."""
    assert PUBLISHED["hoffmann"].optimum(5.76e23).params < 0.6 * float(PUBLISHED["hoffmann-1-size"].at(flop=5.76e23))
    assert "prefer chinchilla-besiroglu" in PUBLISHED["hoffmann"].origin


@pytest.mark.parametrize(
    ("served", "params", "tokens"), [(0, 6.73e9, 445e9), (1e12, 4.04e9, 816e9), (1e13, 2.20e9, 2.46e12)]
)
def test_sardanas_sizes_for_training_and_serving(served, params, tokens):
    best = serving_optimal(PUBLISHED["hoffmann"], 2.1, served)
    assert best.params == pytest.approx(params, rel=2e-3)
    assert best.tokens == pytest.approx(tokens, rel=2e-3)
    assert best.value == pytest.approx(2.1, rel=1e-9)
    assert best.flop == pytest.approx(6 * best.params * best.tokens + 2 * best.params * served, rel=1e-12)


def test_sardanas_condition_holds_at_the_cheapest_size():
    """At the optimum the loss's elasticities stand as the costs: eN / eD = 1 + Dserve / (3 D)."""
    law, served = PUBLISHED["chinchilla-besiroglu"], 2e12
    best, c = serving_optimal(law, 2.0, served), law.constants
    by_params, by_tokens = c["a"] * c["A"] * best.params ** -c["a"], c["b"] * c["B"] * best.tokens ** -c["b"]
    assert by_params / by_tokens == pytest.approx(1 + served / (3 * best.tokens), rel=1e-4)


def test_serving_nothing_is_training_alone():
    law = PUBLISHED["chinchilla-besiroglu"]
    cheapest = serving_optimal(law, 2.2, 0)
    assert cheapest.params == pytest.approx(law.optimum(cheapest.flop).params, rel=1e-4)


def test_a_loss_below_the_floor_is_refused():
    refusal = serving_optimal(PUBLISHED["hoffmann"], 1.6, 1e12)
    assert isinstance(refusal, Refusal)
    assert "1.69" in refusal.why


def test_a_law_without_a_trade_off_has_no_best_size():
    with pytest.raises(StudyError, match="does not give the best size"):
        PUBLISHED["kaplan"].optimum(1e21)
    with pytest.raises(StudyError, match="compute"):
        PUBLISHED["hoffmann"].optimum(-1e21)
    with pytest.raises(StudyError, match="cheapest size to serve"):
        serving_optimal(PUBLISHED["clark-hash"], 2.0, 1e12)
    with pytest.raises(StudyError, match="granularity is missing"):
        PUBLISHED["krajewski"].optimum(1e21)


def test_coordinates_can_be_held():
    few, many = (PUBLISHED["muennighoff"].optimum(1e22, unique_tokens=u) for u in (1e10, 1e12))
    assert few.params < many.params  # surplus params fade sooner than surplus epochs
    moe = compute_optimal(PUBLISHED["krajewski"], 1.93e20, granularity=16, flop_per_param_token=6 / 43)
    assert moe.params == pytest.approx(43e9, rel=0.1)  # Table 2; its budget counts routing too


# What laws say of each other ----------------------------------------------------------------------------------------


def test_sizes_and_tokens_multiply_to_the_budget():
    flop = np.geomspace(1e17, 6e18, 5)
    product = 6 * PUBLISHED["dit-size"].at(flop=flop) * PUBLISHED["dit-tokens"].at(flop=flop)
    np.testing.assert_allclose(product, flop, rtol=0.01)
    product = PUBLISHED["deepseek-flop-per-token"].at(flop=flop) * PUBLISHED["deepseek-tokens"].at(flop=flop)
    np.testing.assert_allclose(product, flop, rtol=1e-3)
    sized, fed = PUBLISHED["kaplan-optimal-size"], PUBLISHED["kaplan-optimal-tokens"]
    assert float(6 * sized.at(flop=1e19) * fed.at(flop=1e19)) == pytest.approx(1e19, rel=2.0)  # two digits each


def test_muennighoff_values_repeats_as_the_paper_says():
    def loss(params=1e9, tokens=1e10, unique_tokens=1e10):
        return float(PUBLISHED["muennighoff"].at(params=params, tokens=tokens, unique_tokens=unique_tokens))

    fresh, c = loss(tokens=4e10, unique_tokens=4e10), PUBLISHED["muennighoff"].constants
    assert fresh == pytest.approx(c["E"] + c["A"] * 1e9 ** -c["a"] + c["B"] * 4e10 ** -c["a"], rel=1e-12)
    assert loss(tokens=4e10) / fresh - 1 < 0.005  # four epochs are nearly as good as fresh tokens
    assert loss(tokens=1e13) == pytest.approx(loss(tokens=1e12), rel=1e-3)  # after many epochs nothing is left
    assert loss(tokens=1e10, unique_tokens=1e12) == pytest.approx(loss(), rel=1e-12)  # unread tokens change nothing


def test_gadres_two_forms_are_one():
    """E + (p M^h + q M^-h) C^-h with h = a/2, p = A 6^h, q = B 6^h; C4 prints 1.51, 141, 190, .121."""
    law, n, d = PUBLISHED["gadre-c4"], np.geomspace(1e7, 7e9, 5), np.geomspace(1e9, 1e11, 5)
    c = law.constants
    h, ratio, compute = c["a"] / 2, d / n, 6 * n * d
    p, q = c["A"] * 6**h, c["B"] * 6**h
    np.testing.assert_allclose(law.at(params=n, tokens=d), c["E"] + (p * ratio**h + q * ratio**-h) * compute**-h, 1e-12)
    assert [c["E"], p, q, h] == pytest.approx([1.51, 141, 190, 0.121], rel=3e-3)
    ratios = [law.optimum(compute).tokens / law.optimum(compute).params for compute in (1e19, 1e22)]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-4)  # equal exponents: one ratio at every budget


def test_clarks_number_of_experts_saturates():
    assert saturating(1.0, 1.847, 314.478) == pytest.approx(1.847)
    assert saturating(1e12, 1.847, 314.478) == pytest.approx(314.478)
    dense, routed = (float(PUBLISHED["clark-s-base"].at(params=5.5e7, experts=1)), 2.878)
    assert dense == pytest.approx(routed, rel=1e-3)


def test_steps_and_tokens_trade_off():
    """(S/Smin - 1)(E/Emin - 1) = 1."""
    where = {"batch_tokens": np.geomspace(1e4, 1e8, 5), "critical_batch_tokens": 2e6}
    steps, tokens = PUBLISHED["mccandlish-steps"].at(**where), PUBLISHED["mccandlish-tokens"].at(**where)
    np.testing.assert_allclose((steps - 1) * (tokens - 1), 1.0, rtol=1e-12)


def test_taos_three_vocabularies():
    body = 7e9
    budget = (body / PUBLISHED["tao-flop"].constants["p"]) ** 2
    entries = [float(PUBLISHED[name].at(params_body=body)) / 4096 for name in ("tao-flop", "tao-derivative")]
    entries.append(float(PUBLISHED["tao-loss"].at(params_body=body, flop=budget)) / 4096)
    np.testing.assert_allclose(entries, [62280, 67450, 59547], rtol=3e-4)
    fewer, more = (PUBLISHED["tao-loss"].at(params_body=body, flop=f * budget) for f in (0.2, 5.0))
    assert fewer < entries[2] * 4096 < more  # undertrained models want a smaller vocabulary


def test_learning_rates_move_as_said():
    step = PUBLISHED["step-lr"]
    assert float(step.at(params=1e9, tokens=1e11)) == pytest.approx(1.79 * 1e9**-0.713 * 1e11**0.307, rel=1e-12)
    assert step.at(params=4e9, tokens=1e11) < step.at(params=1e9, tokens=1e11) < step.at(params=1e9, tokens=4e11)
    assert float(PUBLISHED["deepseek-lr"].at(flop=1e19)) == pytest.approx(1.31e-3, rel=0.01)
