"""Errors carry every problem with its remedy."""

from __future__ import annotations

import io
import threading
import time

import pytest

from keel.answer import Answer, Number
from keel.errors import Problem, Refusal, Refused, StudyError, nearest
from keel.progress import Progress, track, waiting


def test_one_problem_in_words() -> None:
    error = StudyError("budget is negative", why="-5 USD", fix="write a positive number", where="study.toml")
    assert str(error) == "study.toml: budget is negative\n  why  -5 USD\n  fix  write a positive number"
    assert error.args == ("budget is negative",)


def test_several_problems_are_kept_in_order() -> None:
    problems = [Problem(f"p{n}", "w", "f", "x") for n in range(3)]
    error = StudyError.all(iter(problems))
    assert error.problems == tuple(problems)
    assert [line for line in str(error).splitlines() if line.startswith("x: ")] == ["x: p0", "x: p1", "x: p2"]


def test_an_error_without_a_problem_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        StudyError.all([])


def test_a_refusal_is_not_a_study_error() -> None:
    refused = Refused(Refusal("no", "because", "bring more"))
    assert not isinstance(refused, StudyError)
    assert refused.refusal.fix == "bring more"


def test_nearest_names_the_likeliest_or_all() -> None:
    assert nearest("bugdet", ["budget", "data"]) == "did you mean 'budget'?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"


def test_an_answer_prints_one_shape() -> None:
    answer = Answer(numbers=[Number("n", 3, inputs={"a": 1})], problems=[Problem("w", "y", "f")])
    tree = answer.json("plan", "ok")
    assert list(tree) == ["keel", "command", "status", "result", "numbers", "problems", "reads", "writes"]
    assert list(tree["numbers"][0]) == [
        "name", "value", "unit", "low", "high", "formula", "inputs", "source", "valid", "outside", "yours"]  # fmt: skip
    assert tree["problems"] == [{"what": "w", "why": "y", "fix": "f", "where": ""}]


def test_progress_is_silent_until_it_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), [0.0]
    monkeypatch.setattr("keel.progress.time.monotonic", lambda: now[0])
    progress = Progress("work", 10, stream=stream)
    progress.update(5)
    assert stream.getvalue() == ""
    now[0] = 6.0
    progress.update(5, "half")
    assert stream.getvalue() == "work   50%  half  eta 6 s\n"
    progress.close("all")
    assert stream.getvalue().splitlines()[-1] == "work  all  6 s"


def test_track_yields_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(5), "items", 5)) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err.startswith("items  ")


def test_waiting_shows_the_clock_and_ends_with_its_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("keel.progress.PLAIN_S", 0.0)
    monkeypatch.setattr("keel.progress.LIVE_S", 0.01)
    before = threading.active_count()
    with waiting("probe", 0.05):
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert threading.active_count() == before
    assert lines[-2].startswith("probe   95%")
    assert lines[-1].startswith("probe  ")
