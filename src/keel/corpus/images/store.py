"""Images as runs read them: one file of bytes, a table of numbers, a file of texts; written once, opened by its index.

A write that is killed goes on where it stopped: a journal names every item whose bytes are down, with their checksum.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import numpy as np

from keel.corpus.images.bad import Bad, Tally
from keel.corpus.images.decode import colour_of, decode
from keel.corpus.images.items import ImageSource, Item, told
from keel.corpus.images.named import identity_of
from keel.corpus.readers import Document
from keel.corpus.split import is_heldout
from keel.errors import StudyError
from keel.files import read_json, replacing, sha256_file, write_bytes, write_json
from keel.progress import Progress

SCHEMA = "keel.image-store/1"
BYTES, TEXTS, TABLE, JOURNAL, BEGUN = "images.bin", "texts.bin", "table.npy", "journal.jsonl", "begun.json"
TOKENIZER = "tokenizer.json"  # of the captions
# Columns of the table; a label is a number of the index's `classes`, -1 without one.
COLUMNS = ("offset", "size", "label", "heldout", "text_offset", "text_size")
NO_CAPTION = "the image has no caption"


class Stored(NamedTuple):
    """An image as it was found: the bytes of its file, and what is said of it."""

    number: int
    data: bytes
    label: str | None
    caption: str | None
    group: str | None
    key: str
    heldout: bool


class Store:
    """Items by number, in constant time; may be sent to other processes, which open its files anew."""

    kind: ClassVar[str] = "images"

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / "index.json", SCHEMA)
        self.folder, self.classes, self.index = folder, tuple(index["classes"]), index
        self.table = np.load(folder / TABLE, mmap_mode="r")
        self.handles: dict[int, tuple[int, int]] = {}
        # Captions have one; images alone have no tokens.
        self.tokenizer_path = path if (path := folder / TOKENIZER).exists() else None

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.folder,)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: int) -> Stored:
        assert 0 <= number < len(self.table), "no such image"
        offset, size, label, heldout, text_offset, text_size = (int(value) for value in self.table[number])
        images, texts = self._opened()
        key, caption, group = json.loads(os.pread(texts, text_size, text_offset))
        name = self.classes[label] if label >= 0 else None
        return Stored(number, os.pread(images, size, offset), name, caption, group, key, bool(heldout))

    def data(self, number: int) -> bytes:
        """The bytes of an image alone."""
        return os.pread(self._opened()[0], int(self.table[number, 1]), int(self.table[number, 0]))

    def caption(self, number: int) -> str | None:
        """The caption of an image, without its bytes."""
        offset, size = (int(value) for value in self.table[number, 4:6])
        found: str | None = json.loads(os.pread(self._opened()[1], size, offset))[1]
        return found

    def labels(self) -> np.ndarray:
        """Class numbers, -1 without a label, shape (images,)."""
        return np.asarray(self.table[:, 2])

    def heldout(self) -> np.ndarray:
        """Which images are held out, shape (images,), bool."""
        return np.asarray(self.table[:, 3] != 0)

    def heldout_told(self) -> dict[str, Any]:
        """The held-out images as a result names them: how many, their bytes, and the digest of bytes and labels."""
        held, digest = np.flatnonzero(self.heldout()), hashlib.sha256()
        for number in held.tolist():
            found = self[number]
            digest.update(hashlib.sha256(found.data).digest() + repr((found.label, found.caption)).encode())
        return {"images": len(held), "bytes": int(self.table[held, 1].sum()), "sha256": digest.hexdigest()}

    def close(self) -> None:
        """Close this process's files; reading opens them again."""
        for handle in self.handles.pop(os.getpid(), ()):
            os.close(handle)

    def _opened(self) -> tuple[int, int]:
        """This process's handles: a position is never shared, as every read names its own."""
        here = os.getpid()
        if here not in self.handles:
            one, other = (os.open(self.folder / name, os.O_RDONLY) for name in (BYTES, TEXTS))
            self.handles = {here: (one, other)}
        return self.handles[here]


def open_store(folder: Path) -> Store:
    """Open a store after holding every file against its size and checksum.

    Raises:
        StudyError: a file is missing, truncated or edited; it is named.
    """
    index = read_json(folder / "index.json", SCHEMA)
    for item in index["files"]:
        path = folder / item["name"]
        if not path.exists() or path.stat().st_size != item["bytes"] or sha256_file(path) != item["sha256"]:
            raise StudyError(
                f"{item['name']} is not what was written", why="it is missing, truncated or edited (sha256 differs)",
                fix=f"delete the folder {folder.name} and run again: it is made anew from the images", where=str(path),
            )  # fmt: skip
    return Store(folder)


# ---- writing ----


class Line(NamedTuple):
    """A line of the journal: an item that is stored, or (`bad`) one that is left out."""

    key: str
    sha256: str
    size: int
    label: str | None
    caption: str | None
    group: str | None
    bad: Bad | None


