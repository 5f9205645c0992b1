"""Exported models are judged on the study's tasks: once, again when the file changes, never half."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import study, study_error

from keel import model
from keel.corpus.tokenizer import train, with_special
from keel.corpus.vocabulary import vocabulary_of
from keel.errors import Preempted
from keel.evaluate.tasks import TASKS
from keel.evaluate.tasks.subject import opened
from keel.evaluate.uses.case import Case
from keel.files import read_json, sha256_file, write_json
from keel.model.shapes import Size
from keel.run import asked, judging
from keel.run.parts import ids_of
from keel.run.pool import Task

pytestmark = pytest.mark.tensor
WORDS = {"warm": ("sun", "beach", "heat"), "cold": ("snow", "ice", "frost")}
TOKENIZER = train(["the sun on the beach in heat", "the snow and ice in frost"] * 20, 290)
FP32 = {"body": "fp32", "head": "fp32"}
USES = [
    {"name": "weather", "task": "text-classification", "eval": "rows.jsonl", "accept": 0.6},
    {"name": "told", "task": "question-answering", "eval": "rows.jsonl", "fields": {"answer": "label"}},
]


def rows(folder: Path, number: int = 200) -> None:
    made = [{"text": f"the {word} {place}", "label": label} for place in range(number // 6)
            for label, words in WORDS.items() for word in words]  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")


def run(folder: Path, name: str, width: int, tokens: int, trunk: str | None = None) -> dict[str, Any]:
    """A tiny encoder as a run leaves it, and its experiment."""
    known = vocabulary_of(TOKENIZER).with_special(("pad", "start", "mask"))
    kind = model.load("bert")
    size = Size(width=width, layers=1, vocabulary=known.size, context=24, head_width=8)
    made = kind.build(kind.shape(size), FP32, tokens, ids_of(known))
    kind.export(made, folder / "runs" / name / "model")
    (folder / "runs" / name / "model" / "tokenizer.json").write_text(with_special(TOKENIZER, known.special))
    count = sum(weight.numel() for weight in made.parameters())
    result = {"params": {"total": count}, "tokens": tokens, "spec_sha256": name}
    write_json(folder / "runs" / name / "result.json", "keel.result/1", result)
    write_json(folder / "runs" / name / "spec.json", "keel.spec/1", {"family": "bert", "size": {"context": 24}})
    spec = {"objective": "mlm", "options": {}, "family": "bert", "start": {"kind": "scratch"}}
    return {"id": name, "kind": "branch", "trunk": trunk, "spec": spec, "factors": {}, "baseline": None}


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, Any]:
    """Three models of two sizes, the middle one trained for less than the last."""
    rows(tmp_path)
    experiments = [run(tmp_path, *which) for which in (("small", 8, 100), ("short", 16, 50), ("large", 16, 100))]
    return {"experiments": experiments, "totals": {"side_by_side": 1}}


class Inline:
    """A pool whose worker is this process."""

    def __init__(self, *_: Any) -> None:
        self.interrupted = False

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None: ...

    def stop(self) -> None: ...

    def run(self, tasks: Sequence[Task], heard: Callable[[Task, dict[str, Any]], None]) -> None:
        for task in tasks:
            judging.judge(task.message, lambda seen: heard(task, seen), lambda: False)  # noqa: B023


def cases(folder: Path, uses: Sequence[dict[str, Any]] = USES) -> list[Case]:
    return asked.check(folder, study(use_case=list(uses)))


def no_pool(*_: Any) -> None:
    pytest.fail("a model was judged again")


def test_every_model_is_judged_once_and_again_after_the_file_changed(
    plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "Pool", Inline)
    problems, writes = asked.ask(tmp_path, cases(tmp_path), plan)
    assert sorted(writes) == ["runs/large/tasks.json", "runs/short/tasks.json", "runs/small/tasks.json",
                              "use_cases.json"]  # fmt: skip
    assert [problem.what for problem in problems] == ["'told' was not judged on 3 of 3 models"]
    assert problems[0].why == "an encoder writes no answers"
    entry = judging.read(tmp_path / "runs" / "large")["weather"]
    assert entry["eval_sha256"] == sha256_file(tmp_path / "rows.jsonl")
    assert entry["result"]["test"] == len(entry["result"]["items"]) > 20
    assert entry["accept"]["answer"] in ("met", "open", "missed")
    weather, told = read_json(tmp_path / "use_cases.json", asked.SCHEMA)["use_cases"]
    assert [(row["run"], row["stands"]) for row in weather["models"]] == [
        ("small", True), ("short", False), ("large", True),
    ]  # fmt: skip
    assert weather["headroom"] is False, "one word says it"
    assert told["said"].startswith("told: not judged: an encoder")

    monkeypatch.setattr(asked, "Pool", no_pool)
    again, written = asked.ask(tmp_path, cases(tmp_path), plan)
    assert (again, written) == (problems, ["use_cases.json"])
    stricter = [USES[0] | {"accept": 1.0, "margin": 0.5}, USES[1]]
    asked.ask(tmp_path, cases(tmp_path, stricter), plan)
    assert judging.read(tmp_path / "runs" / "small")["weather"]["accept"]["value"] == 1.0

    monkeypatch.setattr(asked, "Pool", Inline)
    rows(tmp_path, 240)
    assert len(asked.ask(tmp_path, cases(tmp_path), plan)[1]) == 4
    after = judging.read(tmp_path / "runs" / "large")["weather"]
    assert after["identity"] != entry["identity"]
    assert after["result"]["test"] != entry["result"]["test"]


def test_what_trains_judges_both_ends_and_arms_with_their_baseline(tmp_path: Path) -> None:
    sizes = [("a", 8, 100), ("b", 16, 50), ("c", 16, 100), ("d", 24, 100)]
    made = [run(tmp_path, *which) for which in sizes] + [run(tmp_path, "arm", 16, 90)]
    made[-1] |= {"kind": "single", "baseline": "c", "factors": {"objective": ["mlm", "rtd"]}}
    rows(tmp_path)
    models = asked.exported(tmp_path, made)
    tuned, probed = (cases(tmp_path, [USES[0] | {"how": how}])[0] for how in ("fine-tune", "probe"))
    assert {each.run for each in models if asked._wanted(tuned, each, models)} == {"a", "c", "d", "arm"}
    assert all(asked._wanted(probed, each, models) for each in models)
    assert asked._wanted(tuned, models[1], models[1:2])


def test_a_real_worker_judges(plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    plan["experiments"] = plan["experiments"][:1]
    assert asked.ask(tmp_path, cases(tmp_path, USES[:1]), plan)[0] == []
    there = judging.read(tmp_path / "runs" / "small")["weather"]
    torch.set_num_threads(1)
    subject = opened(tmp_path / "runs" / "small" / "model")
    here = judging.judged(subject, tmp_path, cases(tmp_path, USES[:1])[0], "small")
    assert there["result"]["items"] == here["result"]["items"]


def test_a_signal_ends_a_long_case_at_once_and_keeps_what_is_done(
    plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second case is cut off in its middle; the first stays, and the next run does the second alone."""
    both = cases(tmp_path, [USES[0], USES[0] | {"name": "tagged", "how": "few-shot"}])
    monkeypatch.setattr(judging, "TASKS", {**TASKS, "few-shot": f"{__name__}:endless"})
    message = asked._message(tmp_path, asked.exported(tmp_path, plan["experiments"])[0], both).message
    with pytest.raises(Preempted):
        judging.judge(message, lambda seen: None, lambda: False)
    assert list(judging.read(tmp_path / "runs" / "small")) == ["weather"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    monkeypatch.undo()
    monkeypatch.setattr(asked, "Pool", Inline)
    before = (tmp_path / "runs" / "small" / "tasks.json").read_bytes()
    asked.ask(tmp_path, both, plan)
    after = judging.read(tmp_path / "runs" / "small")
    assert set(after) == {"weather", "tagged"}
    assert json.loads(before)["use_cases"]["weather"] == after["weather"]


def endless(*_: Any, **__: Any) -> None:
    """An evaluator that is asked to end while it works."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it did not end"))
    signal.alarm(20)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            pass
    finally:
        signal.alarm(0)


def test_before_training_everything_wrong_is_told(
    plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    monkeypatch.setattr("keel.evaluate.uses.case.find_spec", lambda name: None)
    uses = [USES[0], USES[0] | {"name": "bad", "eval": "bad.jsonl"}, USES[0] | {"name": "far", "metric": "bleu"}]
    with study_error("scikit-learn is not installed", "no field for the answer", "gives no metric 'bleu'"):
        cases(tmp_path, uses)
    assert asked.ask(tmp_path, [], plan) == ([], [])
