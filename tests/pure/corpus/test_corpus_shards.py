"""Shards hold every training token once, are the same bytes however often the writer was killed, and notice damage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keel.corpus import shards
from keel.corpus.look import measure_corpus, source_of
from keel.corpus.shards import open_shards
from keel.corpus.split import is_heldout
from keel.corpus.store import prepare
from keel.corpus.tokenizer import SEPARATOR_ID, load
from keel.errors import StudyError
from keel.files import read_json, write_json, write_text
from keel.study import parse

DATA = {"vocabulary": 350, "heldout_max_bytes": 1_000_000}


@pytest.fixture
def ready(tmp_path: Path, speeches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study that was looked at, with shards small enough that there are several."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 10_000)
    monkeypatch.setattr(shards, "BATCH_BYTES", 5_000)
    looked = parse({"data": {"train": "data"}, "set": {"tokenizer": {"vocabulary": 512}}})
    corpus, tokenizer_json = measure_corpus(source_of(tmp_path, looked), looked)
    write_text(tmp_path / "evidence" / "tokenizer.json", tokenizer_json)
    write_json(tmp_path / "evidence" / "corpus.json", "keel.corpus/1", corpus)
    return tmp_path


def made(folder: Path, data: dict[str, Any] = DATA) -> Path:
    sha256 = read_json(folder / "evidence/corpus.json", "keel.corpus/1")["tokenizer"]["sha256"]
    return prepare(folder, source_of(folder, parse({"data": {"train": "data"}})), {"tokenizer_sha256": sha256, **data})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_token_once_in_order(ready):
    folder = made(ready)
    found = open_shards(folder)
    assert len(found.parts) > 3
    split = read_json(ready / "evidence/corpus.json", "keel.corpus/1")["split"]
    tokenizer = load((folder / "tokenizer.json").read_text())
    train, held, held_bytes = [], [], 0
    for document in source_of(ready, parse({"data": {"train": "data"}})).documents():
        ids = [*tokenizer.encode(document.text, add_special_tokens=False).ids, SEPARATOR_ID]
        if is_heldout(split, document):
            held += ids
            held_bytes += len(document.text.encode())
        else:
            train += ids
    assert found.window(0, found.num_tokens).tolist() == train
    assert found.heldout.tolist() == held
    assert found.heldout_bytes == held_bytes == split["heldout_bytes"]
    assert found.num_tokens == sum(len(part) for part in found.parts)
    assert found.token_counts().tolist() == np.bincount(train, minlength=found.vocabulary).tolist()
    assert found.vocabulary == 350
    assert max(train) < 350


def test_windows_cross_borders(ready):
    found = open_shards(made(ready))
    whole = np.concatenate(found.parts)
    rng = np.random.default_rng(0)
    longest = max(len(part) for part in found.parts)
    for length in (1, 129, longest, 2 * longest + 5):
        for start in [0, found.num_tokens - length, *rng.integers(0, found.num_tokens - length, 20).tolist()]:
            assert (found.window(start, length) == whole[start : start + length]).all()
    for end in found.ends[:-1].tolist():
        assert (found.window(end - 1, 2) == whole[end - 1 : end + 1]).all()


def test_made_once(ready):
    folder = made(ready)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert made(ready) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert made(ready, DATA | {"vocabulary": 300}) != folder


def test_held_out_text_is_capped_in_whole_documents(ready):
    most = open_shards(made(ready))
    least = open_shards(made(ready, DATA | {"heldout_max_bytes": 1}))
    assert least.heldout_bytes < most.heldout_bytes
    assert least.heldout.tolist() == most.heldout[: len(least.heldout)].tolist()
    assert least.heldout[-1] == SEPARATOR_ID


class Killed(BaseException):
    """Stands for a kill between two steps."""


def test_killed_before_any_file_is_in_place(ready, monkeypatch):
    """Stop at each file in turn, before it takes its place and after; go on; the bytes are those of a calm run."""
    import os

    folder = made(ready)
    calm = contents(folder)
    replace = os.replace
    for at in range(2 * len(calm)):
        for path in folder.iterdir():
            path.unlink()
        count = 0

        def killing(source: str, target: Path, at: int = at) -> None:
            nonlocal count
            count += 1
            if count - 1 == at // 2:
                if at % 2:
                    replace(source, target)
                raise Killed
            replace(source, target)

        monkeypatch.setattr(os, "replace", killing)
        with pytest.raises(Killed):
            made(ready)
        monkeypatch.setattr(os, "replace", replace)
        (folder / ".train-00000.bin.tmp").write_bytes(b"left by a kill")
        assert made(ready) == folder
        if at < 2 * len(calm) - 1:
            assert contents(folder) == calm
    open_shards(folder)


SCRIPT = """
import json, sys
from pathlib import Path
from keel.corpus import shards, store
from keel.corpus.look import source_of
from keel.study import parse
shards.SHARD_BYTES, shards.BATCH_BYTES = 10_000, 5_000
sha256 = json.loads((Path(sys.argv[1]) / "evidence/corpus.json").read_text())["tokenizer"]["sha256"]
print("ready", flush=True)
store.prepare(Path(sys.argv[1]), source_of(Path(sys.argv[1]), parse({"data": {"train": "data"}})),
               {"tokenizer_sha256": sha256, "vocabulary": 350, "heldout_max_bytes": 1_000_000})
"""


def test_real_kills(ready):
    folder = made(ready)
    calm = contents(folder)
    for wait_s in (0.0, 0.01, 0.03):
        for path in folder.iterdir():
            path.unlink()
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(ready)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert made(ready) == folder
        assert contents(folder) == calm


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def edit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [cut, edit, Path.unlink])
@pytest.mark.parametrize("name", ["train-00001.bin", "heldout.bin", "tokenizer.json"])
def test_damage_is_noticed(harm: Callable[[Path], None], name, ready):
    folder = made(ready)
    harm(folder / name)
    with pytest.raises(StudyError) as caught:
        open_shards(folder)
    (problem,) = caught.value.problems
    assert problem.what == f"{name} is not what was written"
    assert "delete the folder" in problem.fix
    assert problem.where == str(folder / name)


def test_a_changed_corpus_is_refused(ready):
    (ready / "data/00.txt").write_text("changed")
    (ready / "data/new.txt").write_text("new")
    with pytest.raises(StudyError, match="corpus has changed") as caught:
        made(ready)
    assert "2 files differ" in caught.value.problems[0].why


def test_an_edited_tokenizer_is_refused(ready):
    path = ready / "evidence/tokenizer.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(StudyError, match="tokenizer was edited"):
        made(ready)


def test_large_vocabularies_take_four_bytes(tmp_path, ready, monkeypatch):
    path = ready / "evidence/tokenizer.json"
    tree = json.loads(path.read_text())
    size = len(tree["model"]["vocab"])
    tree["model"]["vocab"] |= {f"<{number}>": number for number in range(size, 1 << 17)}
    corpus = read_json(ready / "evidence/corpus.json", "keel.corpus/1")
    source = source_of(ready, parse({"data": {"train": "data"}}))
    shards.write(tmp_path / "wide", source, corpus, json.dumps(tree), 10**6, {})
    wide = open_shards(tmp_path / "wide")
    assert wide.dtype == np.dtype("<u4")
    narrow = open_shards(made(ready, DATA | {"vocabulary": size}))
    assert wide.window(0, 1000).tolist() == narrow.window(0, 1000).tolist()
