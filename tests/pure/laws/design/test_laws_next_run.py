"""The next run: the arithmetic against closed forms and simulation, what it promises against what then happens."""

from __future__ import annotations

import time

import numpy as np
import pytest

from keel.errors import StudyError
from keel.laws.design.next_run import Beliefs, existing, explained, next_run, variance
from keel.laws.ensemble import build, coordinates
from keel.laws.law import Row

NATS = "nats_per_token"
TARGET = np.array([[1e10, 2e11, 1.2e22, 1.0]])


def beliefs(weight, target, seen, target_var=0.0, seen_var=1e-6, covariance=0.0, shared=0.0, unknown=0.0):
    """One target, one candidate."""
    laws = len(weight)
    return Beliefs(
        np.array(weight), np.array(target, float)[:, None], np.array(seen, float)[:, None],
        np.full((laws, 1), target_var), np.full((laws, 1), seen_var), np.full((laws, 1, 1), covariance),
        np.array([[shared]]), np.array([unknown]),
    )  # fmt: skip


def test_one_law_is_gaussian_conditioning():
    found = beliefs([1.0], [0.0], [0.0], target_var=4.0, seen_var=2.0, covariance=1.5)
    assert variance(found) == pytest.approx([4.0])
    assert explained(found)[0, 0] == pytest.approx(1.5**2 / 2.0)


def test_a_run_on_the_way_takes_its_part_of_the_way():
    """A random walk: half the way seen without noise leaves half the variance."""
    found = beliefs([1.0], [0.0], [0.0], seen_var=0.5, shared=0.5, unknown=1.0)
    assert explained(found)[0, 0] == pytest.approx(0.5)


def test_laws_that_differ_at_the_candidate_are_told_apart():
    """Far apart against the noise: all disagreement at the target goes; alike there: none of it does."""
    apart = beliefs([0.5, 0.5], [-0.1, 0.1], [-0.1, 0.1], seen_var=1e-6)
    alike = beliefs([0.5, 0.5], [-0.1, 0.1], [0.0, 0.0], seen_var=1e-6)
    assert explained(apart)[0, 0] == pytest.approx(0.01, rel=1e-6)
    assert explained(alike)[0, 0] == pytest.approx(0.0, abs=1e-9)


def test_the_mixture_agrees_with_simulation():
    """Var E[t | y] for two laws with constants and disagreement, against draws of (law, y) and Bayes' rule."""
    found = beliefs([0.3, 0.7], [0.0, 0.05], [0.02, 0.0], target_var=0.0009, seen_var=0.0004, covariance=0.0005)
    rng = np.random.default_rng(0)
    law = rng.choice(2, 200_000, p=found.weight)
    y = found.seen[law, 0] + np.sqrt(found.seen_var[law, 0]) * rng.standard_normal(len(law))
    like = found.weight * np.exp(-0.5 * (y[:, None] - found.seen[:, 0]) ** 2 / found.seen_var[:, 0])
    guess = found.target[:, 0] + found.covariance[:, 0, 0] / found.seen_var[:, 0] * (y[:, None] - found.seen[:, 0])
    expected = (like / like.sum(1, keepdims=True) * guess).sum(1)
    assert explained(found)[0, 0] == pytest.approx(expected.var(), rel=0.02)


def test_never_more_than_there_is(rows):
    for run in next_run(build(rows, NATS), TARGET):
        assert 0 <= run.width_after <= run.width_now
        assert run.gain_per_flop == pytest.approx((run.width_now - run.width_after) / run.flop)


def test_what_is_promised_is_what_happens(make_ladder, truth):
    """Over ladders with other noise, the width after the chosen run is near the width promised."""
    promised, found = [], []
    for seed in range(4):
        rows = make_ladder(ratios=(5, 20, 80), noise=0.003, seed=seed)
        before = build(rows, NATS)
        best = max(next_run(before, TARGET, most_flop=3e20), key=lambda run: run.width_now - run.width_after)
        noise = float(np.exp(0.003 * np.random.default_rng(100 + seed).standard_normal()))
        new = Row("new", best.params, best.tokens, best.flop, truth(best.params, best.tokens) * noise)
        after = next_run(build([*rows, new], NATS), TARGET)[0].width_now
        promised.append(best.width_after / best.width_now)
        found.append(after / best.width_now)
    assert np.mean(promised) < 0.85
    assert np.mean(found) == pytest.approx(np.mean(promised), abs=0.25)


