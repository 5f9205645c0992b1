"""Every format is read to the same documents; every bad input is named, with its place and a way out."""

from __future__ import annotations

import bz2
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from keel.corpus import formats, packed
from keel.corpus.readers import Document, peek
from keel.errors import Problem, StudyError

ROWS = [
    {"text": 'one, "two"\nthree', "site": "a", "day": "2024-01-01"},
    {"text": "caf\u00e9 \U0001f40b", "site": "b", "day": "2024-01-02"},
    {"text": "last", "site": "a", "day": "2024-01-03"},
]


def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(exist_ok=True)
    return path


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def write_csv(path: Path) -> None:
    import csv
    import io

    out = io.StringIO()
    writer = csv.DictWriter(out, ["text", "site", "day"])
    writer.writeheader()
    writer.writerows(ROWS)
    data = out.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_arrow(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
        out.write_table(table)


def write_stream(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
        out.write_table(table)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "x.jsonl": lambda path: path.write_bytes(lines(ROWS)),
    "x.ndjson": lambda path: path.write_bytes(b"\xef\xbb\xbf" + lines(ROWS) + b"\n"),
    "x.jsonl.gz": lambda path: path.write_bytes(gzip.compress(lines(ROWS[:1])) + gzip.compress(lines(ROWS[1:]))),
    "x.jsonl.zst": lambda path: path.write_bytes(
        zstandard.compress(lines(ROWS[:1])) + zstandard.compress(lines(ROWS[1:]))
    ),
    "x.csv": write_csv,
    "x.csv.gz": write_csv,
    "x.parquet": lambda path: pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2),
    "x.arrow": write_arrow,
    "y.arrow": write_stream,
}


@pytest.mark.parametrize("name", WRITERS)
def test_formats_agree(name, tmp_path, opened):
    WRITERS[name](folder(tmp_path) / name)
    source = opened(group="site", time="day")
    found = list(source.documents())
    assert [(item.text, item.group, item.time) for item in found] == [tuple(row.values()) for row in ROWS]
    assert source.text_field == "text"
    assert len({item.key for item in found}) == 3
    assert not source.problems


def test_saved_dataset(tmp_path, opened):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_list(ROWS)
    rows.save_to_disk(str(folder(tmp_path) / "one"), num_shards=2)
    # A leftover that the list of parts does not name repeats the rows; it must not be read.
    (tmp_path / "data/one/cache-1.arrow").write_bytes((tmp_path / "data/one/data-00000-of-00002.arrow").read_bytes())
    assert [item.text for item in opened("data/one").documents()] == [row["text"] for row in ROWS]
    (tmp_path / "data/one/data-00001-of-00002.arrow").unlink()
    with pytest.raises(StudyError, match="not whole"):
        opened("data/one")


def test_saved_splits_are_said(tmp_path, opened):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(str(folder(tmp_path) / "two"))
    source = opened("data/two")
    assert len(list(source.documents())) == 6
    assert "splits test, train" in source.problems[0].what


def test_txt_is_one_document_a_file(tmp_path, opened):
    (folder(tmp_path) / "b.txt").write_text("second")
    (tmp_path / "data/a.md").write_bytes(b"\xef\xbb\xbffirst\r\n")
    source = opened()
    assert list(source.documents()) == [
        Document("a.md#0", "first\r\n", "a.md", None),
        Document("b.txt#0", "second", "b.txt", None),
    ]
    assert source.format == "md + txt"


