"""`keel plan` settles how the study's tasks are judged, before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

from helpers import study_error

from keel.plan.verb import plan
from keel.study import load

USE = """
[[use_case]]
name = "kinds"
task = "text-classification"
eval = "kinds.jsonl"
fields = { answer = "kind" }
metric = "macro_f1"
"""


def with_task(folder: Path, more: str = "") -> Path:
    rows = [{"text": f"row {n}", "kind": "ab"[n % 2]} for n in range(80)]
    (folder / "kinds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with (folder / "study.toml").open("a", encoding="utf-8") as file:
        file.write(USE + more)
    return folder


def test_the_plan_says_how_and_gives_it_to_programs(looked: Path) -> None:
    folder = with_task(looked)
    answer = plan(folder, load(folder), "2026-01-01")
    assert "kinds: text-classification by probe, kinds.jsonl (text = text, answer = kind)" in answer.text
    assert answer.result["tasks"][0]["metric"] == "macro-F1"
    assert answer.result["tasks"][0]["labels"] == 2
    assert "kinds" not in json.loads((folder / "plan.json").read_text())["reads"], "a new file asks for no new plan"


def test_a_task_that_cannot_be_judged_leaves_no_plan(looked: Path) -> None:
    folder = with_task(looked, "shots = 3\n")
    with study_error("'probe' takes no 'shots'", "few-shot"):
        plan(folder, load(folder), "2026-01-01")
    assert not (folder / "plan.json").exists()
