"""Labelled rows: read whole or refused by name; split by hash, so that nothing else moves a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import study_error

from keel.evaluate.uses.rows import Row, Split, check_classes, groups_of, read, split


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_of_jsonl_and_csv_are_the_same(tmp_path: Path) -> None:
    rows = [{"body": "one, two", "kind": "a", "page": 1}, {"body": "\u4e2d", "kind": "b", "page": 2}]
    path = tmp_path / "rows.csv"
    path.write_text('body,kind,page\n"one, two",a,1\n\u4e2d,b,2\n', encoding="utf-8")
    found = read(written(tmp_path / "rows.jsonl", rows), "body", "kind", "page")
    assert [row[:3] for row in found] == [("one, two", "a", "1"), ("\u4e2d", "b", "2")]
    assert [row[:3] for row in read(path, "body", "kind", "page")] == [row[:3] for row in found]


@pytest.mark.parametrize("value", [0, 1.5, False])
def test_labels_may_be_numbers_and_truths(value: Any, tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.jsonl", [{"text": "x", "label": value}]))[0].answer == str(value).lower()


@pytest.mark.parametrize("row", [{"text": "x"}, {"text": "", "label": "a"}, {"text": "x", "label": None},
                                 {"text": ["x"], "label": "a"}, {"text": "x", "label": " "}])  # fmt: skip
def test_a_missing_value_is_named_with_its_place(row: dict[str, Any], tmp_path: Path) -> None:
    good = {"text": "fine", "label": "a"}
    with study_error("a row has no", "rows.jsonl:2"):
        read(written(tmp_path / "rows.jsonl", [good, row, good]))


def test_a_wrong_field_is_told_the_right_one_and_all_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [{"text": "x", "labels": "a"}] * 9)
    with study_error("did you mean 'labels'", "9 rows in all") as seen:
        read(path)
    assert len(seen[0].problems) == 6


def test_no_rows_is_said(tmp_path: Path) -> None:
    with study_error("there are no rows"):
        read(written(tmp_path / "rows.jsonl", []))


def test_a_row_stays_on_its_side_whatever_else_there_is() -> None:
    rows = [Row(f"Text {number}", "ab"[number % 2]) for number in range(500)]
    whole, part = split(rows), split(rows[::-3])
    assert set(part.test) <= set(whole.test)
    assert set(part.train) <= set(whole.train)
    assert 60 < len(whole.test) < 140
    again = split([Row(f"  TEXT   {number}", "a") for number in range(500)])
    assert {row.text.split()[1] for row in again.test} == {row.text.split()[1] for row in whole.test}


def test_a_group_is_never_cut() -> None:
    made = split([Row(f"text {number}", "a", f"page {number % 40}") for number in range(400)])
    assert not {row.group for row in made.train} & {row.group for row in made.test}
    assert len(groups_of(made.test)) == len(made.test)
    assert groups_of([Row("a", "b")]) == []


def test_one_sort_of_rows_cannot_be_split() -> None:
    with study_error("no row is left"):
        split([Row("the same", "a")] * 50)


def test_labels_are_checked_all_at_once() -> None:
    one = Split([Row("a", "x")] * 3, [Row("b", "y"), Row("c", "z")])
    with study_error("have one label", "no row to learn from has", "'y' (1), 'z' (1)") as seen:
        check_classes(one)
    assert len(seen[0].problems) == 2
    with study_error("no row to be judged by"):
        check_classes(Split([Row("a", "x"), Row("a", "y")], []))
    assert check_classes(Split([Row("a", "x"), Row("a", "b")], [Row("a", "x")])) == ["b", "x"]
