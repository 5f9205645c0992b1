"""Forecasts: what must change nothing, what must refuse, and the run that each refusal asks for."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from keel.errors import Refusal, StudyError
from keel.laws import Forecast, Row, Target, forecast
from keel.laws.design.optimum import optimum
from keel.laws.ensemble import build

TARGET = Target(2e9, 4e10)
NATS = "nats_per_token"


def numbers(found):
    assert isinstance(found, Forecast), found
    return np.array([found.value, found.low, found.high, *found.width_parts.values(), found.distance])


def test_the_order_of_rows_changes_nothing(rows):
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert forecast(rows, TARGET, unit=NATS) == forecast(shuffled, TARGET, unit=NATS)


def test_units_of_params_and_tokens_change_nothing(rows):
    scaled = [r._replace(params=r.params / 1e6, tokens=r.tokens / 1e9, flop=r.flop / 1e15) for r in rows]
    target = Target(TARGET.params / 1e6, TARGET.tokens / 1e9)
    a, b = forecast(rows, TARGET, unit=NATS), forecast(scaled, target, unit=NATS)
    np.testing.assert_allclose(numbers(a), numbers(b), rtol=1e-6)


def test_whole_numbers_do_not_overflow(rows):
    whole = [Row(r.id, int(r.params * 1e3), int(r.tokens * 1e3), r.flop * 1e6, r.value) for r in rows]
    found = forecast(whole, Target(10**13, 10**14), unit=NATS)
    assert math.isfinite(found.value)
    assert found.flop == pytest.approx(6e27)


def test_an_own_flop_count_is_used(rows):
    counted = [r._replace(flop=1.3 * r.flop) for r in rows]
    assert forecast(counted, TARGET, unit=NATS).flop == pytest.approx(1.3 * 6 * 2e9 * 4e10)
    assert forecast(counted, TARGET._replace(flop=5e20), unit=NATS).flop == 5e20


def test_it_is_the_same_every_time_and_quick(make_ladder):
    rows = make_ladder(sizes=np.geomspace(1e7, 1e9, 20).tolist(), ratios=(5, 10, 20, 40, 80))
    assert len(rows) == 100
    start = time.process_time()
    first = forecast(rows, TARGET, unit=NATS)
    assert time.process_time() - start < 1.0  # .15 s on a quiet core
    assert first == forecast(rows, TARGET, unit=NATS)


def test_a_target_dict_and_a_repr(rows):
    found = forecast(rows, {"params": 2e9, "tokens": 4e10}, unit=NATS)
    assert "2B params" in str(found)
    assert f"{found.value:.4g}" in found._repr_html_()
    assert set(found.width_parts) == {"parameter", "law", "backtest"}
    assert sum(law["weight"] for law in found.laws) == pytest.approx(1)
    assert any("beyond the largest" in text for text in found.warnings)


def test_farther_is_wider(rows):
    near, far = (forecast(rows, Target(n, 20 * n), unit=NATS) for n in (8e8, 4e9))
    assert far.distance > near.distance > 0
    assert (far.high - far.low) / far.value > (near.high - near.low) / near.value


def test_the_floor_of_bits_per_byte_is_known_and_low(make_ladder):
    """Far above the floor a law without one is right; the unit says so, the loss alone cannot."""

    def truth(n, d):
        return ((8.0 * n**-0.13) ** 6 + (9.0 * d**-0.12) ** 6) ** (1 / 6)

    sizes, target = (4e4, 6e4, 9e4, 1.5e5), Target(2.3e5, 3e6)
    rows = [r for r in make_ladder(truth, sizes, (2, 4, 8, 16, 24), 0.001) if r.flop < 3e11]
    bits = forecast(rows, target)
    assert abs(bits.value / truth(*target[:2]) - 1) < 0.03
    assert bits.low < truth(*target[:2]) < bits.high


def refusal(rows, target=TARGET):
    found = forecast(rows, target, unit=NATS)
    assert isinstance(found, Refusal), found
    return found


def test_too_few_sizes(make_ladder):
    found = refusal(make_ladder(sizes=(1e8, 4e8)))
    assert "2 sizes" in found.why
    assert "add a run of about" in found.fix
    assert "params" in found.fix


def test_too_few_runs(make_ladder):
    found = refusal(make_ladder(sizes=(1e8, 2e8, 4e8), ratios=(20,)), Target(2e9, 4e10))
    assert "3 runs" in found.why
    assert "add 2 runs" in found.fix


def test_one_ratio_everywhere_and_a_target_off_it(make_ladder):
    rows = make_ladder(sizes=(1e8, 2e8, 4e8, 8e8, 1.6e9), ratios=(20,))
    found = refusal(rows, Target(2e9, 4e11))
    assert "tokens per param" in found.why
    assert "100M params at 20B tokens" in found.fix
    assert isinstance(forecast(rows, Target(2e9, 4e10), unit=NATS), Forecast)


@pytest.mark.parametrize("field", ["params", "tokens", "flop", "value"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_values_that_are_no_quantities(rows, field, bad):
    assert rows[3].id in refusal([*rows[:3], rows[3]._replace(**{field: bad}), *rows[4:]]).why


@pytest.mark.parametrize("target", [Target(0, 1e9), Target(math.nan, 1e9), Target(1e9, -1.0), Target(1e9, 1e9, 0.0)])
def test_targets_that_are_no_quantities(rows, target):
    assert "target" in refusal(rows, target).why


def test_a_target_beyond_all_reach(rows):
    found = refusal(rows, Target(1e14, 1e15))
    assert "back-tests" in found.why
    assert "add a run of about" in found.fix


def test_a_constant_loss(rows):
    assert "constant" in refusal([r._replace(value=2.5) for r in rows]).why


def test_a_plateau(rows):
    """Masked models stay near the unigram loss, then drop: the plateau says nothing of the drop."""
    flat = [r._replace(value=2.53 - 0.05 * (i / len(rows))) for i, r in enumerate(sorted(rows, key=lambda r: r.flop))]
    found = refusal(flat)
    assert "plateau" in found.why
    assert "beyond" in found.fix


def test_a_loss_that_rises(rows):
    assert "rises" in refusal([r._replace(value=10 - r.value) for r in rows]).why


def test_no_rows():
    assert "0 sizes" in refusal([]).why


@pytest.mark.parametrize("level", [0.0, 1.0, 90])
def test_a_level_is_a_share(rows, level):
    with pytest.raises(StudyError, match="level"):
        forecast(rows, TARGET, level)


def test_the_optimum_of_a_known_law(make_ladder):
    """N* = G (C/6)^(b/(a+b)), G = (aA/bB)^(1/(a+b)); Hoffmann et al. 2022, eq. 4."""
    rows = make_ladder(sizes=(1e7, 3e7, 1e8, 3e8, 1e9), ratios=(5, 20, 80, 320), noise=1e-4)
    best = optimum(build(rows, NATS), 1e21)
    a, b, scale_n, scale_d = 0.3473, 0.3672, 477.84, 2143.86
    known = (a * scale_n / (b * scale_d)) ** (1 / (a + b)) * (1e21 / 6) ** (b / (a + b))
    assert best["params_low"] < known < best["params_high"]
    assert best["params"] == pytest.approx(known, rel=0.3)
    assert best["params"] * best["tokens"] * 6 == pytest.approx(1e21)


def test_runs_that_scatter_wildly_identify_nothing(make_ladder):
    found = forecast(make_ladder(noise=0.6, seed=3), {"params": 2e9, "tokens": 4e10}, 0.95, unit="nats_per_token")
    assert isinstance(found, Refusal)
    assert "do not identify" in found.why or "rises with compute" in found.why
    assert "add a run" in found.fix or "check" in found.fix
