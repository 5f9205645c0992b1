"""`keel new` on pairs of lines and on instructions: what it writes can be read back, and looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import study_error

from keel.corpus.look import source_of
from keel.corpus.new import new
from keel.corpus.pair_source import PairSource
from keel.data import Data
from keel.study import load


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f"first of {name}\nsecond\n")
    return folder


def found(folder: Path) -> tuple[Data, list[tuple[str, str]]]:
    """[data] as written, and the first pair of each set of files."""
    new(folder, None)
    place = Path(f"{folder.name}-study")
    study = load(place)
    source = source_of(place, study)
    assert isinstance(source, PairSource)
    return study.data, [(pair.source, pair.target) for pair in source.pairs() if pair.number == 1]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("help.de", "help.en"), "help.en and help.de"),
        (("help.de.txt", "help.en.txt"), "help.en.txt and help.de.txt"),
        (("a-fr", "a-es", "README"), "a-es and a-fr; 1 other files are not read"),
    ],
)  # fmt: skip
def test_two_files_with_a_language_each(here: Path, names: tuple[str, ...], shown: str) -> None:
    data, pairs = found(lines(here / "it's [a] folder", *names))
    assert data.kind == "parallel"
    assert len(pairs) == 1
    assert pairs[0][0].endswith(shown.split(" and ")[0])
    written = (here / "it's [a] folder-study" / "study.toml").read_text()
    assert shown in written
    assert 'task = "translation"' in written


def test_several_stems_become_globs(here: Path) -> None:
    data, pairs = found(lines(here / "in [1]", "a.en", "a.de", "b.en", "b.de"))
    assert data.sides == ("en", "de")
    assert pairs == [("first of a.en", "first of a.de"), ("first of b.en", "first of b.de")]


@pytest.mark.parametrize(
    "names", [("a.en.txt", "b.de.txt"), ("a.en.txt", "a.de.txt", "notes.txt"), ("a.md", "b.md"), ("x.en.txt",)]
)
def test_what_is_no_pair_stays_text(here: Path, names: tuple[str, ...]) -> None:
    new(lines(here / "docs", *names), None)
    assert load(here / "docs-study").data.kind == "text"


def test_three_languages_are_asked_about(here: Path) -> None:
    with study_error("files of lines in 3 languages", "de, en, fr"):
        new(lines(here / "docs", "a.en", "a.de", "a.fr"), None)


@pytest.mark.parametrize(
    ("record", "wanted", "first"),
    [
        ({"instruction": "Add", "input": "1 2", "output": "3"}, "instructions", ("Add\n1 2", "3")),
        ({"question": "Why?", "answer": "So", "category": "x"}, "instructions", ("Why?", "So")),
        ({"id": 1, "de": "Hallo", "en": "Hello"}, "parallel", ("Hello", "Hallo")),
    ],
)
def test_fields_that_look_like_pairs(here: Path, record: dict[str, Any], wanted: str, first: tuple[str, str]) -> None:
    (here / "rows.jsonl").write_text(json.dumps(record) + "\n")
    new(here / "rows.jsonl", None)
    written, study = (here / "rows-study" / "study.toml").read_text(), load(here / "rows-study")
    source = source_of(here / "rows-study", study)
    assert isinstance(source, PairSource)
    assert study.data.kind == wanted
    assert [(pair.source, pair.target) for pair in source.pairs()] == [first]
    assert ('# task = "category"' in written) == ("category" in record)
    assert "pairs in" in written


@pytest.mark.parametrize("record", [{"question": "Why?", "answers": ["a"]}, {"answer": "x"}, {"text": "a", "en": "b"}])
def test_other_fields_stay_text(here: Path, record: dict[str, Any]) -> None:
    (here / "rows.jsonl").write_text(json.dumps(record) + "\n")
    new(here / "rows.jsonl", None)
    assert load(here / "rows-study").data.kind == "text"
