"""Simple against complex: only what no proxy contradicts is ordered, and unknown orders nothing."""

from __future__ import annotations

import pytest
from chosen import model

from keel.choose.simple import proxies, simpler

PLAIN = model("plain", 1e8, pretrain_code="public/code")


@pytest.mark.parametrize(
    "fields",
    [{"params": 2e8}, {"objective": "MLM + SOP"}, {"architecture": "encoder + frozen decoder"},
     {"architecture": "encoder, MoE of 8 experts"}, {"pretrain_code": "no"}],
)  # fmt: skip
def test_one_proxy_more_is_less_simple(fields: dict[str, object]) -> None:
    other = PLAIN._replace(id="other", **fields)
    assert simpler([PLAIN, other]) == {"plain": ["other"], "other": []}


def test_what_differs_both_ways_is_taste() -> None:
    other = PLAIN._replace(id="other", params=5e7, objective="MLM + SOP")
    assert simpler([PLAIN, other]) == {"plain": [], "other": []}


def test_equals_are_not_ordered() -> None:
    assert simpler([PLAIN, PLAIN._replace(id="twin")]) == {"plain": [], "twin": []}


def test_an_unknown_size_orders_nothing_and_unknown_code_is_not_missing_code() -> None:
    unknown = PLAIN._replace(id="unknown", params=None, objective="MLM + SOP")
    assert simpler([PLAIN, unknown]) == {"plain": [], "unknown": []}
    silent = PLAIN._replace(id="silent", pretrain_code="")
    assert proxies(silent).code_missing is None
    assert simpler([PLAIN, silent]) == {"plain": [], "silent": []}
    assert simpler([silent, PLAIN._replace(params=2e8)])["silent"] == ["plain"]
