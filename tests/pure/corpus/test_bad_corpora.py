"""`keel look` on anything a folder may hold: exit 2 with what, why, fix and where, never a traceback."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from helpers import FAKE_MACHINE, texts
from typer.testing import CliRunner

from keel import cli
from keel.corpus import formats

LINES = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts(30))


def parquet(column: str = "text") -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({column: texts(30)}), sink)
    return sink.getvalue()


BAD: dict[str, tuple[str, bytes, str]] = {
    "binary": ("a.txt", b"\x7fELF\x00\x01" * 50, ""),
    "latin-1": ("a.txt", b"caf\xe9 au lait", ""),
    "utf-16": ("a.txt", "words".encode("utf-16"), ""),
    "utf-16 expected": ("a.txt", b"plain words", '\nencoding = "utf-16"'),
    "utf-32 expected": ("a.txt", b"plain words", '\nencoding = "utf-32"'),
    "missing key": ("a.jsonl", b'{"body": "x", "id": "y"}\n' * 30, '\ntext = "text"'),
    "number": ("a.jsonl", LINES + b'{"text": 3}\n', ""),
    "bad line": ("a.jsonl", LINES + b'{"text": \n', ""),
    "deep line": ("a.jsonl", LINES + b"[" * 100_000 + b"\n", ""),
    "short gz": ("a.jsonl.gz", gzip.compress(LINES)[:-9], ""),
    "short zst": ("a.jsonl.zst", zstandard.compress(LINES)[:-9], ""),
    "short parquet": ("a.parquet", parquet()[:-9], ""),
    "flipped parquet": ("a.parquet", parquet()[:200] + b"\xff" * 100 + parquet()[300:], ""),
    "empty file": ("a.jsonl", b"", ""),
    "blank text": ("a.txt", b" \n\t\n", ""),
    "one short document": ("a.txt", b"just this", ""),
    "repeats": ("a.jsonl", LINES[: LINES.index(b"\n") + 1] * 30, ""),
    "not a kind": ("a.docx", b"PK", ""),
}


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`keel look --json` on a folder with these files; its exit code and its tree."""
    monkeypatch.setattr("keel.corpus.look.machine", lambda *_: dict(FAKE_MACHINE))
    monkeypatch.chdir(tmp_path)

    def run(files: dict[str, bytes], more: str = "") -> tuple[int, dict[str, Any]]:
        (tmp_path / "data").mkdir(exist_ok=True)
        for name, content in files.items():
            (tmp_path / "data" / name).write_bytes(content)
        (tmp_path / "study.toml").write_text(f'[data]\ntrain = "data"{more}\n')
        done = CliRunner().invoke(cli.app, ["look", "--json"])
        assert "Traceback" not in done.output, done.output
        tree: dict[str, Any] = json.loads(done.stdout)
        return done.exit_code, tree

    return run


def complete(tree: dict[str, Any]) -> bool:
    return all(
        problem["what"] and problem["why"] and problem["fix"] and problem["where"] for problem in tree["problems"]
    )


@pytest.mark.parametrize("name", BAD)
def test_bad_corpora_are_named(name: str, look: Any) -> None:
    file, content, more = BAD[name]
    code, tree = look({file: content}, more)
    assert (code, tree["status"]) == (2, "invalid"), tree
    assert tree["problems"]
    assert complete(tree), tree["problems"]


def test_null_text_is_left_out_and_said(look: Any) -> None:
    code, tree = look({"a.jsonl": LINES + b'{"text": null}\n' * 2})
    assert (code, tree["result"]["corpus"]["documents"]["value"]) == (0, 30)
    assert [problem["what"] for problem in tree["problems"]] == ["2 documents are empty"]


def test_an_empty_folder(look: Any) -> None:
    code, tree = look({})
    assert (code, complete(tree)) == (2, True)


def test_a_long_line_is_refused_by_number(look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "LINE_BYTES", 2000)
    code, tree = look({"a.jsonl": LINES + json.dumps({"text": "x" * 3000}).encode()})
    assert code == 2
    assert tree["problems"][0]["where"].endswith("a.jsonl:31")


@pytest.mark.parametrize("ending", sorted(formats.ENDINGS))
def test_random_bytes_under_every_ending(ending: str, look: Any) -> None:
    rng = random.Random(ending)
    good = {".jsonl.gz": gzip.compress(LINES), ".jsonl.zst": zstandard.compress(LINES), ".parquet": parquet()}
    for trial in range(8):
        content = rng.randbytes(rng.choice((1, 7, 300)))
        if trial % 2:
            base = bytearray(good.get(ending, LINES))
            base[rng.randrange(len(base))] ^= 1 << rng.randrange(8)
            content = bytes(base)
        code, tree = look({f"a{ending}": content})
        assert code in (0, 2), tree
        assert code == 0 or complete(tree)


def test_a_good_corpus_among_them_all(look: Any) -> None:
    """The fixture itself can succeed: what is refused above is refused for its content."""
    code, tree = look({"a.jsonl": LINES})
    assert (code, tree["result"]["corpus"]["documents"]["value"]) == (0, 30)
