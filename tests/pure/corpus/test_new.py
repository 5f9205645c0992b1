"""`keel new`: whatever files and fields are called, study.toml can be read back and names the same data."""

from __future__ import annotations

import json
import os
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from keel.corpus.new import new, quote
from keel.errors import StudyError
from keel.study import load

HOSTILE = (
    'quo"te', "back\\slash", "line\nbreak", "[brackets]", "{braces}", "uni-\u00e9\u4e2d\U0001f600", "tab\tstop",
    "a # b", "'''", '"""', "\u202eright to left", "bell\x07", "$(touch x)", "-x", " space ", "a=b", "*", "a?b",
    "null\\u0000",
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a folder of its own to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.txt").write_text("some text")
    return folder


def records(folder: Path, *rows: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def data_of(study: Path) -> Path:
    """The data as a later verb finds it."""
    train = load(study).data.train
    assert isinstance(train, str)
    return (study / train).resolve()


def test_a_folder_of_text(here: Path) -> None:
    answer = new(texts(here / "notes"), None)
    assert answer.writes == ["notes-study/study.toml"]
    assert "1 txt file, 9 B" in answer.text
    written = (here / "notes-study" / "study.toml").read_text()
    assert 'train = "../notes"' in written
    assert "# group" not in written
    study = load(here / "notes-study")
    assert (study.data.text, study.use_case[0].name, study.use_case[0].task) == (None, "general", "text-generation")
    assert study.overrides == {}


def test_records_show_their_fields_and_candidates(here: Path) -> None:
    row = {"id": "7", "product_id": "p1", "published": "2024-05-06", "seen": "2024-05-06T10:11:12Z", "category": "toys",
           "body": "a longer text than all the others"}  # fmt: skip
    answer = new(records(here / "shop", row), None)
    assert answer.result["text_field"] == "body"
    written = (here / "shop-study" / "study.toml").read_text()
    for line in ('text = "body"', '# group = "product_id"', '# time = "published"', '# time = "seen"',
                 '# task = "text-classification"', '#   "category" = toys'):  # fmt: skip
        assert any(found.startswith(line) for found in written.splitlines()), line
    assert '# group = "id"' not in written
    assert load(here / "shop-study").data.text == "body"


def test_every_commented_setting_is_a_valid_one(here: Path) -> None:
    row = {"category": "toys", "text": "a text", "day": "2024-05-06", "user": "u"}
    new(records(here / "shop", row), None)
    path = here / "shop-study" / "study.toml"
    settings = tuple(f"# {name}" for name in ("[[", '"train', *"abcdefghijklmnopqrstuvwxyz"))
    lines = [
        line[2:] if line.startswith(settings) and (" = " in line or line.startswith("# [[")) else line
        for line in path.read_text().splitlines()
        if "looks like a label" not in line
    ]
    path.write_text("\n".join(lines))
    study = load(path.parent)
    assert [case.task for case in study.use_case] == ["text-generation", "text-classification"]
    assert study.use_case[1].name == "predict category"
    assert (study.budget.time_s, study.data.group, study.data.time) == (600.0, "user", "day")
    assert study.limits.licence == "permissive"
    assert study.overrides == {"train.seed": 0}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_folders(name: str, here: Path) -> None:
    folder = texts(here / name)
    answer = new(folder, here / "study")
    assert data_of(here / "study") == folder.resolve()
    assert all(letter.isprintable() or letter == "\n" for letter in answer.text)
    assert all(letter.isprintable() for letter in new(folder, None).writes[0])


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_values_of_fields(name: str, here: Path) -> None:
    row = {name: "the longest string of this record", f"{name} group": name, f"{name} label": name, "date": name}
    new(records(here / "data", row), here / "study")
    assert load(here / "study").data.text == name
    written = (here / "study" / "study.toml").read_text()
    assert set(tomllib.loads(written)) == {"data", "use_case", "budget", "limits", "start", "set"}
    assert all(letter.isprintable() or letter == "\n" for letter in written)


def test_a_field_that_utf8_cannot_hold_is_left_to_be_found(here: Path) -> None:
    new(records(here / "data", {"bad\ud800": "the longest text of this record \ud800", "x": "\ud800"}), here / "study")
    assert load(here / "study").data.text is None


def test_a_folder_whose_name_is_not_utf8(here: Path) -> None:
    try:
        folder = texts(here / os.fsdecode(b"bad\xff"))
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with pytest.raises(StudyError, match="not UTF-8"):
        new(folder, here / "study")
    assert not (here / "study").exists()


def test_an_existing_study_is_never_overwritten(here: Path) -> None:
    folder = texts(here / "notes")
    new(folder, None)
    path = here / "notes-study" / "study.toml"
    path.write_text("mine")
    with pytest.raises(StudyError, match="there already"):
        new(folder, None)
    assert path.read_text() == "mine"


def test_a_dangling_link_in_its_place_counts_as_existing(here: Path) -> None:
    (here / "study").mkdir()
    (here / "study" / "study.toml").symlink_to(here / "elsewhere")
    with pytest.raises(StudyError, match="there already"):
        new(texts(here / "notes"), here / "study")
    assert not (here / "elsewhere").exists()


@pytest.mark.parametrize("make", [None, "empty", "unknown"])
def test_nothing_to_read_is_told_and_nothing_is_written(make: str | None, here: Path) -> None:
    if make:
        (here / "data").mkdir()
    if make == "unknown":
        (here / "data" / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(StudyError):
        new(here / "data", None)
    assert not (here / "data-study").exists()


def test_several_formats_are_told_with_a_command_that_works(here: Path) -> None:
    folder = records(here / "data", {"text": "a text"})
    (folder / "README.md").write_text("about")
    with pytest.raises(StudyError) as caught:
        new(Path("data"), None)
    assert caught.value.problems[0].fix.endswith("keel new 'data/**/*.jsonl'")
    new(Path("data/**/*.jsonl"), None)
    assert load(here / "data-study").data.train == "../data/**/*.jsonl"


def test_a_single_file_and_a_linked_study_folder(here: Path) -> None:
    file = records(here / "data", {"text": "a text"}) / "a.jsonl"
    (here / "deep" / "real").mkdir(parents=True)
    (here / "link").symlink_to(here / "deep" / "real")
    new(file, here / "link")
    assert data_of(here / "deep" / "real") == file
    assert new(file, None).writes == ["a-study/study.toml"]


def test_a_place_that_is_a_file(here: Path) -> None:
    (here / "taken").write_text("")
    with pytest.raises(StudyError, match="cannot write"):
        new(texts(here / "notes"), here / "taken")


def test_a_big_folder_takes_no_longer_than_its_list(here: Path) -> None:
    folder = records(here / "data", *({"text": "word " * 200} for _ in range(20_000)))
    for number in range(500):
        (folder / f"{number}.jsonl").symlink_to(folder / "a.jsonl")
    start = time.monotonic()
    new(folder, None)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("text", HOSTILE)
def test_quoted_text_reads_back(text: str) -> None:
    assert tomllib.loads(f"x = {quote(text)}")["x"] == text
