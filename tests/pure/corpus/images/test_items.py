from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import study_error
from pictures import encoded, folder_of, opened, scene, tar_of

from keel.corpus.images.bad import Bad
from keel.data import Data, wrong

PNG = encoded(scene(0))


def test_a_folder_per_class(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", {"cat": 2, "dog": 1})
    (tmp_path / "data" / "top.png").write_bytes(PNG)
    items = list(opened(tmp_path, label="folder").items())
    assert [(item.number, item.key, item.label) for item in items] == [
        (0, "cat/000.png", "cat"), (1, "cat/001.png", "cat"), (2, "dog/002.png", "dog"), (3, "top.png", None),
    ]  # fmt: skip
    assert items[1].read() == encoded(scene(1))
    assert all(item.caption is None and item.group is None for item in items)


def test_twins(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"a": 3}, captions=True)
    (root / "a" / "000.txt").write_bytes("\ufeffA walnut.\nde.utf8=Eine Walnuss.\n".encode())
    (root / "a" / "001.txt").unlink()
    (root / "a" / "002.txt").write_bytes(b"caf\xe9")
    (root / "a" / "lone.txt").write_text("nobody")
    source = opened(tmp_path, text="twin")
    assert [item.caption for item in source.items()] == ["A walnut.", None, None]
    assert source.bad.json()["kinds"] == {"a caption is not UTF-8": 1}
    assert [bad.where for bad in source.lone_captions.first] == ["data/a/lone.txt"]
    assert len(list(source.items())) == 3
    assert len(source.bad) == 1, "a second reading counts anew"


def test_texts_that_are_no_captions_are_said(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", {"a": 2}, captions=True)
    assert 'write text = "twin"' in str(opened(tmp_path).problems)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_rows_that_name_files(tmp_path: Path, kind: str) -> None:
    root = folder_of(tmp_path / "data", {"img": 3})
    rows = [("img/000.png", "zero", "0"), ("img/001.png", "one", "1"), ("", "none", "2"), ("img/no.png", "gone", "3")]
    if kind == "csv":
        text = "image,caption,class\n" + "\n".join(",".join(row) for row in rows)
    else:
        text = "\n".join(json.dumps(dict(zip(("image", "caption", "class"), row))) for row in rows)
    (root / f"rows.{kind}").write_text(text)
    source = opened(tmp_path, image="image", text="caption", label="class")
    assert [(item.caption, item.label, item.read()) for item in source.items()] == [
        ("zero", "0", encoded(scene(0))), ("one", "1", encoded(scene(1))),
    ]  # fmt: skip
    assert len(source.lone_captions) == 1
    assert source.bad.json()["kinds"] == {"a row names a file that is not there": 1}
    assert [path.name for path in source.unnamed()] == ["002.png"]


def test_paths_stay_inside_the_data(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"img": 1})
    outside = tmp_path / "secret.png"
    outside.write_bytes(PNG)
    (root / "img" / "link.png").symlink_to(outside)
    paths = [
        str(outside),
        "../secret.png",
        "img/../../secret.png",
        "img/link.png",
        "C:\\secret.png",
        "..\\s.png",
        "a\0b",
    ]
    (root / "rows.jsonl").write_text("\n".join(json.dumps({"image": path}) for path in ["img/000.png", *paths]))
    source = opened(tmp_path, image="image")
    assert [item.name for item in source.items()] == ["000.png"]
    assert len(source.bad) == len(paths)
    assert source.bad.kinds["a path leads out of the data's folder"] == 6


def test_columns_of_bytes_and_of_structs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    images = [{"bytes": PNG, "path": "x/a.png"}, {"bytes": None, "path": None}, {"bytes": b"", "path": None}]
    table = pa.table({"image": images, "raw": [PNG, PNG, None], "label": [3, 4, None], "alt": ["one", "", "three"]})
    pq.write_table(table, tmp_path / "data" / "part.parquet")
    source = opened(tmp_path, image="image", label="label", text="alt")
    found = [(item.read(), item.label, item.caption, item.name) for item in source.items()]
    assert found == [(PNG, "3", "one", "a.png"), (b"", None, "three", "")]
    assert [item.label for item in opened(tmp_path, image="raw", label="label").items()] == ["3", "4"]
    with study_error("no field 'picture'", "image, raw, label, alt"):
        list(opened(tmp_path, image="picture").items())


