"""Where a study's images can be read for looking at: the store that runs read, else the files that [data] names."""

from __future__ import annotations

import dataclasses
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from keel.report.runs import Tree
from keel.study import Study

if TYPE_CHECKING:
    from keel.corpus.images.items import ImageSource, Item
    from keel.corpus.images.store import Store

SCANNED = 2000  # rows of tables, or samples of tars: what lies before one is read with it


class Read(NamedTuple):
    """An image's name, the bytes of its file (none where they cannot be read), and its caption."""

    name: str
    data: bytes
    caption: str | None


class Pile(Protocol):
    """Images by number, with the class of each."""

    @property
    def words(self) -> str: ...
    @property
    def labels(self) -> list[str | None]: ...
    def read(self, number: int) -> Read: ...


class Stored:
    """The images as runs read them."""

    words = "as runs read them"

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def labels(self) -> list[str | None]:
        """The class of each."""
        return [self.store.classes[label] if label >= 0 else None for label in self.store.labels().tolist()]

    def read(self, number: int) -> Read:
        """One image."""
        found = self.store[number]
        self.store.close()
        return Read(found.key, found.data, found.caption)


class Listed:
    """Rows of tables, or samples of tars: the first of them."""

    def __init__(self, source: ImageSource) -> None:
        self.items = list(islice(source.items(), SCANNED))

    @property
    def words(self) -> str:
        """How many were read."""
        return f"of the first {len(self.items):,} rows" if len(self.items) == SCANNED else "as the files hold them"

    @property
    def labels(self) -> list[str | None]:
        """The class of each."""
        return [item.label for item in self.items]

    def read(self, number: int) -> Read:
        """One image."""
        return _read(self.items[number])


class Filed:
    """A file each; a caption is read with its image alone."""

    words = "as the files hold them"

    def __init__(self, source: ImageSource) -> None:
        self.source, self.paths = source, source.files

    @property
    def labels(self) -> list[str | None]:
        """The class of each."""
        from keel.corpus.images.items import folder_of

        if not self.source.data.label:
            return [None] * len(self.paths)
        return [folder_of(self.source.found.key(path)) for path in self.paths]

    def read(self, number: int) -> Read:
        """One image."""
        alone = dataclasses.replace(self.source.found, files=[self.paths[number]])
        return _read(next(iter(dataclasses.replace(self.source, found=alone).items())))


def _read(item: Item) -> Read:
    data = item.read()
    return Read(item.key, data if isinstance(data, bytes) else b"", item.caption)


def pile_of(folder: Path, study: Study, seen: Tree) -> Pile:
    """The images of a study; `seen` is images.json.

    Raises:
        StudyError: neither a store nor the files are there.
    """
    from keel.corpus.images.items import open_images
    from keel.corpus.images.named import identity_of
    from keel.corpus.images.store import SCHEMA, Store
    from keel.files import read_json

    for path in sorted(folder.glob("runs/.images-*/index.json")):
        if read_json(path, SCHEMA).get("identity") == identity_of(seen):
            return Stored(Store(path.parent))
    source = open_images(folder, study.data)
    return Filed(source) if source.kind == "image" else Listed(source)
