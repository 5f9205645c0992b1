"""Arms stand apart from the ladder, each value in the unit of its own judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keel.files import read_json, write_json
from keel.report.page import report
from keel.report.status import status

ARMS = [
    {"id": "mlm-w48-L2-1.9M-aa", "kind": "single", "why": "the loss mlm in place of clm", "cost": {"s": 9.0}},
    {"id": "rtd-w48-L2-1.2M-bb", "kind": "single", "why": "the loss rtd in place of clm", "cost": {"s": 9.0}},
]


@pytest.fixture
def with_arms(copy: Path) -> Path:
    """A finished study whose plan has two arms, one of them run."""
    plan: dict[str, Any] = read_json(copy / "plan.json", "keel.plan/1")
    base = plan["experiments"][-1]["id"]
    runs = [arm | {"baseline": base, "trunk": None, "params": {"total": 50_000}, "tokens": 1e6} for arm in ARMS]
    write_json(copy / "plan.json", "keel.plan/1", plan | {"arms": {"runs": runs, "totals": {}, "problems": []}})
    return copy


def run_one(folder: Path) -> None:
    done = folder / "runs" / ARMS[0]["id"] / "result.json"
    write_json(done, "keel.result/1", {
        "id": ARMS[0]["id"], "kind": "single", "objective": "mlm", "judge": "masked_bits_per_byte", "tokens": 1_900_000,
        "params": {"total": 50_000}, "flop": 1e11, "bits_per_byte": 0.9876, "ok": True, "gate": None,
    })  # fmt: skip


def test_arms_that_wait_are_named_and_those_begun_have_a_table(with_arms: Path) -> None:
    before = status(with_arms)
    assert "2 arms planned, not run: keel run --arms" in before.text
    run_one(with_arms)
    answer = status(with_arms)
    assert "0.9876 masked bits per byte  the loss mlm in place of clm" in answer.text
    assert [arm["id"] for arm in answer.result["arms"]] == [ARMS[0]["id"]]
    assert answer.result["arms"][0]["judge"] == "masked bits per byte"
    assert [run["id"] for run in answer.result["runs"]] == [run["id"] for run in before.result["runs"]]
    json.dumps(answer.result, allow_nan=False)


def test_the_page_shows_them_and_no_figure_of_the_ladder_does(with_arms: Path) -> None:
    report(with_arms)
    before = (with_arms / "report.html").read_text()
    assert "The arms" not in before
    run_one(with_arms)
    report(with_arms)
    page = (with_arms / "report.html").read_text()
    assert page.count("0.9876") == 1, "in the arms' table alone"
    assert "masked bits per byte" in page
    assert page.count("<svg") == before.count("<svg")


def test_a_ladder_of_masked_models_is_never_called_bits_per_byte(copy: Path) -> None:
    plan = read_json(copy / "plan.json", "keel.plan/1")
    write_json(copy / "plan.json", "keel.plan/1", plan | {"judge": "masked_bits_per_byte"})
    for path in [*copy.glob("runs/*/forecast.json"), copy / "fit.json"]:
        tree = json.loads(path.read_text().replace('"bits_per_byte"', '"masked_bits_per_byte"'))
        path.write_text(json.dumps(tree))
    assert "measured in masked bits per byte" in status(copy).text
    report(copy)
    page = (copy / "report.html").read_text()
    assert "masked bits per byte" in page
    assert page.count("bits per byte") == page.count("masked bits per byte")
