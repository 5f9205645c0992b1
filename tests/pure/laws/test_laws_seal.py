"""A sealed forecast: kept by a resumed run, never replaced, and any later edit is seen."""

from __future__ import annotations

import json

import pytest

from keel.errors import StudyError
from keel.files import read_json, sha256_file
from keel.laws import Target, forecast, seal

TARGET = Target(2e9, 4e10)


@pytest.fixture
def sealed(rows, tmp_path):
    found = forecast(rows, TARGET)
    return tmp_path, found, seal.seal(tmp_path, found, "big", rows)


def test_the_seal_holds_what_the_contract_names(sealed, rows):
    folder, found, sha256 = sealed
    tree = read_json(folder / "forecast.json", seal.SCHEMA)
    names = "sealed_utc run params tokens flop unit value low high level distance width_parts warnings laws runs_seen"
    assert set(f"{names} runs_sha256 naive".split()) <= set(tree)
    assert sha256 == sha256_file(folder / "forecast.json")
    assert tree["runs_sha256"] == seal.runs_digest(rows[::-1])
    assert tree["value"] == found.value
    assert tree["naive"]["nearest_run"] > found.value


def test_a_resumed_run_keeps_its_seal(sealed, rows):
    folder, found, sha256 = sealed
    before = (folder / "forecast.json").read_bytes()
    assert seal.seal(folder / "forecast.json", found, "big", rows[::-1]) == sha256
    assert (folder / "forecast.json").read_bytes() == before


def test_another_forecast_never_replaces_it(sealed, rows):
    folder, found, _ = sealed
    with pytest.raises(StudyError, match="sealed already"):
        seal.seal(folder, forecast(rows[1:], TARGET), "big", rows[1:])
    with pytest.raises(StudyError, match="sealed already"):
        seal.seal(folder, found, "other", rows)


@pytest.mark.parametrize(("off", "hit"), [(0.0, True), (0.5, False), (-0.5, False)])
def test_the_score(sealed, off, hit):
    folder, found, sha256 = sealed
    result = seal.score(folder, found.value * (1 + off), sealed_sha256=sha256)
    assert result["hit"] is hit
    assert result["error"] == pytest.approx(off)
    assert result["forecast_sha256"] == sha256
    assert read_json(folder / "score.json", seal.SCORE)["measured"] == found.value * (1 + off)


def test_scoring_again_changes_nothing(sealed):
    folder, found, sha256 = sealed
    first = seal.score(folder, found.value, sealed_sha256=sha256)
    before = (folder / "score.json").read_bytes()
    assert seal.score(folder, found.value, sealed_sha256=sha256) == first
    assert (folder / "score.json").read_bytes() == before


def test_an_edited_forecast_is_seen(sealed):
    folder, found, sha256 = sealed
    path = folder / "forecast.json"
    tree = json.loads(path.read_text())
    tree["high"] *= 2
    path.write_text(json.dumps(tree))
    with pytest.raises(StudyError, match="changed after it was sealed"):
        seal.score(folder, found.value, sealed_sha256=sha256)
    assert not (folder / "score.json").exists()


def test_no_forecast_no_score(tmp_path):
    with pytest.raises(StudyError, match="not there"):
        seal.score(tmp_path, 1.0)
