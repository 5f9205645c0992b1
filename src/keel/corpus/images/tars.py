"""Samples of webdataset tars: members of one stem are a sample, their endings its fields, "json:key" a JSON's value."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from keel.corpus.images.bad import Bad
from keel.corpus.images.decode import ENDINGS
from keel.corpus.images.items import ImageSource, Item, Place, caption_of, folder_of
from keel.corpus.packed import unreadable

TEXT_BYTES = 1 << 20
# In place of the words for files, what stands for them in a tar.
TWIN = "txt"


class Sample(NamedTuple):
    """The members of one stem, by ending."""

    stem: str
    fields: dict[str, Place]


def items(source: ImageSource) -> Iterator[Item]:
    """Every sample with an image."""
    for path in source.files:
        for sample in _samples(source, path):
            if item := _item(source, path, sample):
                yield item


def _samples(source: ImageSource, path: Path) -> Iterator[Sample]:
    """Samples of one tar, from its headers alone, in the order of their first members.

    Raises:
        StudyError: it is no tar, or it is cut short.
    """
    found: dict[str, Sample] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isdir():
                    continue
                where = f"{source.name(path)}:{member.name}"
                if bad := _refused(member, where):
                    source.bad.add(bad)
                    continue
                stem, field = split_name(member.name)
                sample = found.setdefault(stem, Sample(stem, {}))
                if field in sample.fields:
                    source.bad.add(Bad("two members of one name", "the first is taken", where))
                    continue
                sample.fields[field] = Place(path, member.offset_data, member.size)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise unreadable(path, error) from error
    yield from found.values()


def split_name(name: str) -> tuple[str, str]:
    """Stem and field: the first dot of the last part divides them.

    Example:
        >>> split_name("cats/0001.seg.png"), split_name("0001")
        (('cats/0001', 'seg.png'), ('0001', ''))
    """
    path = PurePosixPath(name)
    stem, _, field = path.name.partition(".")
    return (path.parent / stem).as_posix(), field.lower()


def _refused(member: tarfile.TarInfo, where: str) -> Bad | None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name[:2]:
        return Bad("a member names a place outside the tar", "its name is absolute, or has '..' or a drive", where)
    if not member.isreg() or member.issparse():
        return Bad("a member is no plain file", "links and devices are not followed", where)
    return None


def _item(source: ImageSource, path: Path, sample: Sample) -> Item | None:
    data, where = source.data, f"{source.name(path)}:{sample.stem}"
    field = _image_field(sample, data.image or "")
    json_values = _Json(source, sample, where)
    caption = json_values.text(data.text if data.text != "twin" else TWIN)
    if field is None:
        if caption is not None:
            source.lone_captions.add(Bad("caption without an image", f"it has: {', '.join(sample.fields)}", where))
        else:
            source.bad.add(Bad("a sample has no image", f"it has: {', '.join(sample.fields)}", where))
        return None
    folder = folder_of(sample.stem)
    label = folder if data.label == "folder" else json_values.text(data.label)
    group = folder if data.group == "folder" else json_values.text(data.group)
    key = f"{source.found.key(path)}#{sample.stem}"
    return Item(0, key, sample.fields[field], label, caption, group, f"{sample.stem}.{field}", where)


def _image_field(sample: Sample, wanted: str) -> str | None:
    """The member that is the image: of the endings "jpg;png" the first that is there; "file": any image's."""
    if wanted == "file":
        return next((field for field in sample.fields if f".{field.rpartition('.')[2]}" in ENDINGS), None)
    return next((field for field in wanted.lower().split(";") if field.strip(".") in sample.fields), None)


class _Json:
    """Texts of one sample's fields; its JSON is read once, when it is first asked for."""

    def __init__(self, source: ImageSource, sample: Sample, where: str) -> None:
        self.source, self.sample, self.where = source, sample, where
        self.read: dict[str, Mapping[str, object]] = {}

    def text(self, field: str | None) -> str | None:
        """The text of a field: of a member, or "json:key" of a JSON member; None where it is not there."""
        if field is None:
            return None
        name, _, key = field.partition(":")
        if name not in self.sample.fields:
            return None
        place = self.sample.fields[name]
        if place.size > TEXT_BYTES:
            self._refuse(f"{name} is too long", f"it has {place.size} bytes, and the most is {TEXT_BYTES}")
            return None
        if not key:
            found = caption_of(place.read(), self.where)
            if not isinstance(found, Bad):
                return found
            self._refuse(found.what, found.why)
            return None
        value = self._values(name, place).get(key)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, (dict, list)):
            self._refuse(f"{field} is no text", f"found {type(value).__name__}")
            return None
        return str(value)

    def _values(self, name: str, place: Place) -> Mapping[str, object]:
        if name not in self.read:
            self.read[name] = {}
            try:
                value = json.loads(place.read())
                if isinstance(value, dict):
                    self.read[name] = value
                else:
                    self._refuse(f"{name} is no JSON object", f"found {type(value).__name__}")
            except (ValueError, RecursionError) as error:
                self._refuse(f"{name} is no JSON", str(error)[:160])
        return self.read[name]

    def _refuse(self, what: str, why: str) -> None:
        self.source.bad.add(Bad(what, why, self.where))
