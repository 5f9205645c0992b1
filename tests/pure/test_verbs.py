"""Verbs that join rooms: targets are read, and what cannot be fitted is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import study_error

from keel.laws.read.targets import parse_target
from keel.study import parse
from keel.verbs import _need_train, fit, look


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("params=7e9,tokens=140e9", {"params": 7e9, "tokens": 140e9}),
        (" tokens = 20B , params = 1_000M ", {"params": 1e9, "tokens": 2e10}),
        ("compute=1e22", {"compute": 1e22}),
    ],
)
def test_targets_are_read(text: str, found: dict[str, float]) -> None:
    assert parse_target(text) == found


@pytest.mark.parametrize(
    "text",
    ["", "params=7e9", "7e9", "size=3", "params=7e9,tokens=0", "compute=-1", "compute=1e22,params=3", "params=x"],
)
def test_what_is_no_target(text: str) -> None:
    with study_error(where=False) as seen:
        parse_target(text)
    assert text in str(seen[0]) or "'x' is not a count" in str(seen[0])


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 90.0, float("nan")])
def test_what_is_no_level(level: float, tmp_path: Path) -> None:
    with study_error("is not a level", where=False):
        fit(tmp_path, None, [], level, {}, None)


def test_data_that_is_only_stated_cannot_be_looked_at(tmp_path: Path) -> None:
    with study_error("no files to look at", "train = ..."):
        look(tmp_path, parse({"data": {"stated": {"bytes": 1e9}}}))


def test_nothing_to_fit(tmp_path: Path) -> None:
    with study_error("there is nothing to fit", "keel fit runs.csv", str(tmp_path)):
        fit(tmp_path, None, [], 0.9, {}, None)


def test_a_missing_extra_is_one_line_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with study_error("torch, transformers, safetensors is not installed", "pip install 'keel[train]'", where=False):
        _need_train()
