"""The command: its verbs, its exit codes, its one JSON shape; bad input never shows a traceback."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import keel, write_texts
from typer.testing import CliRunner

from keel import cli
from keel import outcome as ends
from keel.answer import Answer
from keel.errors import Preempted, Refusal, Refused, Stopped, StudyError

VERBS = ("new", "look", "plan", "run", "fit", "report", "status", "doctor", "demo")
SHAPE = ["keel", "command", "status", "result", "numbers", "problems", "reads", "writes"]


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, list(arguments))


def test_help_lists_the_verbs_at_once(tmp_path: Path) -> None:
    best = 9.0
    for _ in range(3):
        started_s = time.perf_counter()
        shown = keel("--help", cwd=tmp_path).stdout
        best = min(best, time.perf_counter() - started_s)
    assert all(re.search(rf"^\s*{verb}\s", shown, re.M) for verb in VERBS)
    assert best < 2.0


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    done = invoke(verb, "--help")
    assert done.exit_code == 0
    assert "--json" in done.output


@pytest.mark.parametrize(
    "arguments",
    [("look",), ("plan",), ("run",), ("run", "--dry"), ("status",), ("report",), ("fit",), ("fit", "no.csv"),
     ("new", "nowhere"), ("fit", "--level", "2"), ("plan", "--why", "weather"), ("plan", "--set", "nonsense")],
)  # fmt: skip
def test_bad_input_is_exit_2_in_one_shape(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments, "--json")
    tree = json.loads(done.stdout)
    assert (done.exit_code, tree["status"], tree["command"]) == (2, "invalid", arguments[0])
    assert list(tree) == SHAPE
    assert tree["keel"] == 1
    assert tree["problems"]
    for problem in tree["problems"]:
        assert list(problem) == ["what", "why", "fix", "where"]
        assert problem["what"]
        assert problem["why"]
        assert problem["fix"]
    assert "Traceback" not in done.output


def test_bad_input_in_words(tmp_path: Path) -> None:
    done = keel("plan", cwd=tmp_path, code=2)
    assert "no study here" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stdout == ""


def test_all_problems_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text('[data]\ntrian = "x"\n[budget]\ncompute_usd = -1\n')
    assert len(json.loads(invoke("look", "--json").stdout)["problems"]) == 3


def test_a_plan_in_both_shapes(looked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(looked)
    done = invoke("plan", "--as-of", "2026-01-01")
    assert done.exit_code == 0, done.output
    assert "wrote   plan.json" in done.stdout
    tree = json.loads(invoke("plan", "--json", "--set", "train.seed=7").stdout)
    assert (tree["status"], tree["writes"]) == ("ok", ["plan.json"])
    assert {"no use case is said", "no budget is given"} <= {problem["what"] for problem in tree["problems"]}
    assert [number["value"] for number in tree["numbers"] if number["yours"]] == [7]
    assert [number["name"] for number in tree["numbers"] if number["yours"]] == ["train.seed"]


def test_why_shows_the_numbers_of_one_topic(looked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(looked)
    shown = invoke("plan", "--why", "size").stdout
    assert "ladder.widths = [" in shown
    assert "    formula " in shown
    assert "train.seed" not in shown


def test_too_small_a_corpus_is_exit_3(looked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(looked)
    done = invoke("plan", "--json", "--set", "train.batch_tokens=128000")
    tree = json.loads(done.stdout)
    assert (done.exit_code, tree["status"]) == (3, "refused")
    assert "too small" in tree["problems"][0]["what"]
    assert "bring about" in tree["problems"][0]["fix"]


def test_an_unknown_setting_names_the_nearest(looked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(looked)
    done = invoke("plan", "--json", "--set", "train.sede=1", "--set", "nothing=1")
    problems = json.loads(done.stdout)["problems"]
    assert done.exit_code == 2
    assert len(problems) == 2
    assert problems[0]["fix"] == "did you mean 'train.seed'?"


def outcome(error: BaseException) -> tuple[Any, str]:
    def work() -> Answer:
        raise error

    return ends.outcome("plan", work)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StudyError("w", why="y", fix="f"), "invalid", 2),
        (Refused(Refusal("w", "y", "f")), "refused", 3),
        (Preempted(), "preempted", 75),
        (Stopped(), "stopped", 130),
        (KeyboardInterrupt(), "stopped", 130),
        (MemoryError(), "invalid", 2),
        (OSError(28, "No space left on device", "x"), "invalid", 2),
    ],
)
def test_every_end_has_its_exit_code(error: BaseException, status: str, code: int) -> None:
    answer, found = outcome(error)
    assert (found, ends.EXIT[found]) == (status, code)
    assert answer.problems[0].fix


def test_a_bug_of_ours_is_exit_1_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    answer, found = outcome(ZeroDivisionError("x"))
    assert (found, ends.EXIT[found]) == ("bug", 1)
    assert "a bug of ours" in answer.problems[0].why
    assert "Traceback" in capsys.readouterr().err


def test_look_measures_and_plan_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers import FAKE_MACHINE

    write_texts(tmp_path / "text")
    (tmp_path / "study.toml").write_text('[data]\ntrain = "text"\n')
    monkeypatch.setattr("keel.corpus.look.machine", lambda *_: dict(FAKE_MACHINE))
    monkeypatch.chdir(tmp_path)
    done = invoke("look", "--json")
    tree = json.loads(done.stdout)
    assert (done.exit_code, tree["status"]) == (0, "ok")
    assert tree["writes"] == ["evidence/corpus.json", "evidence/machine.json", "evidence/tokenizer.json"]
    assert {number["name"] for number in tree["numbers"]} >= {"documents", "bytes", "characters", "words"}
    assert invoke("plan").exit_code == 0
    assert invoke("status", "--json").exit_code == 0
