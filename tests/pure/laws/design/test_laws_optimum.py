"""The optimum against closed forms and published vectors, under every kind of cost; its interval against truths."""

from __future__ import annotations

import math

import numpy as np
import pytest

from keel.errors import Refused, StudyError
from keel.laws.design.budget import Budget, rows_flop_per_token
from keel.laws.design.cheapest import cheapest, least_compute
from keel.laws.design.optimum import Surface, optimum, search
from keel.laws.ensemble import build
from keel.laws.law import Row

NATS = "nats_per_token"
SIZES = np.geomspace(1e6, 1e13, 241)
HOFFMANN = (1.69, 406.4, 0.34, 410.7, 0.28)  # as printed; Hoffmann et al. 2022, eq. 10
BESIROGLU = (1.8172, 477.84, 0.3473, 2143.86, 0.3672)


def surface(constants):
    """A published additive law as a surface of one draw."""
    floor, of_n, a, of_d, b = constants
    return Surface(lambda p: np.log(floor + of_n * p[:, 0] ** -a + of_d * p[:, 1] ** -b)[None], np.ones(1))


def six(params):
    return 6.0 * params


def closed_form(constants, compute):
    """N* = G (C/6)^(b/(a+b)), G = (aA/bB)^(1/(a+b)); Hoffmann et al. 2022, eq. 4."""
    _, of_n, a, of_d, b = constants
    return (a * of_n / (b * of_d)) ** (1 / (a + b)) * (compute / 6) ** (b / (a + b))


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    floor, of_n, a, of_d, b = BESIROGLU
    runs = [(n, r * n) for n in (1e7, 3e7, 1e8, 3e8, 1e9) for r in (5, 20, 80, 320)]
    noise = np.exp(1e-4 * rng.standard_normal(len(runs)))
    return build(
        [
            Row(f"{n:.0e}-{d:.0e}", n, d, 6 * n * d, (floor + of_n / n**a + of_d / d**b) * e)
            for (n, d), e in zip(runs, noise)
        ],
        NATS,
    )


@pytest.mark.parametrize("constants", [HOFFMANN, BESIROGLU])
@pytest.mark.parametrize("compute", [1e19, 1e21, 5.76e23])
def test_the_best_size_is_that_of_the_closed_form(constants, compute):
    found = search(surface(constants), Budget(flop_per_token=six), compute, SIZES)
    assert found.params[0] == pytest.approx(closed_form(constants, compute), rel=1e-3)
    assert 6 * found.params[0] * found.tokens[0] == pytest.approx(compute, rel=1e-9)
    assert not found.bound.any()


def test_the_bend_along_equal_flop_is_that_of_the_closed_form():
    """d2 L / d log N^2 = a^2 A N^-a + b^2 B D^-b, over L at the optimum, where the slope is zero."""
    floor, of_n, a, of_d, b = BESIROGLU
    found = search(surface(BESIROGLU), Budget(flop_per_token=six), 1e21, SIZES)
    term_n, term_d = of_n * found.params[0] ** -a, of_d * found.tokens[0] ** -b
    known = (a**2 * term_n + b**2 * term_d) / (floor + term_n + term_d)
    assert found.bend[0] == pytest.approx(known, rel=0.01)


@pytest.mark.parametrize(
    ("served", "params", "tokens"), [(0.0, 6.73e9, 445e9), (1e12, 4.04e9, 816e9), (1e13, 2.20e9, 2.46e12)]
)
def test_serving_moves_the_optimum_as_published(served, params, tokens):
    """Sardana et al. 2024, eq. 3, with Hoffmann's printed constants at a loss of 2.1."""
    budget = Budget(flop_per_token=six, serving_tokens=served)
    found = least_compute(surface(HOFFMANN), budget, math.log(2.1), SIZES, (1e15, 1e30))
    assert found[1:] == (pytest.approx(params, rel=2e-3), pytest.approx(tokens, rel=3e-3))
    assert found[0] == pytest.approx(found[1] * (6 * found[2] + 2 * served), rel=1e-6)


def test_least_compute_for_a_loss_and_least_loss_for_that_compute_are_one_run():
    budget = Budget(flop_per_token=six, serving_tokens=1e12)
    compute, params, tokens = least_compute(surface(HOFFMANN), budget, math.log(2.1), SIZES, (1e15, 1e30))
    found = search(surface(HOFFMANN), budget, compute, SIZES)
    assert (found.params[0], found.tokens[0]) == (pytest.approx(params, rel=1e-3), pytest.approx(tokens, rel=1e-3))