def write(folder: Path, source: ImageSource, seen: Mapping[str, Any]) -> Store:
    """Store every image that decodes (of pairs, that has a caption); `seen` is images.json. Resumes what was killed.

    Raises:
        StudyError: the images are not those that were looked at.
    """
    if (folder / "index.json").exists():
        return open_store(folder)
    folder.mkdir(parents=True, exist_ok=True)
    identity = identity_of(seen)
    done = _resumed(folder, identity)
    progress = Progress("store", float(seen["images"]))
    with (folder / BYTES).open("ab") as images, (folder / JOURNAL).open("ab") as journal:
        for number, item in enumerate(source.items()):
            if number < len(done):
                if done[number] != item.key:
                    raise _changed(f"item {number} is {item.key}, and was {done[number]}", source)
                continue
            _store(images, journal, source, item)
            progress.update(number, f"{number + 1:,} images")
        os.fsync(images.fileno())
        os.fsync(journal.fileno())
    _finish(folder, source, seen, identity)
    progress.close(f"{int(seen['images']):,} images")
    return Store(folder)


def _store(images: BinaryIO, journal: BinaryIO, source: ImageSource, item: Item) -> None:
    """The bytes first, then the line that says that they are down."""
    data = item.read()
    refused = data if isinstance(data, Bad) else _refused(source, item, data)
    sha256 = "" if isinstance(data, Bad) else hashlib.sha256(data).hexdigest()
    if refused is None and not isinstance(data, Bad):
        images.write(data)
        images.flush()
    size = 0 if refused or isinstance(data, Bad) else len(data)
    line = Line(item.key, sha256, size, item.label, item.caption, item.group, refused)
    journal.write(json.dumps(line).encode() + b"\n")
    journal.flush()


def _refused(source: ImageSource, item: Item, data: bytes) -> Bad | None:
    found = decode(data, colour_of(source.data.background), item.name, item.where)
    if isinstance(found, Bad):
        return found
    if source.data.kind == "image-text" and not (item.caption or "").strip():
        return Bad(NO_CAPTION, "pairs need both", item.where)
    return None


def _lines(path: Path) -> Iterator[tuple[Line, int]]:
    """Whole lines of a journal, each with the place where it ends."""
    end = 0
    with path.open("rb") as file:
        for text in file:
            end += len(text)
            try:
                values = json.loads(text)
                key, sha256, size, label, caption, group, bad = values
                line = Line(key, sha256, size, label, caption, group, Bad(*bad) if bad else None)
            except (ValueError, TypeError):
                return  # torn by the kill, or by what came after it
            if not text.endswith(b"\n"):
                return
            yield line, end


def _resumed(folder: Path, identity: str) -> list[str]:
    """Keys of the items that are down already; what the kill tore off is cut away. Another corpus starts anew."""
    begun, images, journal = folder / BEGUN, folder / BYTES, folder / JOURNAL
    same = begun.exists() and begun.read_bytes().decode(errors="replace") == identity
    if not same or not images.exists() or not journal.exists():
        for path in (images, journal):
            path.unlink(missing_ok=True)
        write_bytes(begun, identity.encode())
        return []
    keys, image_end, journal_end = list[str](), 0, 0
    with images.open("rb") as file:
        for line, end in _lines(journal):
            data = file.read(line.size)
            if not line.bad and hashlib.sha256(data).hexdigest() != line.sha256:
                break
            keys.append(line.key)
            image_end, journal_end = image_end + line.size, end
    os.truncate(images, image_end)
    os.truncate(journal, journal_end)
    return keys


def _finish(folder: Path, source: ImageSource, seen: Mapping[str, Any], identity: str) -> None:
    """Table and texts from the journal; the index comes last.

    Raises:
        StudyError: the images are not those that were looked at.
    """
    rows, classes, left, offset, text_offset = array("q"), dict[str, int](), Tally(), 0, 0
    corpus = hashlib.sha256()
    with replacing(folder / TEXTS) as texts:
        for line, _ in _lines(folder / JOURNAL):
            if line.sha256:
                corpus.update(told(line.key, line.sha256, line.label, line.caption, line.group))
            if line.bad:
                left.add(line.bad)
                continue
            held = is_heldout(seen["split"], Document(line.key, "", line.group, None))
            label = -1 if line.label is None else classes.setdefault(line.label, len(classes))
            text = json.dumps([line.key, line.caption, line.group]).encode()
            texts.write(text)
            rows.extend((offset, line.size, label, held, text_offset, len(text)))
            offset, text_offset = offset + line.size, text_offset + len(text)
    if corpus.hexdigest() != seen["data_sha256"]:
        raise _changed("their bytes, names or captions differ", source)
    with replacing(folder / TABLE) as file:
        np.save(file, np.asarray(rows, dtype="<i8").reshape(-1, len(COLUMNS)))
    write_json(folder / "index.json", SCHEMA, {
        "identity": identity, "images": len(rows) // len(COLUMNS), "columns": list(COLUMNS), "classes": list(classes),
        "left_out": left.json(), "data": dict(seen["data"]),
        "files": [{"name": name, "bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)}
                  for name in (BYTES, TEXTS, TABLE)],
    })  # fmt: skip
    for name in (JOURNAL, BEGUN):
        (folder / name).unlink(missing_ok=True)


def _changed(why: str, source: ImageSource) -> StudyError:
    return StudyError("the images have changed since `keel look`", why=why, fix="run `keel look` again",
                      where=", ".join(source.data.patterns))  # fmt: skip
