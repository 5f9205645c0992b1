"""A whole small ladder: what is sealed is sealed before, what is done is never done again."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import planned_study, study_error

from keel.files import read_json, sha256_file
from keel.plan.verb import read_plan
from keel.run.dry import dry
from keel.run.ladder import Ladder
from keel.study import load
from keel.verbs import run

pytestmark = pytest.mark.tensor

STUDY = """[data]
train = "text"
[set]
tokenizer.vocabulary = 512
model.layers = 1
model.context = 64
ladder.widths = [16, 24, 32, 48]
ladder.tokens.16 = [10_240, 15_360, 20_480]
ladder.tokens.24 = [10_240, 15_360, 20_480]
ladder.tokens.32 = [10_240, 15_360]
ladder.tokens.48 = [25_600]
train.batch_tokens = 512
train.warmup_tokens = 2560
train.precision = "fp32"
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a plan."""
    return planned_study(tmp_path_factory.mktemp("planned"), STUDY)


@pytest.fixture(scope="module")
def done(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, carried out."""
    folder = Path(shutil.copytree(planned, tmp_path_factory.mktemp("done") / "study"))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        answer = run(folder, load(folder), None, (), quiet=True)
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    assert "report.html" in " ".join(answer.writes)
    return folder


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*/result.json"))}


def test_every_run_of_the_plan_has_its_result(done: Path) -> None:
    planned = {item["id"]: item for item in read_plan(done)["experiments"]}
    found = results(done)
    assert set(found) == set(planned)
    for name, result in found.items():
        item = planned[name]
        assert (result["kind"], result["tokens"], result["params"]) == (item["kind"], item["tokens"], item["params"])
        assert result["flop"] == pytest.approx(item["cost"]["flop"])
        assert read_json(done / "runs" / name / "spec.json", "keel.spec/1") == {"schema": "keel.spec/1", **item["spec"]}
        assert (done / "runs" / name / "model").is_dir() == (item["kind"] == "branch" and result["ok"])


def test_the_held_out_rung_was_sealed_before_it_began(done: Path) -> None:
    held_out = [item for item in read_plan(done)["experiments"] if item["held_out"]]
    branch = next(item for item in held_out if item["kind"] == "branch")
    folder = done / "runs" / branch["id"]
    if not (folder / "forecast.json").exists():
        pytest.fail("no forecast was sealed")
    sealed = json.loads((folder / "forecast.json").read_text())
    head = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert head["forecast_sha256"] == sha256_file(folder / "forecast.json")
    trunk = (done / "runs" / branch["trunk"] / "metrics.jsonl").read_text().splitlines()[1]
    assert (folder / "forecast.json").stat().st_mtime <= json.loads(trunk)["time"]
    assert {row["id"] for row in sealed["runs_seen"]}.isdisjoint(item["id"] for item in held_out)
    score = json.loads((folder / "score.json").read_text())
    assert score["measured"] == results(done)[branch["id"]]["bits_per_byte"]
    assert score["hit"] == (score["low"] <= score["measured"] <= score["high"])


def test_what_is_done_is_never_done_again(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {
        path: path.read_bytes() for path in (done / "runs").rglob("*") if path.name in ("result.json", "metrics.jsonl")
    }
    monkeypatch.setattr("keel.run.ladder.Pool", lambda *_, **__: pytest.fail("a worker was started"))
    answer = Ladder(done, load(done), quiet=True).run()
    assert len(answer.result["runs"]) == 9
    assert all(path.read_bytes() == content for path, content in before.items())


def test_an_edited_identity_is_refused(done: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done, tmp_path / "study"))
    path = sorted((folder / "runs").glob("w16-*/spec.json"))[0]
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with study_error("a run's identity was edited", str(path)):
        Ladder(folder, load(folder), quiet=True).run()


def test_a_changed_study_is_stale(done: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done, tmp_path / "study"))
    (folder / "study.toml").write_text(STUDY + "train.seed = 5\n")
    with study_error("set.train.seed: None -> 5", "keel plan"):
        Ladder(folder, load(folder))


@pytest.mark.parametrize(("skip", "only"), [(("w16",), None), ((), "nothing")])
def test_an_unknown_run_is_named(planned: Path, skip: tuple[str, ...], only: str | None) -> None:
    with study_error("no run is called", "plan.json does not name it", where=False):
        Ladder(planned, load(planned), skip, only)


def test_one_run_takes_its_trunk_along_and_skipping_a_trunk_its_branches(planned: Path) -> None:
    experiments = read_plan(planned)["experiments"]
    branch = next(item for item in experiments if item["kind"] == "branch")
    one = Ladder(planned, load(planned), only=branch["id"]).experiments
    assert [item["id"] for item in one] == [branch["trunk"], branch["id"]]
    rest = Ladder(planned, load(planned), skip=(branch["trunk"],)).experiments
    assert not [item for item in rest if branch["trunk"] in (item["id"], item["trunk"])]
    assert len(rest) == len(experiments) - 4


def test_dry_builds_everything_and_trains_nothing(planned: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(planned, tmp_path / "study"))
    answer = dry(folder, load(folder))
    assert answer.result["runs"] == len(read_plan(folder)["experiments"])
    assert answer.result["counts"] == {"clm": 512}
    assert not list((folder / "runs").glob("w*"))
    made = json.loads((folder / "plan.json").read_text())
    made["experiments"][0]["params"]["total"] += 1
    (folder / "plan.json").write_text(json.dumps(made))
    with study_error("would have", "the plan says"):
        dry(folder, load(folder))
