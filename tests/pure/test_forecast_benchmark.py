"""The forecast benchmark judges fairly: known scores, no leak of held-out losses, failures said, the guard bites."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from keel.laws import Row

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def law(n, d):
    return 1.7 + 400 / n**0.34 + 900 / d**0.33


def made_task(num_held=3):
    from forecast_task import Task

    runs = [(n, r * n) for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 30, 90)]
    seen = tuple(Row(f"{n}-{d}", n, d, 6 * n * d, law(n, d)) for n, d in runs)
    far = [(1e9 * (i + 1), 2e10) for i in range(num_held)]
    held = tuple(Row(f"{n}", n, d, 6 * n * d, law(n, d)) for n, d in far)
    return Task("made", "gadre", "nats_per_token", "gap10", seen, held)


def test_winkler_is_the_width_inside_and_twenty_times_the_miss_outside():
    from forecast_score import winkler

    one, two = np.array([1.0]), np.array([math.e])
    assert winkler(one, two, np.array([2.0])) == pytest.approx(100.0)
    assert winkler(one, two, np.array([math.exp(1.1)])) == pytest.approx(100 * (1 + 20 * 0.1))
    assert winkler(np.array([-1.0]), two, np.array([2.0])) == math.inf


def test_baselines_know_what_they_should():
    from forecast_baselines import chinchilla_huber, nearest
    from forecast_score import score

    task = made_task()
    assert score(task, chinchilla_huber(task)).mare < 0.05
    assert set(nearest(task).value) == {min(run.value for run in task.seen)}


def test_a_peer_is_never_told_a_held_out_loss():
    from forecast_peers import PEERS, job_of

    task = made_task()
    losses = {run.value for run in task.held}
    for peer in PEERS:
        told = job_of(task, peer, 1.0, 2)
        assert not losses & {value for part in ("rows", "points") for row in told[part] for value in row}


def test_a_failure_is_a_failure_and_means_stand_on_the_rest():
    from forecast_score import score, summarise
    from forecast_task import Guess

    task = made_task(num_held=1)
    loss = task.held[0].value
    good, bad = score(task, Guess("m", value=(loss * 1.02,))), score(task, Guess("m", value=(math.nan,)))
    late = score(task, Guess("m", "timed out", "over 1 CPU s"))
    assert (good.ok, bad.ok, late.ok) == (True, False, False)
    found = summarise("m", [good, bad, late])
    assert (found.num_sets, found.num_asked) == (1, 3)
    assert found.mare_mean == pytest.approx(2.0)


def test_ratio_is_taken_on_sets_that_both_answered():
    from forecast_score import Score, median_ratio

    def one(name, method, winkler, status="ok"):
        return Score(name, "f", "gap10", 6, 1, method, status, "", 0.1, 1.0, {0.9: (True,)}, winkler, 1.0)

    scores = [one("a", "x", 4.0), one("b", "x", 100.0), one("a", "y", 8.0), one("b", "y", 1.0, "failed")]
    assert median_ratio(scores, "x", "y") == (4.0, 8.0, 0.5, 1)


@pytest.mark.parametrize(
    ("behind", "words"), [({"olmo", "gadre"}, "learnt with it"), ({"olmo", "olmo_ladder"}, "knows no family")]
)
def test_the_benchmark_fails_if_a_set_informs_its_own_test(monkeypatch, behind, words):
    import forecast_keel

    monkeypatch.setattr(forecast_keel, "families_behind", lambda without: frozenset(behind))
    with pytest.raises(forecast_keel.Informed, match=words):
        forecast_keel.keel(made_task(num_held=1))


def test_a_fit_with_other_constants_than_the_left_out_ones_is_refused(monkeypatch):
    import forecast_keel

    def all_families(rows, unit, aim, without=""):
        found = build(rows, unit, aim)
        return found._replace(known=found.known._replace(widen=found.known.widen * 1.5))

    build = forecast_keel.build
    monkeypatch.setattr(forecast_keel, "fitted", all_families)
    with pytest.raises(forecast_keel.Informed, match="other constants"):
        forecast_keel.keel(made_task(num_held=1))


def test_a_family_kept_for_the_last_look_was_never_learnt_from():
    from forecast_keel import left_out
    from sets import FAMILIES, LOOK

    from keel.laws.learnt import families_behind

    assert not families_behind("") & set(LOOK)
    assert {left_out(family) for family in LOOK} == {""}
    assert all(family not in families_behind(left_out(family)) for family in FAMILIES)


def test_held_out_runs_of_one_kind_share_a_fit_and_keep_their_places():
    import forecast_keel
    from forecast_score import score

    task = made_task(num_held=4)
    assert forecast_keel.groups(task.held) == [[0], [1], [2], [3]]
    near = [run._replace(tokens=run.params * 20 * (1 + 0.01 * i)) for i, run in enumerate(task.held)]
    assert forecast_keel.groups(near) == [[0, 1, 2, 3]]
    assert score(task, forecast_keel.keel(task)).mare < 2.0


def test_targets_say_a_miss():
    from forecast_score import score
    from forecast_show import target_table, targets
    from forecast_task import Guess

    task = made_task(num_held=1)
    loss = task.held[0].value
    ends = {level: (loss * 1.01,) for level in (0.5, 0.8, 0.9, 0.95)}
    wrong = Guess("keel", value=(loss * 1.03,), low=ends, high={level: (loss * 1.05,) for level in ends})
    found = {t.what: t.met for t in targets([score(task, wrong)], {100: [0.4], 1000: [5.0]}, peers=False)}
    assert found["gap10 MARE, mean over sets"] is False
    assert found["gap10: 90 % coverage over all held-out runs"] is False
    assert found["fit and forecast with interval, 100 rows"] is False
    assert found["cost from 100 to 1000 rows"] is False
    assert "NOT MET" in target_table(targets([score(task, wrong)], {}, peers=False))


def test_plots_say_what_they_show(tmp_path):
    import forecast_plot
    from forecast_score import score
    from forecast_task import LEVELS, Guess

    task = made_task(num_held=2)
    losses = [run.value for run in task.held]
    low = {level: tuple(loss * (1 - level / 50) for loss in losses) for level in LEVELS}
    high = {level: (losses[0] * 1.02, losses[1] * 0.999) for level in LEVELS}
    one = score(task, Guess("keel", value=tuple(losses), low=low, high=high))
    assert forecast_plot.coverage([one], tmp_path / "coverage.svg")
    drawn = (tmp_path / "coverage.svg").read_text()
    assert "keel: 0.50 at 90%" in drawn
    assert "keel, 2 runs" in drawn
    assert not forecast_plot.coverage([score(task, Guess("nearest", value=tuple(losses)))], tmp_path / "none.svg")
    forecast_plot.replay({"made": {"keel": [(1e18, 9.0), (1e19, 2.0)], "random": [(1e18, 9.0)]}}, tmp_path / "r.svg")
    assert "Strategies: keel, random." in (tmp_path / "r.svg").read_text()
