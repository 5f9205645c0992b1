"""What each use case weighs: the user's weight first, then search's profile, times what it is worth."""

from __future__ import annotations

from typing import Any

import pytest

from keel.choose.weights import SEARCH, weigh
from keel.study import UseCase


def weights(*cases: dict[str, Any]) -> list[float]:
    return [item.weight for item in weigh([UseCase(name=str(place), **each) for place, each in enumerate(cases)])]


@pytest.mark.parametrize("task", sorted(SEARCH))
def test_search_weighs_three_unless_said(task: str) -> None:
    assert weights({"task": task}, {"task": task, "weight": 1.0}, {"task": "sts"}) == [3.0, 1.0, 1.0]


def test_value_moves_weight_against_its_mean() -> None:
    tag = {"task": "text-classification"}
    found = weights({**tag, "value_usd": 3e5}, {**tag, "value_usd": 1e5}, tag)
    assert found == [1.5, 0.5, 1.0]


def test_few_cases_of_value_outweigh_many() -> None:
    many = [{"task": "text-generation", "value_usd": 1e3}] * 9
    found = weights({"task": "retrieval", "value_usd": 1e6}, *many)
    assert found[0] > sum(found[1:])


def test_a_value_of_nothing_weighs_nothing_beside_others_and_does_not_divide_by_it() -> None:
    tag = {"task": "text-classification"}
    assert weights({**tag, "value_usd": 0}, {**tag, "value_usd": 5}) == [0.0, 2.0]
    assert weights({**tag, "value_usd": 0}, tag) == [1.0, 1.0]


def test_whose_weight_it_is_is_said() -> None:
    cases = [UseCase(name="a", task="retrieval"), UseCase(name="b", task="retrieval", weight=3),
             UseCase(name="c", task="sts", value_usd=4)]  # fmt: skip
    whys = [item.why for item in weigh(cases)]
    assert "search profile" in whys[0]
    assert whys[1] == "yours"
    assert whys[2] == "1 unless said; x its value over the mean value"
