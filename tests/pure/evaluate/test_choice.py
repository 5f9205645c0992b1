"""The smallest model that will do: known scores give known answers, and what cannot be said is not said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keel.evaluate.choice import Judged, accepted, choose, longest
from keel.evaluate.noninferior import noninferior_labels
from keel.evaluate.tasks.classes import classified
from keel.evaluate.tasks.linear import Predicted
from keel.evaluate.tasks.result import compared
from keel.evaluate.uses.case import Case
from keel.evaluate.uses.rows import Row, Split

ROWS = 500
CASE = Case("u", "text-classification", "probe", "rows.jsonl", {}, "accuracy", {}, 0.05, "yours", None)


def result(share: float, beside: float = 0.5, noise: float = 0.0, seed: int = 0, rows: int = ROWS) -> dict[str, Any]:
    """Scores whose first `share` of rows are right, some of them flipped."""
    rng = np.random.default_rng(seed)
    right = np.arange(rows) < share * rows
    right = np.where(rng.random(rows) < noise, rng.random(rows) < share, right)
    low = (np.arange(rows) < beside * rows).astype(float)
    return compared(
        "probe", {"accuracy": right.astype(float)}, {"accuracy": low}, baseline="bag of words", train=9
    ).json()


def model(params: int, share: float, **more: Any) -> Judged:
    tokens = more.pop("tokens", 100)
    return Judged(f"w{params}-{tokens}", params, tokens, "r", result(share, **more))


def test_the_smallest_that_is_not_worse_is_chosen_and_the_levels_are_shared() -> None:
    found = choose(CASE, [model(10, 0.6), model(20, 0.79), model(30, 0.8), model(40, 0.8)])
    assert found["chosen"] == "w20-100"
    assert found["comparisons"] == 3
    assert found["level_each"] == pytest.approx(1 - 0.05 / 3)
    answers = {row["run"]: row["compared"] and row["compared"]["answer"] for row in found["models"]}
    assert answers == {"w10-100": "worse", "w20-100": "not worse", "w30-100": "not worse", "w40-100": None}
    assert "w20-100 (20 params, 0.790) is at most 0.05 worse than w30-100" in found["said"]


def test_each_is_held_against_the_best_scoring_larger_one() -> None:
    """The largest need not be the best; a smaller best one is no measure for a larger."""
    found = choose(CASE, [model(10, 0.9), model(20, 0.5), model(30, 0.8), model(40, 0.7)])
    against = {row["run"]: row["compared"]["with"] for row in found["models"] if row["compared"]}
    assert against == {"w10-100": "w30-100", "w20-100": "w30-100", "w30-100": "w40-100"}


def test_where_all_smaller_ones_are_worse_the_largest_is_needed() -> None:
    found = choose(CASE, [model(10, 0.5), model(20, 0.6), model(30, 0.8)])
    assert found["chosen"] == "w30-100"
    assert "is needed: every smaller one is worse by more than 0.05" in found["said"]


def test_few_rows_say_how_many_more_would_tell() -> None:
    pair = [model(10, 0.7, noise=1.0, seed=1, rows=60), model(20, 0.7, noise=1.0, seed=2, rows=60)]
    found = choose(CASE, pair)
    compared_ = found["models"][0]["compared"]
    assert compared_["answer"] == "unknown"
    assert found["chosen"] is None
    assert f"about {compared_['more']:,} more rows to be judged by would tell of w10-100" in found["said"]


def test_a_task_that_words_solve_ranks_nothing() -> None:
    found = choose(CASE, [model(10, 0.97, beside=0.96), model(20, 0.99, beside=0.96)])
    assert not found["headroom"]
    assert found["chosen"] is None
    assert "cannot rank models: bag of words is at 0.960 already" in found["said"]
    assert all(row["compared"] is None for row in found["models"])


def test_models_below_the_baseline_are_called_so() -> None:
    assert "no model is above bag of words (0.900)" in choose(CASE, [model(10, 0.7, beside=0.9)])["said"]


def test_of_a_size_the_longest_stands_and_arms_stand_beside() -> None:
    short, long, wide = model(10, 0.9, tokens=50), model(10, 0.6), model(20, 0.9)
    arm = wide._replace(run="arm", recipe="other", params=10)
    assert [each.run for each in longest([short, long, wide, arm])] == ["w10-100", "arm", "w20-100"]
    found = choose(CASE, [short, long, wide])
    assert [(row["run"], row["stands"]) for row in found["models"]] == [
        ("w10-50", False), ("w10-100", True), ("w20-100", True),
    ]  # fmt: skip
    assert found["chosen"] == "w20-100", "the better, shorter one of the small size was not picked by its score"


def test_models_that_could_not_serve_are_listed_with_the_reason() -> None:
    mute = model(10, 0.5)._replace(result=None, why_not="an encoder writes no answers")
    found = choose(CASE, [mute, model(20, 0.7)])
    assert found["models"][0]["why_not"] == "an encoder writes no answers"
    assert "one size was judged" in found["said"]
    assert choose(CASE, [mute])["said"] == "u: not judged: an encoder writes no answers"


@pytest.mark.parametrize(("low", "high", "answer"), [(0.7, 0.8, "met"), (0.5, 0.8, "open"), (0.4, 0.59, "missed")])
def test_a_bar_is_met_by_the_whole_interval(low: float, high: float, answer: str) -> None:
    assert accepted({"value": (low + high) / 2, "low": low, "high": high}, 0.6) == answer
    assert accepted({"value": low, "low": low, "high": high}, None) is None


def labelled(errors: int, seed: int) -> dict[str, Any]:
    """Labels of 600 rows of three classes, so many of them wrong."""
    rng = np.random.default_rng(seed)
    truth = np.array(list("abc") * 200)
    given = truth.copy()
    wrong = rng.permutation(600)[:errors]
    given[wrong] = np.roll(truth, 1)[wrong]
    rows = [Row(str(n), label) for n, label in enumerate(truth)]
    return classified("probe", Split(rows, rows), given, words=Predicted(np.roll(truth, 1), 1.0, ())).json()


def test_macro_f1_is_compared_by_labels_on_the_same_rows() -> None:
    def judged(params: int, errors: int) -> Judged:
        return Judged(f"w{params}", params, 1, "r", labelled(errors, seed=0))

    case = CASE._replace(metric="macro-F1")
    found = choose(case, [judged(10, 200), judged(20, 52), judged(30, 50)])
    first, second, _ = (row["compared"] for row in found["models"])
    assert (first["answer"], second["answer"]) == ("worse", "not worse")
    assert second["difference"]["value"] == pytest.approx(
        found["models"][1]["score"]["value"] - found["models"][2]["score"]["value"]
    )
    half = (second["difference"]["high"] - second["difference"]["low"]) / 2
    alone = found["models"][1]["score"]
    assert half < (alone["high"] - alone["low"]) / 3, "errors on the same rows are no difference"


def test_equal_labels_on_few_rows_decide_nothing() -> None:
    few, many = (np.array(["a", "b"] * number) for number in (10, 400))
    assert noninferior_labels(few, few, few, 0.02).answer == "unknown"
    assert noninferior_labels(many, many, many, 0.02).answer == "not worse"
