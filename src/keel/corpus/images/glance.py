"""A first glance at a folder: whether it is of images, and what [data] would say of it; nothing is decoded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keel.corpus import formats, places
from keel.corpus.images.decode import ENDINGS
from keel.corpus.images.items import KNOWN, TABLES, folder_of
from keel.corpus.places import Found
from keel.corpus.readers import TEXT_NAMES
from keel.errors import StudyError

NO_CLASSES = frozenset({"train", "val", "valid", "validation", "test", "images", "image", "img", "imgs", "pictures"})
CAPTIONS = ("caption", "captions", "alt", "alt_text", *TEXT_NAMES)
LABELS = frozenset({"label", "labels", "class", "category"})
MARKS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
MOST_CLASSES = 0.5  # of the images: more folders than that are no classes
MEMBERS = 200


class Glance(NamedTuple):
    """What is there, and the values of [data] that would read it."""

    found: Found
    kind: str
    seen: str
    image: str
    label: str | None
    text: str | None

    @property
    def bytes(self) -> int:
        """Bytes of all files there."""
        return sum(path.stat().st_size for path in self.found.files)


def glance(root: Path, pattern: str) -> Glance | None:
    """None where text, or nothing, lies there; what cannot be read is left to those who read it."""
    try:
        found = places.find(root, (pattern,), KNOWN)
    except StudyError:
        return None
    kinds = Counter(formats.name_of(path, KNOWN) for path in found.files)
    tables = sorted(kinds.keys() & set(TABLES.values()))
    if len(tables) == 1:
        return _table(found, tables[0], kinds)
    if tables or not kinds["image"] + kinds["tar"]:
        return None
    return _tar(found) if not kinds["image"] else _files(found, kinds)


def _files(found: Found, kinds: Counter[str]) -> Glance | None:
    """Images in folders, with captions beside most of them or none; more texts than images are a corpus of text."""
    images = [path for path in found.files if formats.name_of(path, KNOWN) == "image"]
    stems = {path.with_suffix("") for path in found.files if formats.name_of(path, KNOWN) == "txt"}
    twins = sum(path.with_suffix("") in stems for path in images)
    if kinds["tar"] or kinds["txt"] > max(len(images), 2 * twins):
        return None
    label = "folder" if _classes([found.key(path) for path in images]) else None
    seen = f"{len(images):,} images" + (f", {twins:,} with a caption beside them" if twins else "")
    return Glance(found, "image", seen, "file", label, "twin" if 2 * twins >= len(images) else None)


def _classes(keys: list[str]) -> bool:
    """Whether folders look like classes: two or more, at one depth, not named after parts of a data set.

    Example:
        >>> _classes(["cat/1.png", "dog/2.png", "cat/3.png", "dog/4.png"]), _classes(["train/1.png", "test/2.png"])
        (True, False)
    """
    folders = Counter(folder_of(key) for key in keys)
    names = [folder for folder in folders if folder is not None]
    if len(names) < len(folders) or len(names) < 2 or len(names) > MOST_CLASSES * len(keys):
        return False
    last = {name.rpartition("/")[2].lower() for name in names}
    return len({name.count("/") for name in names}) == 1 and not last & NO_CLASSES


def _tar(found: Found) -> Glance | None:
    """Endings of the first members of the first tar."""
    import tarfile

    from keel.corpus.images.tars import split_name

    fields, count = Counter[str](), 0
    try:
        with tarfile.open(found.files[0], "r:") as tar:
            for member in tar:
                fields[split_name(member.name)[1]] += member.isreg()
                count += 1
                if count >= MEMBERS:
                    break
    except (tarfile.TarError, OSError, EOFError, ValueError):
        return None
    if not any(f".{field.rpartition('.')[2]}" in ENDINGS for field in fields):
        return None
    seen = f"{len(found.files):,} tars with members {', '.join(sorted(fields))}"
    return Glance(found, "tar", seen, "file", "cls" if fields["cls"] else None, "txt" if fields["txt"] else None)


def _table(found: Found, kind: str, kinds: Counter[str]) -> Glance | None:
    """A field of the first record that holds an image, or names the file of one."""
    path = next(path for path in found.files if formats.name_of(path, KNOWN) == kind)
    try:
        record = next(formats.records(path, "utf-8", None), None)
    except StudyError:
        return None
    values = {str(name): value for name, value in record.values.items()} if record else {}
    # A field called "file" could not be named: the word stands for the files themselves.
    image = next((name for name, value in values.items() if name != "file" and _is_image(value)), None)
    if image is None:
        return None
    others = {name: value for name, value in values.items() if name != image}
    named = [name for name in CAPTIONS if isinstance(others.get(name), str)]
    labels = [name for name in others if LABELS & set(re.findall("[a-z]+", name.lower()))]
    seen = f"{kinds[kind]:,} {kind} files with an image in '{image}'"
    return Glance(found, kind, seen, image, next(iter(labels), None), next(iter(named), None))


def _is_image(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value.startswith(MARKS)
    return isinstance(value, str) and any(value.lower().endswith(end) for end in ENDINGS) and "://" not in value
