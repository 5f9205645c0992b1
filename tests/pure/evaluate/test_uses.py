"""The user's tasks before any training: how each is judged is settled, and all that is wrong is told at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import study, study_error

from keel.evaluate.tasks import TASKS as CALLS
from keel.evaluate.uses import case as cases_file
from keel.evaluate.uses.case import MARGIN, Case, missing, unserved
from keel.evaluate.uses.material import material, prepared
from keel.evaluate.uses.table import EVALUATORS, UNSERVED, USES, metric_of
from keel.evaluate.uses.template import CHECKS
from keel.plan.tasks import asked
from keel.study import TASKS, Study


def rows(folder: Path, name: str = "rows.jsonl", **fields: int) -> Path:
    """Sixty rows of two labels; `fields` are further ones, of so many values."""
    more = [{name: f"{name} {n % values}" for name, values in fields.items()} for n in range(60)]
    made = [{"text": f"row {n}", "label": "ab"[n % 2], **more[n]} for n in range(60)]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return folder


def one(folder: Path, **use: Any) -> Case:
    return prepared(folder, asking(**use)).cases[0]


def asking(**use: Any) -> Study:
    return study(use_case=[{"name": "u", "task": "text-classification", "eval": "rows.jsonl", **use}])


def test_every_task_of_a_study_has_evaluators_or_is_called_unserved() -> None:
    assert set(USES) | set(UNSERVED) == set(TASKS)
    assert set(EVALUATORS) == set(CALLS)
    for task, ways in USES.items():
        for how, prompt in ways.items():
            assert how in EVALUATORS, task
            assert bool(prompt) == ("prompt" in EVALUATORS[how].takes), how
            if prompt:
                CHECKS[EVALUATORS[how].prompts](prompt)


def test_what_is_not_said_is_found_or_stated(tmp_path: Path) -> None:
    found = one(rows(tmp_path, group=30))
    assert (found.how, found.metric, found.margin) == ("probe", "accuracy", MARGIN)
    assert "convention" in found.margin_source
    assert found.fields == {"text": "text", "answer": "label", "group": "group"}
    assert found.settings == {}


def test_what_is_said_is_taken(tmp_path: Path) -> None:
    fields = {"text": "body", "answer": "kind"}
    found = one(rows(tmp_path, body=60, kind=2), fields=fields, how="few-shot", shots=2, metric="macro_f1",
                prompt="{text} is {answer}", margin=0.1)  # fmt: skip
    assert found.fields == fields
    assert found.settings == {"each": 2, "form": "{text} is {answer}"}
    assert (found.metric, found.margin, found.margin_source) == ("macro-F1", 0.1, "yours")


def test_recall_at_any_depth_is_asked_of_the_evaluator(tmp_path: Path) -> None:
    found = one(rows(tmp_path), task="retrieval", fields={"answer": "label"}, metric="recall@5")
    assert (found.metric, found.settings) == ("recall@5", {"ks": [1, 5, 10]})
    with study_error("no metric 'ndcg@10'", "MRR, recall@1, recall@10, or recall@k"):
        metric_of("retrieval", "ndcg@10")


@pytest.mark.parametrize(("use", "words"), [
    ({"metric": "bleu"}, "it gives: accuracy, macro-F1"),
    ({"how": "retrieval"}, "it is by: probe, fine-tune, few-shot"),
    ({"how": "few shot"}, "did you mean 'few-shot'"),
    ({"shots": 2}, "'probe' takes no 'shots'"),
    ({"prompt": "{text}"}, "'probe' takes no 'prompt'"),
    ({"how": "few-shot", "prompt": "{text}"}, "holds {answer} 0 times"),
    ({"task": "translation"}, "needs its two languages"),
    ({"accept": 62}, "can never be met"),
    ({"fields": {"answer": "lable"}}, "did you mean 'label'"),
    ({"fields": {"text": "label"}}, "both text and answer"),
    ({"eval": "none.jsonl"}, "the eval file is not there"),
    ({"eval": "rows.txt"}, "of no kind that has rows"),
    ({"task": "retrieval", "fields": {"answer": "nothing"}}, "no field 'nothing'"),
])  # fmt: skip
def test_what_cannot_be_is_told_with_its_place(use: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("text", encoding="utf-8")
    with study_error(words, "use_case.0 (u)"):
        one(rows(tmp_path), **use)


def test_all_is_told_at_once(tmp_path: Path) -> None:
    rows(tmp_path)
    (tmp_path / "one.jsonl").write_text('{"text": "x", "label": "a"}\n' * 40, encoding="utf-8")
    kind = {"task": "text-classification"}
    three = [{"name": "u", **kind, "eval": "rows.jsonl", "metric": "f9", "accept": 7, "shots": 1},
             {"name": "v", "task": "summarization", "eval": "gone.jsonl"},
             {"name": "w", **kind, "eval": "one.jsonl"}]  # fmt: skip
    with study_error("f9", "never be met", "takes no 'shots'", "is not there", "no row is left") as seen:
        asked(tmp_path, study(use_case=three))
    assert len(seen[0].problems) == 5


def test_two_use_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    with study_error("two use cases are called 'u'"):
        prepared(rows(tmp_path), study(use_case=[*asking().model_dump()["use_case"]] * 2))


def test_a_task_that_nothing_serves_is_said_and_the_others_are_judged(tmp_path: Path) -> None:
    both = study(use_case=[*asking().model_dump()["use_case"], {"name": "v", "task": "sts", "eval": "pairs.jsonl"}])
    found = asked(rows(tmp_path), both)
    assert [case["name"] for case in found.result] == ["u"]
    assert "'v' (sts) is not judged on pairs.jsonl" in found.problems[0].what
    assert unserved(asking()) == []


def test_the_plan_shows_fields_sizes_metric_and_margin(tmp_path: Path) -> None:
    said = "\n".join(asked(rows(tmp_path), asking(accept=0.7)).lines)
    for words in ("u: text-classification by probe, rows.jsonl (text = text, answer = label)", "2 labels",
                  "to learn from", "accuracy, accept 0.7", "worse by 0.02 (convention)"):  # fmt: skip
        assert words in said
    assert asked(tmp_path, study()).lines == []


def test_a_large_file_is_left_to_the_run_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keel.plan.tasks.PLAN_BYTES", 10)
    found = asked(rows(tmp_path), asking())
    assert "not read yet" in found.problems[0].what
    assert "train" not in found.result[0]


def test_a_missing_library_is_one_line_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases_file, "find_spec", lambda name: None)
    found = missing([one(rows(tmp_path)), one(tmp_path, task="question-answering", fields={"answer": "label"})])
    assert [problem.what for problem in found] == [
        f"{name} is not installed" for name in ("scikit-learn", "rouge-score", "sacrebleu")
    ]
    assert {problem.fix for problem in found} == {"pip install 'keel[eval]'"}


def test_identity_hangs_on_what_a_score_hangs_on(tmp_path: Path) -> None:
    base = one(rows(tmp_path))
    same = [base._replace(margin=0.5), base._replace(accept=0.9), base._replace(name="other")]
    other = [base._replace(metric="macro-F1"), base._replace(how="fine-tune"), base._replace(fields={}),
             base._replace(settings={"each": 1})]  # fmt: skip
    assert {case.identity("e", "s") for case in same} == {base.identity("e", "s")}
    seen = {case.identity("e", "s") for case in other} | {base.identity("f", "s"), base.identity("e", "t")}
    assert len(seen - {base.identity("e", "s")}) == 6


def test_sentences_and_lists_are_material_too(tmp_path: Path) -> None:
    tagged = [{"tokens": ["a", f"w{n}"], "tags": ["x", "y"], "group": f"g{n // 2}"} for n in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tagged), encoding="utf-8")
    case = one(tmp_path, task="token-classification")
    found = material(tmp_path, case)
    assert (case.how, found.labels, found.train + found.test) == ("tagging", 2, 120)
    sides = [{sentence.group for sentence in side} for side in found.given]
    assert not sides[0] & sides[1]
    with study_error("there is nothing to choose from", "u: "):
        one(rows(tmp_path, query=60, answer=1), task="retrieval")