def test_webdataset_tars(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    members = {
        "a/01.jpg": encoded(scene(1), "JPEG"), "a/01.txt": b"first\n", "a/01.json": b'{"who": "x", "n": 5, "l": [1]}',
        "a/02.txt": b"lone", "b/03.png": PNG, "b/03.cls": b"7", "b/04.json": b"{}", "b/03.json": b"not json",
    }  # fmt: skip
    tar_of(tmp_path / "data" / "s.tar", members)
    source = opened(tmp_path, image="jpg;png", text="txt", label="json:n", group="folder")
    found = [(item.key, item.caption, item.label, item.group, item.read()) for item in source.items()]
    assert found == [("s.tar#a/01", "first", "5", "a", members["a/01.jpg"]), ("s.tar#b/03", None, None, "b", PNG)]
    assert len(source.lone_captions) == 1
    assert set(source.bad.kinds) == {"a sample has no image", "json is no JSON"}
    assert [item.label for item in opened(tmp_path, label="cls").items()] == [None, "7"]
    assert [item.caption for item in opened(tmp_path, text="twin").items()] == ["first", None]


def test_members_that_lead_out_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    tar_of(tmp_path / "data" / "s.tar", {"../a.png": PNG, "/etc/b.png": PNG, "x/../../c.png": PNG, "ok.png": PNG})
    source = opened(tmp_path)
    assert [item.key for item in source.items()] == ["s.tar#ok"]
    assert source.bad.json()["kinds"] == {"a member names a place outside the tar": 3}


def test_a_tar_that_is_cut_short(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tar_of(tmp_path / "data" / "s.tar", {"a.png": PNG, "b.png": bytes(2000)})
    path.write_bytes(path.read_bytes()[: 512 * 2 + 1024 + 600])
    with study_error("s.tar cannot be read", "unexpected end of data"):
        list(opened(tmp_path).items())
    path.write_bytes(b"no tar at all" * 100)
    with study_error("s.tar cannot be read"):
        list(opened(tmp_path).items())


def test_kinds_that_do_not_go_together(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"a": 1})
    with study_error("no file there has fields"):
        opened(tmp_path, image="pixels")
    with study_error("label = 'breed' names a field", "text = 'caption' names a field"):
        opened(tmp_path, label="breed", text="caption")
    tar_of(root / "s.tar", {"a.png": PNG})
    with study_error("several kinds of files hold images"):
        opened(tmp_path)
    with study_error("no data at 'none'"):
        opened(tmp_path, train="none")


def test_a_file_that_went_away(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", {"a": 1})
    item = next(opened(tmp_path).items())
    (tmp_path / "data" / "a" / "000.png").unlink()
    assert isinstance(item.read(), Bad)


def test_kinds_of_data() -> None:
    assert Data(train="a", image="file").kind == "images"
    assert Data(train="a", image="file", text="twin").kind == "image-text"
    assert Data(train="a", text="body").kind == "text"


@pytest.mark.parametrize(("data", "what"), [
    ({"label": "folder"}, "label without image"),
    ({"background": "black"}, "background without image"),
    ({"image": "file", "background": "mauve"}, "no colour that is known"),
    ({"image": "file", "background": "#12345"}, "no colour that is known"),
    ({"image": "file", "prompt": "q", "answer": "a"}, "image and prompt are both named"),
    ({"image": "file", "parallel": {"en": "a", "de": "b"}}, "image and parallel are both named"),
    ({"image": " "}, "'data.image' is empty"),
    ({"image": "file", "label": "folder", "group": "folder"}, "label and group are one field"),
])  # fmt: skip
def test_what_is_wrong_with_data_of_images(data: dict[str, object], what: str) -> None:
    assert what in "\n".join(problem.what for problem in wrong({"train": "x", **data}))


def test_without_pillow_the_install_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "data", {"a": 1})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with study_error("pillow is not installed", "pip install 'keel[images]'"):
        opened(tmp_path)
