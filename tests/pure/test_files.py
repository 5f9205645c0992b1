"""Artefacts are whole or absent, and read only with the schema they claim."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from helpers import study_error

from keel.files import canonical, digest, finite, read_json, replacing, sha256_file, write_bytes, write_json, write_text


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.json"
    sha256 = write_json(path, "keel.x/1", {"b": [1, 2.5, None], "a": "\u00e9"})
    assert read_json(path, "keel.x/1") == {"schema": "keel.x/1", "b": [1, 2.5, None], "a": "\u00e9"}
    assert sha256 == sha256_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_crash_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def crash() -> None:
        with replacing(path) as file:
            file.write(b"new, but half")
            file.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_crash_before_the_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), replacing(tmp_path / "a"):
        raise ValueError("mine")
    assert os.listdir(tmp_path) == []


def test_the_new_name_appears_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with replacing(path) as file:
        file.write(b"x" * 100_000)
        assert not path.exists()
    assert path.stat().st_size == 100_000


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "no permission")],
)
@pytest.mark.parametrize("place", ["fsync", "replace", "mkstemp"])
def test_a_bad_place_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, place: str
) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkstemp" if place == "mkstemp" else f"os.{place}", fail)
    with study_error("cannot write a.json", words, str(path)):
        write_json(path, "keel.x/1", {})
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with study_error("no permission"):
            write_text(tmp_path / "a", "x")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").write_text("kept")
    with study_error("cannot write a"):
        write_text(tmp_path / "a", "x")
    (tmp_path / "file").write_text("x")
    with study_error("cannot write b"):
        write_text(tmp_path / "file" / "b", "x")


def test_a_full_disk_really(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with full.open("wb", buffering=0) as device, pytest.raises(OSError, match="No space") as caught:
        device.write(b"x")
    from keel.files import place_error

    assert "the disk is full" in str(place_error(caught.value, tmp_path))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b'{"schema": "keel.x/2"}', "has schema 'keel.x/2'"), (b"{}", "has schema None"), (b"[1]", "has schema None"),
     (b"{", "cannot be read"), (b"\xff\xfe", "cannot be read"), (b"", "cannot be read")],
)  # fmt: skip
def test_another_schema_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with study_error(words, str(path)):
        read_json(path, "keel.x/1")


def test_a_missing_artefact(tmp_path: Path) -> None:
    with study_error("is not there", "run the verb that writes it"):
        read_json(tmp_path / "a.json", "keel.x/1")


def test_canonical_does_not_depend_on_order_or_spaces() -> None:
    one = {"b": 1, "a": {"d": [1, 2], "c": None}}
    other = json.loads(' { "a" : {"c":null, "d":[1,2]} , "b" : 1 } ')
    assert canonical(one) == canonical(other) == b'{"a":{"c":null,"d":[1,2]},"b":1}'
    assert digest(one) == digest(other) != digest(one | {"b": 2})
    assert digest([1, 2]) != digest([2, 1])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_not_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a", "keel.x/1", {"x": value})
    assert os.listdir(tmp_path) == []
    assert finite(value) is None
    assert finite(1.5) == 1.5