def test_head_flop_make_small_models_dearer():
    """f(N) = 6 N + h: dL/dN = 0 along f(N) D = C gives a A N^-a (N + h/6) = b B D^-b N."""
    _, of_n, a, of_d, b = BESIROGLU
    head = 6 * 3e8
    budget = Budget(flop_per_token=lambda n: 6 * n + head)
    found = search(surface(BESIROGLU), budget, 1e19, SIZES)
    n, d = found.params[0], found.tokens[0]
    assert a * of_n * n**-a * (n + head / 6) == pytest.approx(b * of_d * d**-b * n, rel=2e-3)
    assert (6 * n + head) * d == pytest.approx(1e19)
    assert n > closed_form(BESIROGLU, 1e19)


def test_too_little_data_leaves_budget_unspent():
    """The size is the one whose best D is k U: a A N^-a = b B (kU)^-b."""
    _, of_n, a, of_d, b = BESIROGLU
    found = search(surface(BESIROGLU), Budget(flop_per_token=six, unique_tokens=1e9), 1e22, SIZES)
    assert found.bound.all()
    assert found.tokens[0] == 4e9
    assert found.params[0] == pytest.approx((a * of_n / (b * of_d * 4e9**-b)) ** (1 / a), rel=1e-3)


def test_data_that_suffice_change_nothing():
    plain = search(surface(BESIROGLU), Budget(flop_per_token=six), 1e20, SIZES)
    ample = search(surface(BESIROGLU), Budget(flop_per_token=six, unique_tokens=1e12), 1e20, SIZES)
    assert ample.params == pytest.approx(plain.params, rel=1e-9)
    # Just enough: four epochs of a quarter of the best D, and a hair.
    enough = search(surface(BESIROGLU), Budget(flop_per_token=six, unique_tokens=plain.tokens[0] * 0.251), 1e20, SIZES)
    assert enough.params == pytest.approx(plain.params, rel=1e-9)
    assert not enough.bound.any()


def test_unspent_flop_and_money_are_reported(fitted):
    found = optimum(fitted, 1e22, unique_tokens=1e9, usd_per_flop=1e-18)
    assert found["epochs"] == 4
    assert found["flop"] + found["unspent_flop"] == pytest.approx(1e22)
    assert found["unspent_flop"] > 0.9e22
    assert found["usd"] + found["unspent_usd"] == pytest.approx(1e4)
    all_spent = found["if_all_spent"]
    assert all_spent["params"] == pytest.approx(1e22 / (6 * 4e9), rel=0.01)
    assert all_spent["value"] < found["value"]


def test_repeats_count_where_the_law_knows_them():
    """A surface whose repeated tokens are worth nothing never pays for a second epoch."""

    def values(points):
        fresh = points[:, 1] / points[:, 3]
        return np.log(1.8172 + 477.84 * points[:, 0] ** -0.3473 + 2143.86 * fresh**-0.3672)[None]

    known = search(Surface(values, np.ones(1)), Budget(flop_per_token=six, unique_tokens=1e9), 1e20, SIZES)
    blind = search(surface(BESIROGLU), Budget(flop_per_token=six, unique_tokens=1e9), 1e20, SIZES)
    assert known.tokens[0] == pytest.approx(1e9, rel=0.1)
    assert known.tokens[0] < blind.tokens[0]


def test_flop_per_token_is_read_off_the_rows():
    rows = [Row(f"{n}", n, 20 * n, 20 * n * (6 * n + 1e9), 3.0) for n in (1e7, 1e8, 1e9)]
    rate = rows_flop_per_token(rows)
    assert [rate(n) for n in (1e7, 1e8, 1e9)] == pytest.approx([6 * n + 1e9 for n in (1e7, 1e8, 1e9)])
    assert rate(1e10) == pytest.approx(7e10)  # kept beyond the ends: per param, as the largest run's


def test_units_change_nothing(fitted):
    scaled = [r._replace(params=r.params / 1e6, tokens=r.tokens / 1e9, flop=r.flop / 1e15) for r in fitted.rows]
    a, b = optimum(fitted, 1e21), optimum(build(scaled, NATS), 1e6)
    names = ("params", "params_low", "params_high", "same_loss_params_low")
    assert [a[n] for n in names] == pytest.approx([b[n] * 1e6 for n in names], rel=1e-4)
    assert a["value_high"] == pytest.approx(b["value_high"], rel=1e-6)


def test_the_interval_covers_a_known_truth(make_ladder):
    """A nominal 90 %: at least .8 of noisy ladders, ten times and a thousand times ahead."""
    hits, shares = [], []
    for seed in range(4):
        ensemble = build(make_ladder(ratios=(5, 20, 80), noise=0.004, seed=seed), NATS)
        for compute in (1e20, 1e22):
            found = optimum(ensemble, compute)
            hits.append(found["params_low"] < closed_form(BESIROGLU, compute) < found["params_high"])
            shares.append(found["params_high"] / found["params_low"])
            assert found["params_low"] <= found["params"] <= found["params_high"]
            assert found["tokens_low"] <= found["tokens"] <= found["tokens_high"]
            assert found["value_low"] < found["value"] < found["value_high"]
    assert np.mean(hits) >= 0.8
    assert max(shares) < 30


