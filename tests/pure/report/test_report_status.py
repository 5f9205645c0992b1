"""The status table: states, totals, the record of hits."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from report_fixture import build, points, trunk_of

from keel.files import write_json
from keel.report.status import status
from keel.run.lock import held


def states(folder: Path) -> dict[str, str]:
    """State of each run."""
    return {run["id"]: run["state"] for run in status(folder).result["runs"]}


def unfinish(folder: Path, name: str, age_s: float) -> None:
    """Take away a run's result, its log last written some time ago."""
    (folder / "runs" / name / "result.json").unlink()
    then = time.time() - age_s
    os.utime(folder / "runs" / name / "metrics.jsonl", (then, then))


def test_a_finished_study(whole: Path) -> None:
    answer = status(whole)
    lines = answer.text.splitlines()
    assert lines[0].split() == ["run", "state", "params", "tokens", "measured", "forecast", "outcome", "time"]
    top = next(line for line in lines if line.startswith(points()[-1][0]))
    assert top.split()[1:] == ["*", "done", "203k", "1.6M", "1.5055", "1.47-1.55", "hit", "1", "min", "18", "s"]
    assert answer.text.endswith("4 of 4 sealed forecasts held (intervals at 90 %)")
    assert answer.result["record"] == {"hits": 4, "scored": 4}
    assert answer.result["totals"]["left_runs"] == 0
    assert "runs: 18 done; spent: " in answer.text
    assert answer.text.isascii()
    json.dumps(answer.json("status", "ok"), allow_nan=False)
    assert not any(line.endswith(" ") for line in lines)


def test_states_without_a_lock(copy: Path) -> None:
    old, new, failed = (point[0] for point in points()[:3])
    unfinish(copy, old, 3600)
    unfinish(copy, new, 1)
    path = copy / "runs" / failed / "result.json"
    tree = json.loads(path.read_text()) | {"ok": False, "gate": {"name": "stalled", "why": "no better than chance"}}
    write_json(path, "keel.result/1", tree)
    found = states(copy)
    assert (found[old], found[new], found[failed]) == ("stopped", "running", "failed gate")
    assert f"  {failed}: stalled: no better than chance" in status(copy).text.splitlines()


def test_states_follow_the_lock(copy: Path) -> None:
    name = points()[0][0]
    unfinish(copy, name, 1)
    with held(copy):
        assert states(copy)[name] == "running"
    assert states(copy)[name] == "stopped"


def test_what_is_left(tmp_path: Path) -> None:
    folder = build(tmp_path, runs=3)
    total = status(folder).result["totals"]
    plan = json.loads((folder / "plan.json").read_text())
    done = {point[0] for point in points()[:3]} | {trunk_of(16), trunk_of(24)}
    left = [item for item in plan["experiments"] if item["id"] not in done]
    assert total["states"] == {"done": 5, "waiting": 13}
    assert total["left_runs"] == len(left) == 13
    assert total["left_s"] == pytest.approx(sum(item["cost"]["s"] for item in left))
    assert total["spent_s"] > 0
    assert "left: 13 runs, about " in status(folder).text


def test_a_study_without_a_plan(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('[data]\ntrain = "x.txt"\n')
    answer = status(tmp_path)
    assert answer.text.splitlines()[0] == "no runs: nothing is planned"
    assert "there is no plan (plan.json): keel plan" in answer.text
