"""The images that a study's [data] means, one after the other: files in folders, members of tars, rows of tables.

Order is that of sorted paths, so an item's number is the same everywhere. Bytes are read when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from keel.corpus import formats, places
from keel.corpus.images.bad import Bad, Tally, need_pillow
from keel.corpus.images.decode import ENDINGS
from keel.corpus.places import Found
from keel.data import Data
from keel.errors import Problem, StudyError

TABLES = {ending: kind for ending, kind in formats.ENDINGS.items() if kind not in formats.PLAIN}
KNOWN = dict.fromkeys(ENDINGS, "image") | {".tar": "tar", ".txt": "txt"} | TABLES
# The first line of a file of text is the caption; a longer one is none.
CAPTION_BYTES = 1 << 16


class Place(NamedTuple):
    """Bytes of a file, or of a part of it."""

    path: Path
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        """The bytes; fewer where the file is shorter by now.

        Raises:
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


class Held(NamedTuple):
    """Bytes that came with a row of a table."""

    data: bytes

    def read(self) -> bytes:
        """The bytes."""
        return self.data


class Item(NamedTuple):
    """An image: `key` names it stably, `name` is its file's ("" without one); None where nothing is said."""

    number: int
    key: str
    source: Place | Held
    label: str | None
    caption: str | None
    group: str | None
    name: str
    where: str

    def read(self) -> bytes | Bad:
        """The bytes of the file as it was made."""
        try:
            return self.source.read()
        except OSError as error:
            return Bad("the file cannot be read", error.strerror or str(error), self.where)


def told(key: str, sha256: str, label: str | None, caption: str | None, group: str | None) -> bytes:
    """What an item adds to the digest of its corpus."""
    return b"".join(repr(part).encode() + b"\0" for part in (key, sha256, label, caption, group))