def test_a_lower_level_is_a_narrower_interval(fitted):
    wide, narrow = (optimum(fitted, 1e21, level=level) for level in (0.9, 0.5))
    assert wide["params_low"] < narrow["params_low"] < narrow["params_high"] < wide["params_high"]


def test_the_interval_holds_on_published_sweeps(public_runs):
    """Porian's interpolated optima ten times beyond the runs: nine in ten, long untuned warm-ups apart."""
    import csv

    with (public_runs / "porian/isoflop_points.csv").open() as file:
        points = list(csv.DictReader(file))
    with (public_runs / "porian/optima.csv").open() as file:
        optima = [o for o in csv.DictReader(file) if o["params"] and float(o["flops"]) > 2e19]
    hits = []
    for best in optima:
        if best["variant"].startswith("base_long"):
            continue
        compute = float(best["flops"])
        rows = [
            Row(str(i), float(p["params"]), float(p["tokens"]), float(p["flops"]), float(p["loss"]))
            for i, p in enumerate(points)
            if p["variant"] == best["variant"] and float(p["flops"]) < compute / 9
        ]
        found = optimum(build(rows, NATS), compute)
        hits.append(found["params_low"] < float(best["params"]) < found["params_high"])
    assert len(hits) >= 5
    assert np.mean(hits) >= 0.7


def test_cheapest_inverts_the_optimum(fitted):
    best = optimum(fitted, 1e21)
    found = cheapest(fitted, best["value"])
    assert found["compute"] == pytest.approx(1e21, rel=0.05)
    assert found["params"] == pytest.approx(best["params"], rel=0.05)
    assert found["compute_low"] < found["compute"] < found["compute_high"]
    assert found["reached"] > 0.9


def test_bounded_units_come_back_in_range(fitted):
    """The same ladder as an error in per cent: the wanted value and the answers are per cent."""
    rows = [r._replace(value=100 * (1 - math.exp(-r.value / 5))) for r in fitted.rows]
    ensemble = build(rows, "error_percent")
    best = optimum(ensemble, 1e21, unique_tokens=1e9)
    assert 0 < best["if_all_spent"]["value"] < best["value"] < 100
    found = cheapest(ensemble, best["value"])
    assert found["compute"] == pytest.approx(best["flop"], rel=0.1)
    with pytest.raises(StudyError):
        cheapest(ensemble, 120.0)


def test_a_loss_below_the_floor_is_refused(fitted):
    with pytest.raises(Refused) as error:
        cheapest(fitted, 1.0)
    assert "floor" in error.value.refusal.fix


def test_serving_that_costs_more_than_the_budget_is_refused():
    with pytest.raises(Refused) as error:
        search(surface(BESIROGLU), Budget(flop_per_token=six, serving_tokens=1e18), 1e21, SIZES)
    assert "serving" in error.value.refusal.why


def test_laws_that_do_not_tell_sizes_apart_have_no_optimum(fitted):
    weights = [0.99 if m.law.name == "compute" else 0.0 for m in fitted.members]
    blind = fitted._replace(members=tuple(m._replace(weight=w) for m, w in zip(fitted.members, weights)))
    assert optimum(blind, 1e21) is None
    assert cheapest(blind, 2.5) is None


def test_all_bad_numbers_at_once(fitted):
    with pytest.raises(StudyError) as error:
        optimum(fitted, -1.0, unique_tokens=0.0, most_epochs=math.nan, serving_tokens=-5, level=90, usd_per_flop=0)
    assert len(error.value.problems) == 6


def test_a_cost_that_is_no_number(fitted):
    with pytest.raises(StudyError, match="flop_per_token"):
        optimum(fitted, 1e21, flop_per_token=lambda params: -params)


def test_tokens_a_parameter_have_an_interval_and_a_masked_model_s_say_what_is_not_known_of_it(fitted):
    plain = optimum(fitted, 1e20)
    assert plain["tokens_per_param_low"] < plain["tokens_per_param"] < plain["tokens_per_param_high"]
    ends = plain["tokens_low"] / plain["params_high"], plain["tokens_high"] / plain["params_low"]
    assert (plain["tokens_per_param_low"], plain["tokens_per_param_high"]) == ends
    assert "decoders" not in plain["valid"]
    for judge in ("masked_bits_per_byte", "replaced_bits_per_byte"):
        assert "priors were learnt on decoders" in optimum(fitted._replace(unit=judge), 1e20)["valid"]
