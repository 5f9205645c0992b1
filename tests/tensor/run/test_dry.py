"""`keel run --dry` for losses of every kind: what is planned is what the library builds, and a real batch is formed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import SMALL_STUDY, planned_study, study_error

from keel.files import read_json, write_text
from keel.plan.verb import plan
from keel.run.dry import dry
from keel.study import load

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planned_study(tmp_path_factory.mktemp("planned"), SMALL_STUDY)


@pytest.mark.parametrize("loss", ["clm", "mlm", "nsp", "sop", "rtd", "rtd-v3", "span_corruption", "bart", "alexatm"])
def test_the_plan_s_parameters_are_the_library_s(loss: str, planned: Path) -> None:
    write_text(planned / "study.toml", SMALL_STUDY + f'train.loss = "{loss}"\n')
    asked = load(planned)
    plan(planned, asked, "2026-01-01")
    answer = dry(planned, asked)
    assert any(count > 0 for count in answer.result["counts"].values())  # generated text has no sentences to pair
    runs = read_json(planned / "plan.json", "keel.plan/1")["experiments"]
    assert answer.result["runs"] == len(runs)
    assert all(f"{item['params']['total']:,} parameters" in answer.text for item in runs)


def test_a_count_that_differs_is_said(planned: Path) -> None:
    write_text(planned / "study.toml", SMALL_STUDY + 'train.loss = "mlm"\n')
    asked = load(planned)
    plan(planned, asked, "2026-01-01")
    made = json.loads((planned / "plan.json").read_text())
    made["experiments"][0]["params"]["total"] += 1
    write_text(planned / "plan.json", json.dumps(made))
    with study_error("would have", "plan.json"):
        dry(planned, asked)