def test_one_ratio_everywhere_asks_for_another(make_ladder):
    rows = make_ladder(sizes=(1e7, 3e7, 1e8, 3e8, 6e8), ratios=(20,), noise=0.002)
    best = next_run(build(rows, NATS), np.array([[2e9, 6e11, 7.2e21, 1.0]]))[0]
    assert best.tokens / best.params > 40


def test_a_run_that_exists_is_never_proposed(rows):
    ensemble = build(rows, NATS)
    assert existing(ensemble, coordinates(rows)).all()
    assert next_run(ensemble, TARGET, candidates=coordinates(rows)) == []
    for run in next_run(ensemble, TARGET):
        assert not existing(ensemble, np.array([[run.params, run.tokens, run.flop, run.epochs]])).any()


def test_limits_are_kept(rows):
    ensemble = build(rows, NATS)
    assert all(run.flop <= 1e19 for run in next_run(ensemble, TARGET, most_flop=1e19))
    assert all(run.flop <= 1.2e21 for run in next_run(ensemble, TARGET))
    near, largest = np.array([[8e8, 1.6e10, 7.7e19, 1.0]]), max(row.flop for row in rows)
    assert 7.7e18 < max(run.flop for run in next_run(ensemble, near)) <= largest
    assert next_run(ensemble, TARGET, most_flop=1.0) == []
    given = np.array([[3e8, 3e10, 5.4e19, 1.0], [1e9, 1e10, 6e19, 1.0]])
    assert {run.params for run in next_run(ensemble, TARGET, candidates=given)} == {3e8, 1e9}


def test_several_targets_share_one_answer(rows):
    both = np.vstack([TARGET, [[2e9, 4e11, 4.8e21, 1.0]]])
    found = next_run(build(rows, NATS), both)
    assert found[0].width_after < found[0].width_now


def test_candidates_of_a_target_with_repeats_repeat_too(rows):
    """A target of four epochs has a quarter of its tokens to give: longer candidates see them again."""
    target = np.array([[2e9, 4e10, 4.8e20, 4.0]])
    for run in next_run(build(rows, NATS), target):
        assert run.epochs == pytest.approx(max(1.0, run.tokens / 1e10))


def test_order_and_units_of_rows_change_nothing(rows):
    scaled = [r._replace(params=r.params / 1e6, tokens=r.tokens / 1e9, flop=r.flop / 1e15) for r in rows[::-1]]
    a, b = next_run(build(rows, NATS), TARGET), next_run(build(scaled, NATS), TARGET / [1e6, 1e9, 1e15, 1.0])
    np.testing.assert_allclose([r.params for r in a[:5]], [1e6 * r.params for r in b[:5]], rtol=1e-6)
    np.testing.assert_allclose([r.width_after for r in a[:5]], [r.width_after for r in b[:5]], rtol=1e-4)


def test_a_hundred_candidates_in_under_a_second(make_ladder):
    rows = make_ladder(sizes=np.geomspace(1e7, 1e9, 20).tolist(), ratios=(5, 10, 20, 40, 80))
    ensemble, rng = build(rows, NATS), np.random.default_rng(0)
    size, ratio = np.exp(rng.uniform(np.log(1e7), np.log(3e9), 100)), np.exp(rng.uniform(1, 5, 100))
    given = np.stack([size, ratio * size, 6 * ratio * size**2, np.ones(100)], 1)
    start = time.process_time()
    found = next_run(ensemble, TARGET, candidates=given)
    assert time.process_time() - start < 1.0
    assert len(found) > 90  # the rest exist already


@pytest.mark.parametrize("bad", [[[1e9, 0.0, 1e20, 1.0]], [[1e9, np.nan, 1e20, 1.0]], [[1e9, 2e10, 1e20]]])
def test_targets_and_candidates_are_quantities(rows, bad):
    ensemble = build(rows, NATS)
    with pytest.raises(StudyError, match="target"):
        next_run(ensemble, np.array(bad))
    with pytest.raises(StudyError, match="candidates"):
        next_run(ensemble, TARGET, candidates=np.array(bad))


def test_a_level_is_a_share(rows):
    with pytest.raises(StudyError, match="level"):
        next_run(build(rows, NATS), TARGET, level=90)
