"""Bootstrap intervals hold what they say on made data, also where nearly all items are right."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from helpers import study_error

from keel.evaluate import intervals
from keel.evaluate.intervals import mean, of
from keel.evaluate.noninferior import noninferior

TRIES = 150


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 300)


@pytest.mark.parametrize(("number", "share"), [(20, 0.5), (50, 0.8), (100, 0.97), (30, 0.999)])
def test_the_interval_covers_at_its_level(number: int, share: float) -> None:
    rng = np.random.default_rng(number)
    found = [mean((rng.random(number) < share).astype(float), level=0.9) for _ in range(TRIES)]
    covered = np.mean([each.low <= share <= each.high for each in found])
    assert covered >= 0.9 - 2.5 * (0.09 / TRIES) ** 0.5
    assert all(each.low <= each.value <= each.high for each in found)
    if share < 0.9:
        assert covered < 0.99, "wider than it says"


def test_groups_are_resampled_whole() -> None:
    """Ten items of a group say the same: one by one they cover far less than they claim."""
    rng = np.random.default_rng(0)
    names = [str(place // 10) for place in range(400)]
    whole, apart = 0, 0
    for _ in range(TRIES):
        scores = np.repeat(rng.random(40) < 0.6, 10).astype(float)
        low, high = mean(scores, level=0.9, groups=names)[1:]
        whole += low <= 0.6 <= high
        low, high = mean(scores, level=0.9)[1:]
        apart += low <= 0.6 <= high
    assert whole / TRIES > 0.82 > 0.6 > apart / TRIES


def test_alike_scores_have_exact_bounds() -> None:
    assert mean(np.ones(30)).low == pytest.approx(0.025 ** (1 / 30))
    assert mean(np.zeros(30)).high == pytest.approx(1 - 0.025 ** (1 / 30))
    assert mean(np.full(8, 0.25)).low == pytest.approx(0.25 * 0.025 ** (1 / 8))
    assert mean(np.ones(30), groups=["a", "b", "c"] * 10).low == pytest.approx(0.025 ** (1 / 3))


def test_any_statistic_has_an_interval() -> None:
    scores = np.random.default_rng(0).random(200)
    one, other = of(lambda places: float(scores[places].mean()), 200), mean(scores)
    assert one.value == pytest.approx(other.value)
    assert one.low == pytest.approx(other.low, abs=0.01)
    assert one.high == pytest.approx(other.high, abs=0.01)
    names = [str(place // 20) for place in range(200)]
    grouped = of(lambda places: len(places), 200, groups=names)
    assert grouped == (200, 200, 200)


def pair(rng: np.random.Generator, number: int, lose: float, win: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a small and a big model: `lose` of the items only the big one has right, `win` only the small one."""
    drawn = rng.random(number)
    small, big = (drawn >= lose).astype(float), ((drawn < lose) | (drawn >= lose + win)).astype(float)
    return small, big


def test_at_the_margin_itself_neither_answer_comes_more_often_than_allowed() -> None:
    rng = np.random.default_rng(0)
    for number, win in ((60, 0.0), (300, 0.02), (300, 0.1)):
        said = Counter(noninferior(*pair(rng, number, 0.05 + win, win), 0.05).answer for _ in range(TRIES))
        assert said["not worse"] / TRIES < 0.11
        assert said["worse"] / TRIES < 0.11


def test_equal_models_are_found_equal_and_unequal_ones_unequal() -> None:
    rng = np.random.default_rng(1)
    assert noninferior(*pair(rng, 2000, 0.03, 0.03), 0.02).answer == "not worse"
    found = noninferior(*pair(rng, 2000, 0.2, 0.03), 0.02)
    assert found.answer == "worse"
    assert found.difference.value == pytest.approx(-0.17, abs=0.03)
    assert noninferior(*pair(rng, 2000, 0.03, 0.2), 0.02).answer == "not worse"


def test_as_many_more_items_as_it_says_decide_it() -> None:
    rng = np.random.default_rng(2)
    found = noninferior(*pair(rng, 200, 0.05, 0.05), 0.02)
    assert found.answer == "unknown"
    assert found.more is not None
    again = [noninferior(*pair(rng, 200 + found.more, 0.05, 0.05), 0.02).answer for _ in range(30)]
    assert np.mean([answer == "not worse" for answer in again]) > 0.6
    fewer = [noninferior(*pair(rng, (200 + found.more) // 8, 0.05, 0.05), 0.02).answer for _ in range(30)]
    assert np.mean([answer == "not worse" for answer in fewer]) < 0.5


def test_two_perfect_models_on_few_items_decide_nothing() -> None:
    found = noninferior([1.0] * 20, [1.0] * 20, 0.05)
    assert (found.answer, found.more) == ("unknown", 39), "the rule of three: 59 items without a miss"
    assert noninferior([1.0] * 59, [1.0] * 59, 0.05).answer == "not worse"
    assert "more items" in str(found)


def test_bad_scores_are_named_all_at_once() -> None:
    with study_error("unequal numbers", "not within 0 and 1", "margin", "level") as seen:
        noninferior([1, 0], [2.5], margin=0, level=0.3)
    assert len(seen[0].problems) == 4
    with study_error("no item to compare"):
        noninferior([], [], 0.1)
    with study_error("not every item has a group"):
        noninferior([1, 0], [1, 1], 0.1, groups=["a"])
    with study_error("not within 0 and 1"):
        noninferior([float("nan")], [1], 0.1)
