"""A study whose data are stated: a plan without evidence, no run, and `look` that replaces the statement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import FAKE_MACHINE, study_error
from typer.testing import CliRunner

from keel import cli
from keel.errors import Refused
from keel.files import write_json, write_text
from keel.plan.verb import plan, read_ladder, read_plan, stale
from keel.study import load

DAY = "2026-11-24"
STUDY = """[data]
{train}
[data.stated]
bytes = 20e9
languages = ["en"]
[[use_case]]
name = "search"
task = "retrieval"
"""


def stated(folder: Path, train: str = "", more: str = "") -> Path:
    write_text(folder / "study.toml", STUDY.format(train=train) + more)
    return folder


def run(*arguments: str) -> tuple[int, Any]:
    done = CliRunner().invoke(cli.app, [*arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)


def numbers(folder: Path) -> set[str]:
    return {number["name"] for number in read_plan(folder)["numbers"]}


def test_a_statement_makes_a_plan_without_evidence_and_says_so(tmp_path: Path) -> None:
    code, tree = run("plan", "--study", str(stated(tmp_path)), "--as-of", DAY)
    assert (code, tree["status"], tree["writes"]) == (0, "ok", ["plan.json"])
    assert tree["reads"] == ["study.toml"]
    assert tree["result"]["route"] == "continue"
    assert "the data are stated, not measured" in {problem["what"] for problem in tree["problems"]}
    made = read_plan(tmp_path)
    assert (made["experiments"], made["reads"]) == ([], {})
    assert made["decision"]["data"]["stated"]


def test_it_is_a_pure_function_of_the_study_and_the_day(tmp_path: Path) -> None:
    for name in "ab":
        plan(stated(tmp_path / name), load(tmp_path / name), DAY)
    assert (tmp_path / "a" / "plan.json").read_bytes() == (tmp_path / "b" / "plan.json").read_bytes()


def test_a_run_of_it_is_refused_with_what_to_do(tmp_path: Path) -> None:
    plan(stated(tmp_path), load(tmp_path), DAY)
    code, tree = run("run", "--study", str(tmp_path))
    assert (code, tree["status"]) == (3, "refused")
    assert tree["problems"][0]["what"] == "the plan has no runs"
    assert "keel look" in tree["problems"][0]["fix"]
    with pytest.raises(Refused):
        read_ladder(tmp_path)


def test_evidence_replaces_the_statement(looked: Path) -> None:
    stated(looked, 'train = "corpus"')
    plan(looked, load(looked), DAY)
    data = read_plan(looked)["decision"]["data"]
    assert not data["stated"]
    assert data["source"].startswith("evidence/corpus.json in place of what [data] stated says")
    assert data["bytes"] < 1e9
    assert read_plan(looked)["experiments"]


def test_a_plan_of_stated_data_is_stale_once_the_study_changes(tmp_path: Path) -> None:
    plan(stated(tmp_path), load(tmp_path), DAY)
    assert stale(tmp_path, load(tmp_path), read_plan(tmp_path)) == []
    stated(tmp_path, more='[limits]\nlicence = "permissive"\n')
    assert [problem.what for problem in stale(tmp_path, load(tmp_path), read_plan(tmp_path))] == [
        "the study has changed since the plan"
    ]


def test_this_machine_gives_hours_without_a_price(tmp_path: Path) -> None:
    stated(tmp_path, more='[limits]\nhardware = "here"\n')
    with study_error("this machine is not measured", "keel look"):
        plan(tmp_path, load(tmp_path), DAY)
    write_json(tmp_path / "evidence" / "machine.json", "keel.machine/1", FAKE_MACHINE)
    plan(tmp_path, load(tmp_path), DAY)
    made = read_plan(tmp_path)
    cost = made["decision"]["cost"]
    assert (cost["usd"], cost["devices"], cost["hardware"]) == (None, 1, "here")
    assert 0 < cost["hours_low"] < cost["hours"] < cost["hours_high"]
    assert list(made["reads"]) == ["evidence/machine.json"], "what was read is what makes the plan stale"
    assert {"cost.flop", "cost.hours"} <= numbers(tmp_path)
    assert "cost.usd" not in numbers(tmp_path)


def test_without_a_statement_evidence_is_asked_for(tmp_path: Path) -> None:
    write_text(tmp_path / "study.toml", '[data]\ntrain = "corpus"\n')
    with study_error("evidence/corpus.json is missing", "keel look", "stated"):
        plan(tmp_path, load(tmp_path), DAY)


def test_rows_of_an_eval_file_count_as_examples(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": f"text number {place} of a shop", "label": "ab"[place % 2]}) + "\n"
                   for place in range(200))  # fmt: skip
    write_text(tmp_path / "tags.jsonl", rows)
    write_text(tmp_path / "study.toml", '[data.stated]\nbytes = 2e6\nlanguages = ["en"]\n[[use_case]]\nname = "tags"\n'
               'task = "text-classification"\neval = "tags.jsonl"\n')  # fmt: skip
    _, tree = run("plan", "--study", str(tmp_path), "--as-of", DAY)
    assert tree["result"]["route"] == "fine-tune", tree
    assert "rows of 'tags' can fine-tune" in tree["result"]["why"]["route"]["why"]
    assert tree["result"]["cost"]["tokens"] < 3 * 200 * 512