def test_long_text_is_cut_at_paragraphs_and_said(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(formats, "PIECE_CHARACTERS", 1000)
    text = "\n\n".join(f"{number} " + "word " * 30 for number in range(40))
    (folder(tmp_path) / "long.txt").write_text(text)
    source = opened()
    found = list(source.documents())
    assert "".join(item.text for item in found) == text
    assert all(item.text.endswith("\n\n") and 500 < len(item.text) <= 1000 for item in found[:-1])
    assert {item.group for item in found} == {"long.txt"}
    assert source.problems[0].what == f"long.txt was read in {len(found)} pieces"


@pytest.mark.parametrize(("text", "limit"), [("x" * 5000, 1000), ("x " * 2500, 1000), ("\u00e9\n" * 2500, 1000)])
def test_pieces_lose_nothing(text, limit, tmp_path, opened, monkeypatch):
    monkeypatch.setattr(formats, "PIECE_CHARACTERS", limit)
    (folder(tmp_path) / "long.txt").write_text(text, encoding="utf-8")
    assert "".join(item.text for item in opened().documents()) == text


def test_names_do_not_depend_on_where_data_lies(tmp_path):
    from keel.corpus.readers import open_source
    from keel.study import Data

    keys = []
    for place in ("here/texts", "far/away/over/there/texts"):
        target = tmp_path / place
        target.mkdir(parents=True)
        (target / "sub").mkdir()
        (target / "sub/a.txt").write_text("a")
        for root in (tmp_path, target.parent):
            pattern = os.path.relpath(target, root)
            keys += [item.key for item in open_source(root, Data(train=pattern)).documents()]
            keys += [item.key for item in open_source(root, Data(train=f"{pattern}/**/*.txt")).documents()]
    assert set(keys) == {"sub/a.txt#0"}


def test_patterns_globs_and_brackets(tmp_path, opened):
    for name in ("a/1.txt", "a/2.txt", "b[1]/3.txt", "b[1]/.hidden.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [item.text for item in opened(("a", "a/1.txt", "b[1]")).documents()] == ["a/1.txt", "a/2.txt", "b[1]/3.txt"]
    assert [item.text for item in opened("a/*2.txt").documents()] == ["a/2.txt"]


def test_own_runs_are_no_data(tmp_path, opened):
    (tmp_path / "study.toml").write_text("")
    (tmp_path / "runs/x").mkdir(parents=True)
    (tmp_path / "runs/x/metrics.jsonl").write_text('{"text": "ours"}\n')
    (tmp_path / "theirs.jsonl").write_text('{"text": "theirs"}\n')
    assert [item.text for item in opened(".").documents()] == ["theirs"]


def test_links_are_followed_but_not_in_a_circle(tmp_path, opened):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("a")
    (folder(tmp_path) / "link.txt").symlink_to(outside / "a.txt")
    (tmp_path / "data/linked").symlink_to(outside)
    (tmp_path / "data/broken.txt").symlink_to(outside / "gone.txt")
    source = opened()
    assert [item.key for item in source.documents()] == ["link.txt#0", "linked/a.txt#0"]
    assert "1 (broken link)" in source.problems[0].why
    (outside / "back").symlink_to(tmp_path / "data")
    with pytest.raises(StudyError, match="leads back to a folder above"):
        opened()


def test_left_out_files_are_said(tmp_path, opened):
    (folder(tmp_path) / "a.txt").write_text("a")
    (tmp_path / "data/b.pdf").write_bytes(b"%PDF")
    (tmp_path / "data/c.txt.bz2").write_bytes(bz2.compress(b"c"))
    source = opened()
    assert source.problems[0].what == "2 files are not read"
    assert "1 .pdf" in source.problems[0].why


def test_text_field_is_found(tmp_path):
    (folder(tmp_path) / "x.jsonl").write_text('{"id": "123456789", "title": "t", "n": 3, "prose": "a longer text"}\n')
    seen = peek(tmp_path, ("data",))
    assert (seen.text_field, seen.format, list(seen.fields)) == ("prose", "jsonl", ["id", "title", "n", "prose"])


def test_empty_documents_are_counted(tmp_path, opened):
    (folder(tmp_path) / "x.jsonl").write_text('{"text": "a"}\n{"text": " \\n"}\n\n{"text": null}\n{"text": ""}\n')
    source = opened()
    assert [item.text for item in source.documents()] == ["a"]
    assert source.empty == 3


def test_times_python_cannot_hold(tmp_path, opened):
    table = pa.table({"text": ["a", "b"], "at": pa.array([1, 2], pa.timestamp("ns"))})
    pq.write_table(table, folder(tmp_path) / "x.parquet")
    assert [item.time[:19] for item in opened(time="at").documents()] == ["1970-01-01 00:00:00"] * 2


# ---- bad input: (file name, content, data fields, what is said, where it is said) ----

GOOD = lines(ROWS)
BAD: dict[str, tuple[str, bytes, dict[str, Any], str, str]] = {
    "json line": ("x.jsonl", GOOD + b"{oops\n", {}, "a line is not JSON", "x.jsonl:4"),
    "json list": ("x.jsonl", b"[1]\n", {}, "not a JSON object", "x.jsonl:1"),
    "number as text": ("x.jsonl", b'{"text": "a"}\n{"text": 5}\n', {}, "'text' holds no text", "x.jsonl:2"),
    "missing later": ("x.jsonl", b'{"text": "a"}\n{"body": "b"}\n', {}, "no field 'text'", "x.jsonl:2"),
    "half a character": ("x.jsonl", b'{"text": "\\ud800"}\n', {}, "half a character", "x.jsonl:1"),
    "latin-1 lines": ("x.jsonl", '{"text": "\u00e9"}\n'.encode("latin-1"), {}, "is not UTF-8", "x.jsonl:1"),
    "utf-16 lines": ("x.jsonl", '{"text": "a"}\n'.encode("utf-16"), {}, "is not UTF-8", "x.jsonl"),
    "no fields": ("x.jsonl", b"{}\n", {}, "no field holds text", "study.toml"),
    "no string": ("x.jsonl", b'{"a": 1}\n', {}, "no field holds text", "study.toml"),
    "all blank": ("x.jsonl", b"\n\n", {}, "no records", "data"),
    "latin-1 text": ("x.txt", b"abc\xe9\n", {}, "is not UTF-8", "x.txt"),
    "utf-16 text": ("x.txt", "abc".encode("utf-16"), {}, "is not UTF-8", "x.txt"),
    "binary text": ("x.txt", b"\x7fELF\0\0", {}, "is not text", "x.txt"),
    "zero far in": ("x.txt", b"a" * 10_000 + b"\0", {}, "is not text", "x.txt"),
    "cut character": ("x.txt", b"abc\xc3", {}, "is not UTF-8", "x.txt"),
    "unknown encoding": ("x.txt", b"abc", {"encoding": "utf-9"}, "unknown encoding", "encoding"),
    "not a text encoding": ("x.txt", b"abc", {"encoding": "hex"}, "unknown encoding", "encoding"),
    "fields of text": ("x.txt", b"abc", {"group": "site"}, "plain text has no fields", "study.toml"),
    "unknown kind": ("x.pdf", b"%PDF", {}, "no data at 'data'", "data"),
    "cut gzip": ("x.jsonl.gz", gzip.compress(GOOD * 50)[:-20], {}, "cannot be read", "x.jsonl.gz"),
    "no gzip": ("x.jsonl.gz", GOOD, {}, "cannot be read", "x.jsonl.gz"),
    "cut zstd": ("x.jsonl.zst", zstandard.compress(GOOD * 50)[:-20], {}, "cannot be read", "x.jsonl.zst"),
    "no zstd": ("x.jsonl.zst", GOOD, {}, "cannot be read", "x.jsonl.zst"),
    "no parquet": ("x.parquet", b"PAR1" + bytes(40), {}, "cannot be read", "x.parquet"),
    "empty parquet": ("x.parquet", b"", {}, "cannot be read", "x.parquet"),
    "no arrow": ("x.arrow", b"ARROW1\0\0" + bytes(range(200)), {}, "cannot be read", "x.arrow"),
    "wide row": ("x.csv", b"text,b\na,1\nb,2,3\n", {}, "more fields than the header", "x.csv:3"),
    "open quote": ("x.csv", b'text,b\n"a,1\n', {}, "is not a CSV file", "x.csv:2"),
    "semicolons": ("x.csv", b"text;b\na;1\n", {}, "header of x.csv", "x.csv:1"),
    "twice": ("x.csv", b"text,text\na,1\n", {}, "header of x.csv", "x.csv:1"),
}


def fails(source: Callable[[], Any]) -> tuple[Problem, ...]:
    with pytest.raises(StudyError) as caught:
        list(source().documents())
    assert all(problem.why and problem.fix for problem in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name, tmp_path, opened):
    file, content, data, what, where = BAD[name]
    (folder(tmp_path) / file).write_bytes(content)
    (problem,) = fails(lambda: opened(**data))
    assert what in problem.what
    assert problem.where.endswith(where)


def test_wrong_encoding_names_the_byte_and_the_way_out(tmp_path, opened):
    (folder(tmp_path) / "x.txt").write_bytes("ab\u00e9\u00e9".encode() + "\u00fc".encode("latin-1") + b" cd")
    (problem,) = fails(opened)
    assert problem.why.startswith("byte 6:")
    assert 'encoding = "latin-1"' in problem.fix
    assert next(opened(encoding="latin-1").documents()).text.endswith("\u00fc cd")


def test_wide_encodings_are_read(tmp_path, opened):
    (folder(tmp_path) / "x.jsonl").write_bytes('{"text": "\u010a"}\n{"text": "b"}\n'.encode("utf-16"))
    assert [item.text for item in opened(encoding="utf-16").documents()] == ["\u010a", "b"]


def test_missing_keys_all_at_once_with_the_keys_found(tmp_path, opened):
    (folder(tmp_path) / "x.jsonl").write_bytes(GOOD)
    problems = fails(lambda: opened(text="txt", group="sight", time="when"))
    assert [problem.what for problem in problems] == [
        f"there is no field '{name}'" for name in ("txt", "sight", "when")
    ]
    assert "text, site, day" in problems[0].why
    assert "did you mean 'text'?" in problems[0].fix


def test_empty_folder_and_missing_folder_at_once(tmp_path, opened):
    folder(tmp_path)
    problems = fails(lambda: opened(("data", "gone/*.txt")))
    assert [problem.why for problem in problems] == ["nothing is there", "nothing matches"]


def test_several_formats_are_refused(tmp_path, opened):
    (folder(tmp_path) / "x.jsonl").write_bytes(GOOD)
    (tmp_path / "data/README.md").write_text("about")
    (problem,) = fails(opened)
    assert problem.what == "several formats in one corpus"


def test_unreadable_file(tmp_path, opened, monkeypatch):
    (folder(tmp_path) / "x.txt").write_text("a")
    assert packed.unreadable(tmp_path / "x.txt", PermissionError(13, "no")).problems[0].why.startswith("no permission")
    source = opened()
    (tmp_path / "data/x.txt").unlink()
    assert "cannot be read" in fails(lambda: source)[0].what


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst"])
def test_bombs_are_refused(name, tmp_path, opened, monkeypatch):
    monkeypatch.setattr(packed, "BOMB_BYTES", 1 << 20)
    data = b'{"text": "a"}\n' + b"\n" * (8 << 20)
    (folder(tmp_path) / name).write_bytes(gzip.compress(data) if name.endswith("gz") else zstandard.compress(data))
    monkeypatch.setattr(packed, "BOMB_RATIO", 100)
    assert "unpacks a thousandfold" in fails(opened)[0].what


def test_parquet_bombs_are_refused(tmp_path, opened, monkeypatch):
    monkeypatch.setattr("keel.corpus.tables.BOMB_BYTES", 1 << 16)
    monkeypatch.setattr("keel.corpus.tables.BOMB_RATIO", 10)
    table = pa.table({"text": ["a" * 100_000 + str(number) for number in range(20)]})
    pq.write_table(table, folder(tmp_path) / "x.parquet", compression="zstd", use_dictionary=False)
    assert "unpacks a thousandfold" in fails(opened)[0].what
