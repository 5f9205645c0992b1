"""Leverage against the truth: the runs said to decide a forecast are those that move it when they are left out."""

from __future__ import annotations

import numpy as np
import pytest

from keel.laws import Row
from keel.laws.ensemble import build, coordinates
from keel.laws.forms import LAWS
from keel.laws.leverage import Leverage, leverage

SOME = (LAWS["coupled"], LAWS["chinchilla"])  # fitting all laws again for every run takes long
TARGET = np.array([4e9, 8e10, 6 * 4e9 * 8e10, 1.0])


def left_out(rows, unit, weights):
    """Change of the log forecast at TARGET when each run is left out and everything is fitted again."""

    def forecast(some):
        return float(weights @ [value[0, 0] for value in build(some, unit, laws=SOME).log_values(TARGET[None])])

    whole = forecast(rows)
    return {row.id: forecast([other for other in rows if other is not row]) - whole for row in rows}


def agreement(found: Leverage, true):
    """Correlation of the changes, and how many of the three strongest are the same."""
    changes = np.array([[item.change, true[item.id]] for item in found.runs])
    strongest = sorted(true, key=lambda name: -abs(true[name]))[:3]
    return np.corrcoef(changes.T)[0, 1], len({item.id for item in found.runs[:3]} & set(strongest))


def test_the_runs_named_are_those_that_move_the_forecast(make_ladder):
    rows = make_ladder(noise=0.01)
    ensemble = build(rows, "nats_per_token", laws=SOME)
    found = leverage(ensemble, TARGET)
    correlation, same = agreement(found, left_out(rows, "nats_per_token", ensemble.weights))
    assert correlation > 0.9
    assert same >= 2


def test_a_size_that_two_runs_carry_is_seen(public_runs):
    """Four OPT sizes, the third with three runs: without one of the first two, another law fits best."""
    import csv

    with (public_runs / "opt/trajectories.csv").open(newline="") as file:
        found = [r for r in csv.DictReader(file) if 1e10 <= float(r["tokens"]) <= 3e10 and float(r["params"]) < 1e10]
    rows = [Row(f"r{i}", *(float(r[k]) for k in ("params", "tokens", "flops", "loss"))) for i, r in enumerate(found)]
    ensemble = build(rows, "nats_per_token", laws=SOME)
    correlation, same = agreement(leverage(ensemble, TARGET), left_out(rows, "nats_per_token", ensemble.weights))
    assert correlation > 0.85
    assert same >= 2


def test_shares_sum_to_one_and_come_in_order(rows):
    found = leverage(build(rows, "nats_per_token"), TARGET).runs
    shares = [item.share for item in found]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1.0)
    assert {item.id for item in found} == {row.id for row in rows}


def test_a_lone_wild_run_has_no_say(make_ladder):
    """A diverged run is so far off that the laws do not believe it: leaving it out changes little."""
    rows = make_ladder(noise=0.002)
    wild = [row._replace(value=3 * row.value) if i == 4 else row for i, row in enumerate(rows)]
    found = {item.id: item for item in leverage(build(wild, "nats_per_token"), TARGET).runs}
    assert abs(found[wild[4].id].change) < 0.005


def test_no_run_of_many_decides_alone(make_ladder):
    """Every run is ranked, though only a few are left out in earnest."""
    rows = make_ladder(sizes=np.geomspace(1e7, 5e8, 20), ratios=np.geomspace(5, 80, 15), noise=0.005)
    found = leverage(build(rows, "nats_per_token", laws=SOME), TARGET).runs
    assert len(found) == 300
    assert found[0].share < 0.2


def test_a_point_inside_the_ladder_hangs_on_no_run_as_a_far_one_does(make_ladder):
    rows = make_ladder(noise=0.005)
    ensemble = build(rows, "nats_per_token")
    near, far = (leverage(ensemble, point).runs[0].change for point in (coordinates(rows[7:8])[0], TARGET))
    assert abs(near) < 0.3 * abs(far)


def test_an_accuracy_moves_in_its_own_unit(make_ladder, truth):
    """The laws see -log of the accuracy's distance from one; what is said is the change of the accuracy."""
    rows = [row._replace(value=1 - truth(row.params, row.tokens) / 8) for row in make_ladder()]
    ensemble = build(rows, "accuracy", laws=SOME)
    found = leverage(ensemble, TARGET).runs[0]
    left = build([row for row in rows if row.id != found.id], "accuracy", laws=SOME)

    def forecast(made):
        loss = np.exp(ensemble.weights @ [value[0, 0] for value in made.log_values(TARGET[None])])
        return float(np.exp(-loss))

    assert found.change == pytest.approx(np.log(forecast(left) / forecast(ensemble)), rel=0.3, abs=1e-4)
