from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import encoded, folder_of, looked, scene, tar_of

from keel.corpus.images.glance import glance
from keel.corpus.new import new
from keel.errors import StudyError
from keel.study import load


def said(root: Path) -> tuple[str, str | None, str | None] | None:
    found = glance(root, "data")
    return (found.image, found.label, found.text) if found else None


@pytest.mark.parametrize(("folders", "label"), [
    ({"cat": 5, "dog": 5}, "folder"), ({"train": 5, "test": 5}, None), ({"cat": 5}, None),
    ({"animals/cat": 5, "animals/dog": 5}, "folder"), ({"cat": 5, "dogs/small": 5}, None),
    ({f"{number}": 1 for number in range(9)}, None),
])  # fmt: skip
def test_folders_that_look_like_classes(tmp_path: Path, folders: dict[str, int], label: str | None) -> None:
    folder_of(tmp_path / "data", folders)
    assert said(tmp_path) == ("file", label, None)


def test_captions_beside_images(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", {"a": 5, "b": 5}, captions=True)
    assert said(tmp_path) == ("file", "folder", "twin")


def test_a_corpus_of_text_with_a_picture_stays_text(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"a": 1})
    for number in range(9):
        (root / f"{number}.txt").write_text("a text")
    assert said(tmp_path) is None
    (root / "rows.jsonl").write_text('{"text": "a"}')
    assert said(tmp_path) is None


def test_tars_and_tables(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    tar_of(tmp_path / "data" / "a.tar", {"1.jpg": encoded(scene(1), "JPEG"), "1.txt": b"one", "1.cls": b"3"})
    assert said(tmp_path) == ("file", "cls", "txt")
    (tmp_path / "data" / "a.tar").unlink()
    table = pa.table({"id": [1], "image": [{"bytes": encoded(scene(1)), "path": None}], "label": [2], "caption": ["x"]})
    pq.write_table(table, tmp_path / "data" / "a.parquet")
    assert said(tmp_path) == ("image", "label", "caption")
    (tmp_path / "data" / "a.parquet").unlink()
    (tmp_path / "data" / "a.jsonl").write_text(json.dumps({"text": "one", "file_name": "img/1.png"}))
    assert said(tmp_path) == ("file_name", None, "text")
    (tmp_path / "data" / "a.jsonl").write_text(json.dumps({"text": "one", "url": "https://x.org/1.png"}))
    assert said(tmp_path) is None


def test_the_study_that_is_written_can_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "data", {"cat": 20, "dog": 20}, captions=True)
    monkeypatch.chdir(tmp_path)
    answer = new(Path("data"), None)
    assert "40 images, 40 with a caption beside them" in answer.text
    study = load(tmp_path / "data-study")
    assert (study.data.kind, study.use_case[0].task) == ("image-text", "image-text-retrieval")
    found = looked(tmp_path / "data-study", train=str(study.data.train), text="twin", label="folder")
    assert found["images"] == 40
    with pytest.raises(StudyError, match="a study is there already"):
        new(Path("data"), None)
