"""The demo's studies are frozen: each parses, and the one of pairs plans what it says without training anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keel.corpus import scene_pictures, scenes
from keel.corpus.images.caption_tokens import FILE
from keel.corpus.images.items import open_images
from keel.corpus.images.look import measured
from keel.demo import _verdict, study_of
from keel.demo_sources import SCENES, SOURCES, guessing, pictures
from keel.errors import Problem, StudyError
from keel.files import write_json, write_text
from keel.study import load

MACHINE = {
    "made_utc": "2026-01-02T10:01:00Z", "cores": 2, "cores_free": 2, "memory_bytes": 8e9, "memory_free_bytes": 6e9,
    "disk_free_bytes": 5e10, "cpu": "stated", "platform": "Linux", "torch": None, "compiler": False, "problems": [],
    "gemm": [{"precision": "fp32", "threads": 1, "m": 512, "k": 512, "n": 512, "flop_per_s": 6e10}], "steps": [],
    "precision": {"body": "fp32", "head": "fp32", "why": "stated"},
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_every_study_of_the_demo_parses(name: str, tmp_path: Path) -> None:
    write_text(tmp_path / "study.toml", study_of(SOURCES[name], tmp_path, tmp_path / "data", seed=7))
    study = load(tmp_path)
    assert study.data.train == "data"
    assert study.overrides["train.seed"] == 7


def test_the_pictures_are_written_once_and_again_where_a_write_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keel.demo_sources.PICTURES", 4)
    folder = pictures(tmp_path)
    (folder / "000003.txt").unlink()
    (folder / "000000.png").unlink()
    assert pictures(tmp_path) == folder
    assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.txt"))) == 4


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The plan of the demo of pairs, on fewer scenes."""
    from keel.plan.verb import plan

    folder = tmp_path_factory.mktemp("pairs")
    scene_pictures.write(folder / "scenes", 300, seed=1, options=SCENES)
    write_text(folder / "study.toml", study_of(SOURCES["scenes"], folder, folder / "scenes", seed=0))
    study = load(folder)
    seen, tokenizer_json = measured(open_images(folder, study.data), study)
    write_text(folder / FILE, tokenizer_json or "")
    write_json(folder / "evidence/images.json", "keel.images/1", seen)
    write_json(folder / "evidence/machine.json", "keel.machine/1", MACHINE)
    plan(folder, study)
    made: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return made


def test_the_demo_of_pairs_plans_the_ladder_that_it_says(planned: dict[str, Any]) -> None:
    runs = planned["experiments"]
    assert (planned["objective"], planned["family"], planned["judge"]) == ("clip", "clip-vision", "retrieval_nats")
    assert {run["spec"]["size"]["width"] for run in runs} == {16, 24, 32, 40}
    assert {run["spec"]["size"]["context"] for run in runs} == {9}, "a patch a cell"
    assert {run["spec"]["options"]["crop"] for run in runs} == {"centre"}, "a crop could cut a thing off"
    top = [run for run in runs if run["held_out"] and run["kind"] != "trunk"]
    assert [run["spec"]["steps"] for run in top] == [1400]
    largest = max(run["cost"]["flop"] for run in runs if not run["held_out"])
    assert top[0]["cost"]["flop"] > 2 * largest


def test_a_blind_guess_stands_beside_what_was_measured(tmp_path: Path) -> None:
    for name, flop, first in (("small", 1.0, 0.1), ("large", 2.0, 0.95)):
        ways = {way: {"R@1": {"value": first}} for way in ("image_of_caption", "caption_of_image")}
        result = {"ok": True, "kind": "branch", "flop": flop, "candidates": 400, "recall": ways}
        write_json(tmp_path / "runs" / name / "result.json", "keel.result/1", result)
    line = guessing(tmp_path)[0]
    assert line.startswith("R@1       of images 0.950 (smallest run 0.100), of captions 0.950")
    assert line.endswith(f"a blind guess {scenes.truth(SCENES).guess(400):.4f}")


def test_the_verdict_names_the_unit_and_what_was_forecast_beside_it(tmp_path: Path) -> None:
    from keel.answer import Answer

    held = {"value": 0.8, "low": 0.7, "high": 0.9, "measured": 0.95, "hit": False}
    write_json(tmp_path / "runs/a/score.json", "keel.score/1", {
        "measured": 0.5, "low": 0.4, "high": 0.6, "level": 0.9, "hit": True, "error": 0.1, "beside": {"R@1": held},
    })  # fmt: skip
    sealed = {"value": 0.45, "unit": "retrieval_nats", "distance": 1.0, "naive": {"nearest_run": 0.9}}
    write_json(tmp_path / "runs/a/forecast.json", "keel.forecast/1", sealed)
    text = _verdict(tmp_path, Answer(result={"seconds": 100.0}, text=""), ["known"])
    assert "sealed    0.4500 retrieval nats, 90 % interval 0.4000 to 0.6000" in text
    assert "measured  0.5000: HIT, +10.00 % off" in text
    assert "beside    R@1: sealed 0.800 (0.700 to 0.900), measured 0.950: MISS" in text
    assert text.splitlines()[-2] == "known"


def test_a_forecast_that_was_refused_is_in_the_verdict(tmp_path: Path) -> None:
    from keel.answer import Answer

    no = Problem(
        "no forecast for a", "its interval spans a factor of 5", "add a run", str(tmp_path / "runs/a/forecast.json")
    )
    other = Problem("no forecast for 1M params", "too far", "add a run")
    answer = Answer(result={"seconds": 100.0}, text="", problems=[no, other])
    lines = _verdict(tmp_path, answer, []).splitlines()
    assert lines[0] == "refused   no forecast for a: its interval spans a factor of 5"
    assert len(lines) == 2


def test_an_unknown_source_names_those_that_there_are(tmp_path: Path) -> None:
    from keel.demo import demo

    with pytest.raises(StudyError) as caught:
        demo("speeches", 0, tmp_path, None)
    assert "sotu, markov, scenes" in caught.value.problems[0].why