@dataclass
class ImageSource:
    """The files of a study's images; `bad` and the two lists fill while items are read."""

    root: Path
    found: Found
    data: Data
    kind: str
    twins: dict[Path, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    bad: Tally = field(default_factory=Tally)
    lone_captions: Tally = field(default_factory=Tally)
    named: set[Path] = field(default_factory=set)

    @property
    def files(self) -> list[Path]:
        """The files that hold the items: images, tars or tables."""
        return [path for path in self.found.files if formats.name_of(path, KNOWN) == self.kind]

    def name(self, path: Path) -> str:
        """A file's path relative to the study's folder."""
        return Path(os.path.relpath(path, self.root)).as_posix()

    def unnamed(self) -> list[Path]:
        """Images that lie beside a table, and that no row of it names; known once the items were read."""
        if self.kind in ("image", "tar"):
            return []
        images = [path for path in self.found.files if formats.name_of(path, KNOWN) == "image"]
        return [path for path in images if path not in self.named]

    def items(self) -> Iterator[Item]:
        """Every image that can be found, numbered from 0; what is refused is in `bad`."""
        # Tars and tables import what this module defines.
        from keel.corpus.images import rows, tars

        self.bad, self.lone_captions, self.named = Tally(), Tally(), set()
        parts = {"image": _files, "tar": tars.items}.get(self.kind, rows.items)
        for place, item in enumerate(parts(self)):
            yield item._replace(number=place)


def open_images(root: Path, data: Data) -> ImageSource:
    """Find the files of a study's images, `root` being the study's folder.

    Raises:
        StudyError: nothing there, kinds that do not go together, or fields where there are none.
    """
    need_pillow()
    found = places.find(root, data.patterns, KNOWN)
    kinds = {formats.name_of(path, KNOWN) for path in found.files}
    kind = _kind(kinds, data)
    if problems := _fieldless(kind, data):
        raise StudyError.all(problems)
    source = ImageSource(root, found, data, kind, problems=[*found.notes, *_unread(found, kind, data)])
    if data.text == "twin":
        texts = (path for path in found.files if formats.name_of(path, KNOWN) == "txt")
        source.twins = {path.with_suffix(""): path for path in texts}
    return source


def _unread(found: Found, kind: str, data: Data) -> list[Problem]:
    """Files of known kinds that are no part of these data; images beside a table are (its rows name them)."""
    kinds = [formats.name_of(path, KNOWN) for path in found.files]
    used = {kind} | ({"txt"} if data.text == "twin" else set()) | (set() if kind in ("image", "tar") else {"image"})
    left = sorted({each for each in kinds if each not in used})
    fix = 'if they are captions, write text = "twin"' if left == ["txt"] else "nothing to do, or name them in [data]"
    return [
        Problem(f"{kinds.count(each)} {each} files are not read", f"the images are {kind} files", fix, "[data]")
        for each in left
    ]


def _kind(kinds: set[str], data: Data) -> str:
    """Which of the kinds that lie there hold the items.

    Raises:
        StudyError: none does, or several.
    """
    files = data.image == "file"
    held = sorted(kinds & ({"image", "tar"} if files else {"tar", *TABLES.values()}))
    if len(held) == 1:
        return held[0]
    where = ", ".join(data.patterns)
    if held:
        ending = "jpg" if held[0] == "image" else held[0]
        raise StudyError("several kinds of files hold images", why=", ".join(held), where=where,
                         fix=f'name one: [data] train = "folder/**/*.{ending}"')  # fmt: skip
    there = ", ".join(sorted(kinds))
    if files:
        raise StudyError("no file there is an image", why=f"found {there}", where=where,
                         fix="name the field that holds the image: [data] image = ...")  # fmt: skip
    raise StudyError("no file there has fields", why=f"found {there}", where=where, fix='write [data] image = "file"')


def _fieldless(kind: str, data: Data) -> list[Problem]:
    """Words for files where there are fields, and fields where there are only files."""
    where, found = "study.toml: [data]", []
    words = {"label": "folder", "text": "twin", "group": "folder"}
    for name, word in words.items():
        given = getattr(data, name)
        if kind == "image" and given not in (None, word):
            found.append(Problem(f"{name} = '{given}' names a field", "files of images have none",
                                 f'write {name} = "{word}", or remove it', where))  # fmt: skip
        if kind in ("parquet", "arrow") and given == word:
            found.append(Problem(f'{name} = "{word}" is of files', f"the images are in {kind} files",
                                 "name a column, or remove it", where))  # fmt: skip
    if kind not in ("image", "tar") and data.text == "twin" and kind not in ("parquet", "arrow"):
        found.append(Problem('text = "twin" is of files', f"the images are named in {kind} files",
                             "name the field of the caption", where))  # fmt: skip
    return found


# ---- files of images ----


def _files(source: ImageSource) -> Iterator[Item]:
    left = set(source.twins)
    for path in source.files:
        stem, key = path.with_suffix(""), source.found.key(path)
        left.discard(stem)
        caption = _twin(source, source.twins[stem]) if stem in source.twins else None
        folder = folder_of(key)
        yield Item(0, key, Place(path), folder if source.data.label else None, caption,
                   folder if source.data.group else None, path.name, source.name(path))  # fmt: skip
    for stem in sorted(left):
        source.lone_captions.add(
            Bad("caption without an image", "no image of its name", source.name(source.twins[stem]))
        )


def folder_of(key: str) -> str | None:
    """The folder of an item, below the data's own; None at its top.

    Example:
        >>> folder_of("cats/1.png"), folder_of("a/b/1.png"), folder_of("1.png")
        ('cats', 'a/b', None)
    """
    return key.rpartition("/")[0] or None


def _twin(source: ImageSource, path: Path) -> str | None:
    """The caption in a file beside an image; one that cannot be read is told, and the image has none then."""
    try:
        with path.open("rb") as file:
            line = file.readline(CAPTION_BYTES + 1)
    except OSError as error:
        source.bad.add(Bad("a caption cannot be read", error.strerror or str(error), source.name(path)))
        return None
    found = caption_of(line, source.name(path))
    if isinstance(found, Bad):
        source.bad.add(found)
        return None
    return found


def caption_of(line: bytes, where: str) -> str | Bad:
    """The first line of a caption's bytes, without white space around it.

    Example:
        >>> caption_of(b"A walnut.\\nde.utf8=Eine Walnuss.", "a.txt")
        'A walnut.'
    """
    first = line.split(b"\n", 1)[0]
    if len(first) > CAPTION_BYTES:
        return Bad("a caption is too long", f"its first line is over {CAPTION_BYTES >> 10} KiB", where)
    try:
        return first.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        return Bad("a caption is not UTF-8", f"byte {error.start}: {error.reason}", where)
