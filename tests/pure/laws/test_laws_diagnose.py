"""The figures' data: the map against a law whose optimum is known, back-test misses, correlations, held-out runs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from keel.laws import backtest
from keel.laws.constants import constants
from keel.laws.contours import contours
from keel.laws.diagnose import back_test, correlations, diagnosis, held_out, leading
from keel.laws.ensemble import build
from keel.laws.forms import LAWS

UNIT = "nats_per_token"


@pytest.fixture(scope="module")
def clean(make_ladder):
    """Runs without noise over a wide grid, fitted with the law they come from."""
    return build(make_ladder(noise=0.0, ratios=(5, 20, 80)), UNIT, laws=(LAWS["chinchilla"],))


@pytest.fixture(scope="module")
def noisy(make_ladder):
    return build(make_ladder(noise=0.01), UNIT)


def test_a_line_of_the_map_has_one_loss(clean, truth):
    lines = contours(clean).lines
    assert len(lines) == 9
    assert [line.value for line in lines] == sorted((line.value for line in lines), reverse=True)
    for line in lines:
        off = [truth(n, d) / line.value - 1 for n, d in zip(line.params, line.tokens)]
        assert max(map(abs, off)) < 0.004
        assert list(line.params) == sorted(line.params)
        assert list(line.tokens) == sorted(line.tokens, reverse=True)


def test_the_path_is_the_known_optimum(clean):
    """Besiroglu's constants: N = G (C / 6)^(b / (a + b)), G = (a A / (b B))^(1 / (a + b))."""
    a, b = 0.3473, 0.3672
    g = (a * 477.84 / (b * 2143.86)) ** (1 / (a + b))
    path = contours(clean, [(1e10, 2e11)]).path
    assert len(path) > 6
    for best in path:
        true = g * (best.flop / 6) ** (b / (a + b))
        assert best.low <= true * 1.02
        assert best.high >= true / 1.02
        assert best.params == pytest.approx(true, rel=0.25)
        assert best.params * best.tokens * 6 == pytest.approx(best.flop, rel=0.01)


def test_the_map_holds_every_run_and_target(noisy):
    lines = contours(noisy, [(1e11, 1e12)]).lines
    assert max(n for line in lines for n in line.params) > 1e11
    assert max(d for line in lines for d in line.tokens) > 1e12


def test_without_a_law_of_size_there_is_no_path(make_ladder):
    found = contours(build(make_ladder(), UNIT, laws=(LAWS["compute"],)))
    assert found.path == ()
    assert found.lines


def test_correlations_are_those_of_the_laws_fitted_alone(noisy):
    for member, found in zip(leading(noisy), correlations(noisy)):
        assert found.law == member.law.name
        matrix = np.array(found.matrix)
        assert np.allclose(matrix, matrix.T)
        assert np.allclose(np.diag(matrix), 1.0)
        cloud = member.law.constants_of(constants(noisy, member).draws, noisy.frame)
        assert matrix[0, 1] == pytest.approx(np.corrcoef([np.log(cloud[name]) for name in found.names[:2]])[0, 1])


def test_back_test_misses_are_measured_over_forecast(noisy):
    found = back_test(noisy)
    assert found is not None
    assert found.num_points == int((noisy.cut.ahead > 0).sum()) == len(found.points)
    at = {row.id: i for i, row in enumerate(noisy.rows)}
    for point in found.points:
        fold, i = point.fold - 1, at[point.run]
        assert noisy.cut.masks[fold, i] == 0
        assert point.ahead == pytest.approx(math.exp(noisy.cut.ahead[fold, i]))
        assert point.laws[0] == pytest.approx(math.expm1(leading(noisy)[0].miss[fold, i]))
        mixed = sum(m.weight * m.miss[fold, i] for m in noisy.members)
        assert point.mixture == pytest.approx(math.expm1(mixed))


def test_a_known_law_is_not_missed(clean):
    found = back_test(clean)
    assert found is not None
    assert max(abs(point.mixture) for point in found.points) < 0.01


def test_the_growth_curve_is_the_interval_s_own(noisy):
    found = back_test(noisy, 0.9)
    assert found is not None
    widths = [at.half_width for at in found.growth]
    assert widths == sorted(widths)
    last = found.growth[-1]
    assert last.ahead == pytest.approx(math.exp(noisy.cut.ahead.max()))
    sd = float(backtest.grown(noisy.rate, np.array([math.log(last.ahead)]))[0])
    assert last.half_width == pytest.approx(math.expm1(1.6449 * noisy.known.widen * sd), rel=1e-3)


def test_few_runs_have_no_back_test(make_ladder):
    assert back_test(build(make_ladder(sizes=(1e7, 1e8, 1e9), ratios=(10, 20)), UNIT, laws=(LAWS["tied"],))) is None


def test_many_points_are_thinned_evenly(make_ladder):
    rows = make_ladder(sizes=np.geomspace(1e7, 5e8, 18), ratios=np.geomspace(5, 80, 16), noise=0.01)
    ensemble = build(rows, UNIT, laws=(LAWS["tied"],))
    found = back_test(ensemble)
    assert found is not None
    assert len(found.points) <= 600 < found.num_points
    assert len({point.fold for point in found.points}) == len(ensemble.cut.masks)


def test_held_out_runs_stand_beside_their_forecast(make_ladder, truth):
    rows = make_ladder(noise=0.002)
    apart = [row for row in rows if row.params == 4e8]
    ensemble = build([row for row in rows if row not in apart], UNIT)
    wrong = apart[0]._replace(value=apart[0].value * 1.5)
    found = held_out(ensemble, [*apart[1:], wrong])
    assert [item.hit for item in found] == [True, True, False]
    assert all(item.low < item.value < item.high for item in found)
    assert found[-1].measured == wrong.value


def test_the_whole_is_plain_json(noisy):
    tree = diagnosis(noisy, noisy.rows[:1], [(1e10, 1e11)], 0.8)
    assert json.loads(json.dumps(tree, allow_nan=False)).keys() == tree.keys()
    far = [row._replace(params=1e12) for row in noisy.rows[:1]]
    lines = diagnosis(noisy, far)["map"]["lines"]
    assert max(n for line in lines for n in line["params"]) > 1e12
