"""Tasks on images before any training: files found, read and looked at, and all that is wrong told at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers import study, study_error
from pictures import encoded, png_header, scene

from keel.corpus.images.decode import glimpse
from keel.errors import StudyError
from keel.evaluate.uses import case as cases_file
from keel.evaluate.uses.case import Case, missing
from keel.evaluate.uses.material import material, prepared, sha256_of
from keel.evaluate.uses.table import UNSERVED, metric_of
from keel.evaluate.uses.template import sentences
from keel.plan import tasks
from keel.plan.tasks import asked
from keel.study import Study

ROWS = 40


def rows(folder: Path, field: str = "file_name", **more: str) -> Path:
    """Scenes in a folder beside the table, of two labels."""
    (folder / "eval" / "pictures").mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(ROWS):
        name = f"pictures/{number:02d}.png"
        (folder / "eval" / name).write_bytes(encoded(scene(number, 16)))
        made.append({field: name, "label": "ab"[number % 2], "caption": f"scene {number}", **more})
    write(folder, made)
    return folder


def write(folder: Path, made: list[dict[str, Any]]) -> None:
    (folder / "eval" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")


def asking(**use: Any) -> Study:
    return study(use_case=[{"name": "u", "task": "image-classification", "eval": "eval/rows.jsonl", **use}])


def one(folder: Path, **use: Any) -> Case:
    return prepared(folder, asking(**use)).cases[0]


@pytest.mark.parametrize(("task", "how", "metric", "answer"), [
    ("image-classification", "image-probe", "accuracy", "label"),
    ("image-feature-extraction", "image-probe", "accuracy", "label"),
    ("zero-shot-image-classification", "zero-shot", "accuracy", "label"),
    ("image-text-retrieval", "image-retrieval", "recall@1", "caption"),
    ("image-to-text", "captioning", "CIDEr-D", "caption"),
])  # fmt: skip
def test_tasks_on_images_are_served_and_their_fields_found(
    task: str, how: str, metric: str, answer: str, tmp_path: Path
) -> None:
    found = one(rows(tmp_path), task=task)
    assert (found.how, found.metric) == (how, metric)
    assert found.fields == {"text": "file_name", "answer": answer}
    assert task not in UNSERVED


def test_paths_are_beside_the_table_and_the_plan_says_how_each_is_judged(tmp_path: Path) -> None:
    (row, *_), _ = material(rows(tmp_path), one(tmp_path)).given
    assert Path(row.text).is_file()
    assert Path(row.text).parent == tmp_path / "eval" / "pictures"
    said = "\n".join(asked(tmp_path, asking(task="zero-shot-image-classification", accept=0.5)).lines)
    for words in ("zero-shot-image-classification by zero-shot", "text = file_name, answer = label",
                  f"{ROWS} to be judged by, 2 labels", "a photo of a {answer}.", "accept 0.5"):  # fmt: skip
        assert words in said
    assert "to learn from" not in said
    probed = asked(tmp_path, asking()).result[0]
    assert probed["train"] + probed["test"] == ROWS
    assert 0 < probed["test"] < ROWS / 2


def test_a_task_that_sees_no_images_reads_the_same_field_as_text(tmp_path: Path) -> None:
    """The path is a text like any other there: nothing is looked for on the disk."""
    write(rows(tmp_path), [{"text": f"nowhere/{number}.png", "label": "ab"[number % 2]} for number in range(60)])
    found = one(tmp_path, task="text-classification")
    assert found.how == "probe"
    assert material(tmp_path, found).given.train[0].text.startswith("nowhere/")


def test_everything_wrong_with_the_images_is_told_at_once_with_its_file(tmp_path: Path) -> None:
    rows(tmp_path)
    at = tmp_path / "eval" / "pictures"
    (at / "00.png").unlink()
    (at / "01.png").write_bytes(b"")
    (at / "02.png").write_bytes(b"<html>not found</html>")
    (at / "03.png").write_bytes(png_header(60_000, 60_000))
    (at / "04.png").unlink()
    (at / "04.png").mkdir()
    with study_error("2 x the image cannot be read", "No such file", "the file is empty", "no image that is known",
                     "too large to be trusted", "00.png", "01.png", "02.png", "03.png", "04.png") as seen:  # fmt: skip
        asked(tmp_path, asking())
    assert len(seen[0].problems) == 4
    assert all("rows.jsonl" in problem.where for problem in seen[0].problems)


def test_the_plan_looks_at_headers_and_the_run_at_all(tmp_path: Path) -> None:
    whole = encoded(scene(1, 48))
    assert glimpse(whole[:100]) is None
    path = rows(tmp_path) / "eval" / "pictures" / "05.png"
    path.write_bytes(whole[: len(whole) // 2])
    assert asked(tmp_path, asking()).problems == []
    with study_error("truncated or damaged", "05.png"):
        prepared(tmp_path, asking())


def test_equal_images_stay_on_one_side_whatever_they_are_called(tmp_path: Path) -> None:
    """Each image twice under two names: by names a fifth of the twins would be split."""
    rows(tmp_path)
    at = tmp_path / "eval" / "pictures"
    for number in range(ROWS):
        shutil.copy(at / f"{number:02d}.png", at / f"twin-{number}.png")
    twins = [{"image": f"pictures/{name}", "label": "ab"[number % 2]} for number in range(ROWS)
             for name in (f"{number:02d}.png", f"twin-{number}.png")]  # fmt: skip
    write(tmp_path, twins)
    sides = [{row.text for row in side} for side in material(tmp_path, one(tmp_path)).given]
    assert not sides[0] & sides[1]
    assert sum(map(len, sides)) == ROWS, "equal files are one"


def test_a_moved_study_is_split_in_the_same_way(tmp_path: Path) -> None:
    sides = []
    for name in ("here", "there"):
        folder = rows(tmp_path / name)
        sides.append([[Path(row.text).name for row in side] for side in material(folder, one(folder)).given])
    assert sides[0] == sides[1]


def test_a_score_hangs_on_the_images_too(tmp_path: Path) -> None:
    case = one(rows(tmp_path))
    before = sha256_of(tmp_path, case)
    assert before == sha256_of(tmp_path, case)
    (tmp_path / "eval" / "pictures" / "07.png").write_bytes(encoded(scene(99, 16)))
    assert sha256_of(tmp_path, case) != before


def test_many_images_are_left_to_the_run_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "PLAN_BYTES", 100_000)
    rows(tmp_path)
    (tmp_path / "eval" / "pictures" / "00.png").unlink()
    (problem,) = asked(tmp_path, asking()).problems
    assert (problem.what, problem.why) == ("the rows of eval/rows.jsonl are not read yet", "it is over 1 kB")


@pytest.mark.parametrize(("use", "words"), [
    ({"prompt": "a {answer}"}, "'image-probe' takes no 'prompt'"),
    ({"task": "zero-shot-image-classification", "prompt": "{text} {answer}"}, "holds {text}"),
    ({"task": "zero-shot-image-classification", "prompt": "a {answer} | a thing"}, "holds {answer} 0 times"),
    ({"task": "zero-shot-image-classification", "shots": 2}, "'zero-shot' takes no 'shots'"),
    ({"task": "image-text-retrieval", "metric": "accuracy"}, "recall@1, recall@10, MRR, or recall@k"),
    ({"task": "image-classification", "how": "zero-shot"}, "it is by: image-probe, image-fine-tune"),
    ({"fields": {"text": "picture"}}, "no field 'picture'"),
])  # fmt: skip
def test_what_cannot_be_is_told(use: dict[str, Any], words: str, tmp_path: Path) -> None:
    with study_error(words):
        one(rows(tmp_path), **use)


def test_prompts_are_sentences_around_names(tmp_path: Path) -> None:
    two = "a {answer} | {answer}, drawn"
    found = one(rows(tmp_path), task="zero-shot-image-classification", prompt=two)
    assert found.settings == {"forms": two}
    assert sentences(two) == ("a {answer}", "{answer}, drawn")
    assert metric_of("image-retrieval", "recall@5") == "recall@5"
    assert one(tmp_path, task="image-text-retrieval", metric="recall@5").settings == {"ks": [1, 5, 10]}


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases_file, "find_spec", lambda name: None)
    found = missing([one(rows(tmp_path)), one(tmp_path, task="image-to-text")])
    assert {problem.what.split()[0]: problem.fix for problem in found} == {
        "scikit-learn": "pip install 'keel[eval]'", "rouge-score": "pip install 'keel[eval]'",
        "sacrebleu": "pip install 'keel[eval]'", "pillow": "pip install 'keel[images]'",
    }  # fmt: skip


def test_one_label_or_one_caption_is_nothing_to_choose_from(tmp_path: Path) -> None:
    rows(tmp_path)
    write(tmp_path, [{"image": f"pictures/{n:02d}.png", "label": "a", "caption": "x"} for n in range(ROWS)])
    for task in ("zero-shot-image-classification", "image-text-retrieval"):
        with pytest.raises(StudyError, match="nothing to choose from"):
            one(tmp_path, task=task)
