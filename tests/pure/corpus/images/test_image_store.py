from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import study_error
from pictures import encoded, folder_of, looked, opened, scene

import keel
from keel.corpus.images.store import BYTES, JOURNAL, open_store, write

# Writes the store of a study and kills itself before item 57, as the system would.
KILLED = """
import json, os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from keel.corpus.images import store
from pictures import opened
root = Path(sys.argv[1])
real = store._store
def one(images, journal, source, item):
    if item.number == 57:
        os.kill(os.getpid(), signal.SIGKILL)
    real(images, journal, source, item)
store._store = one
store.write(root / "store", opened(root, text="twin", label="folder"), json.loads((root / "seen.json").read_text()))
"""


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """120 images with captions, of which one is broken and one has none."""
    return make(tmp_path)


def make(root: Path) -> Path:
    data = folder_of(root / "data", {"cat": 60, "dog": 60}, captions=True)
    (data / "cat" / "010.png").write_bytes(encoded(scene(10))[:100])
    (data / "dog" / "070.txt").unlink()
    return root


def test_items_by_number(pairs: Path) -> None:
    seen = looked(pairs, text="twin", label="folder")
    store = write(pairs / "store", opened(pairs, text="twin", label="folder"), seen)
    assert len(store) == seen["images"] == 118
    assert store.classes == ("cat", "dog")
    for number in (117, 0, 9, 10, 60):
        item = store[number]
        original = (pairs / "data" / item.key).read_bytes()
        assert item.data == store.data(number) == original
        assert item.caption == (pairs / "data" / item.key).with_suffix(".txt").read_text().strip()
        assert item.label == item.key.split("/")[0]
    assert store[10].key == "cat/011.png", "the broken one is left out"
    assert int(store.heldout().sum()) == seen["split"]["heldout_images"]
    assert store.labels().tolist() == [0] * 59 + [1] * 59
    left = store.index["left_out"]
    assert left["kinds"] == {"the image is truncated or damaged": 1, "the image has no caption": 1}
    assert sorted(path.name for path in (pairs / "store").iterdir()) == [
        "images.bin", "index.json", "table.npy", "texts.bin"]  # fmt: skip
    store.close()
    assert store[3].number == 3


def test_a_store_can_be_sent_and_forked(pairs: Path) -> None:
    store = write(pairs / "store", opened(pairs, label="folder"), looked(pairs, label="folder"))
    first = store[5]
    assert pickle.loads(pickle.dumps(store))[5] == first
    if (child := os.fork()) == 0:
        os._exit(0 if all(store[number % len(store)].data for number in range(300)) and store[5] == first else 1)
    same = all(store[5] == first for _ in range(300))
    assert os.waitpid(child, 0)[1] == 0
    assert same


def test_what_was_edited_is_refused_by_name(pairs: Path) -> None:
    write(pairs / "store", opened(pairs), looked(pairs))
    assert len(open_store(pairs / "store")) == 119
    path = pairs / "store" / BYTES
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with study_error("images.bin is not what was written"):
        open_store(pairs / "store")
    with study_error("images.bin is not what was written"):
        write(pairs / "store", opened(pairs), looked(pairs))


def test_images_that_changed_after_the_look(pairs: Path) -> None:
    seen = looked(pairs)
    (pairs / "data" / "cat" / "000.png").write_bytes(encoded(scene(500)))
    with study_error("the images have changed since `keel look`"):
        write(pairs / "store", opened(pairs), seen)
    assert not (pairs / "store" / "index.json").exists()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose store was killed in the middle (killed/), and the same written whole (whole/)."""
    root = tmp_path_factory.mktemp("killed")
    make(root)
    seen = looked(root, text="twin", label="folder")
    (root / "seen.json").write_text(json.dumps(seen))
    paths = [str(Path(keel.__file__).parents[1]), str(Path(__file__).parents[3])]
    command = [sys.executable, "-c", KILLED, str(root), *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    write(root / "whole", opened(root, text="twin", label="folder"), seen)
    return root


@pytest.mark.parametrize("torn", ["nothing", "bytes", "half a line", "a wrong line", "another corpus"])
def test_a_killed_write_goes_on(killed: Path, tmp_path: Path, torn: str) -> None:
    folder = Path(shutil.copytree(killed / "store", tmp_path / "store"))
    assert (folder / JOURNAL).read_bytes().count(b"\n") == 57
    assert not (folder / "index.json").exists()
    tear(folder, torn)
    seen = json.loads((killed / "seen.json").read_text())
    assert len(write(folder, opened(killed, text="twin", label="folder"), seen)) == 118
    assert contents(folder) == contents(killed / "whole")


def tear(folder: Path, torn: str) -> None:
    """What a kill, or a power cut, may leave."""
    if torn == "bytes":
        with (folder / BYTES).open("ab") as file:
            file.write(b"half an image")
    if torn == "half a line":
        with (folder / JOURNAL).open("ab") as file:
            file.write(b'["cat/057.png", "ab')
    if torn == "a wrong line":  # the journal is down and the last bytes are not
        os.truncate(folder / BYTES, (folder / BYTES).stat().st_size - 30)
    if torn == "another corpus":
        (folder / "begun.json").write_text("of another")


def test_what_is_down_is_not_written_again(pairs: Path) -> None:
    seen = looked(pairs)
    from keel.corpus.images import store as module

    calls = list[int]()
    real = module._store
    patch = pytest.MonkeyPatch()

    def one(*given: object) -> None:
        calls.append(1)
        if len(calls) == 40:
            raise KeyboardInterrupt
        real(*given)  # type: ignore[arg-type]

    patch.setattr(module, "_store", one)
    with pytest.raises(KeyboardInterrupt):
        write(pairs / "store", opened(pairs), seen)
    write(pairs / "store", opened(pairs), seen)
    patch.undo()
    assert len(calls) == 120 + 1
