"""Images of tables: a column of bytes (or of {bytes, path}, as `datasets` writes it), or a field that names a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from keel.corpus import formats
from keel.corpus.formats import Record
from keel.corpus.images.bad import Bad
from keel.corpus.images.items import Held, ImageSource, Item, Place, folder_of
from keel.errors import Problem, StudyError, nearest

WHERE = "study.toml: [data]"


def items(source: ImageSource) -> Iterator[Item]:
    """Every row with an image.

    Raises:
        StudyError: the first row has not the fields that [data] names; a table that cannot be read.
    """
    data, first = source.data, True
    names = [data.image, data.label if data.label != "folder" else None, data.text, data.group]
    columns = list(dict.fromkeys(name for name in names if name and name != "folder"))
    for path in source.files:
        for record in formats.records(path, data.encoding, columns):
            if first:
                _check(record, columns, f"{source.name(path)}:{record.number}")
                first = False
            if item := _item(source, path, record):
                yield item


def _check(record: Record, wanted: list[str], where: str) -> None:
    known = [str(name) for name in record.keys or record.values]
    missing = [name for name in wanted if name not in known]
    if missing:
        raise StudyError.all(
            Problem(f"there is no field '{name}'", f"the first record ({where}) has: {', '.join(known) or 'no fields'}",
                    nearest(name, known) if known else "mend the first record", WHERE)
            for name in missing
        )  # fmt: skip


def _item(source: ImageSource, path: Path, record: Record) -> Item | None:
    data, where = source.data, f"{source.name(path)}:{record.number}"
    caption = _text(source, record, data.text, where)
    found = _image(source, path, record.values.get(data.image or ""))
    if found is None or isinstance(found, Bad):
        if found is None and caption:
            source.lone_captions.add(Bad("caption without an image", "the row's image is empty", where))
        else:
            source.bad.add((found or Bad("a row has no image", "its image is empty", where))._replace(where=where))
        return None
    place, name = found
    if isinstance(place, Place):
        source.named.add(place.path)
    folder = folder_of(source.found.key(place.path)) if isinstance(place, Place) else None
    label = folder if data.label == "folder" else _text(source, record, data.label, where)
    group = folder if data.group == "folder" else _text(source, record, data.group, where)
    key = f"{source.found.key(path)}#{record.number}"
    return Item(0, key, place, label, caption, group, name, f"{where} ({name})" if name else where)


def _text(source: ImageSource, record: Record, field: str | None, where: str) -> str | None:
    """A field's text; a number as it is written; None where the row has none."""
    value = record.values.get(field) if field else None
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return str(value)
    source.bad.add(Bad(f"'{field}' is no text", f"found {type(value).__name__}; name a field that holds one", where))
    return None


def _image(source: ImageSource, table: Path, value: Any) -> tuple[Place | Held, str] | Bad | None:
    """Where the bytes are and what the file is called; None where the row has no image."""
    name = ""
    if isinstance(value, Mapping):
        name = str(value.get("path") or "")
        value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
    if value is None or value == "":
        return None
    if isinstance(value, bytes):
        return Held(value), os.path.basename(name)
    if isinstance(value, str):
        found = inside(source.found.base, table.parent, value)
        return found if isinstance(found, Bad) else (Place(found), found.name)
    return Bad("the image is neither bytes nor a path", f"found {type(value).__name__}", "")


def inside(base: Path, folder: Path, name: str) -> Path | Bad:
    """The file that a row of a table in `folder` names, within the data's folder `base`."""
    what = "a path leads out of the data's folder"
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or PureWindowsPath(name).root:
        return Bad(what, f"{name[:120]!r} is absolute: write it relative to the table", "")
    if ".." in PurePosixPath(name).parts or ".." in PureWindowsPath(name).parts:
        return Bad(what, f"{name[:120]!r} has '..'", "")
    try:
        path = folder / name
        if not path.resolve().is_relative_to(base.resolve()):
            return Bad(what, f"{name[:120]!r} is a link to a place outside", "")
        if not path.is_file():
            return Bad("a row names a file that is not there", f"{name[:120]!r}", "")
    except (ValueError, OSError) as error:
        return Bad("a row names no path", f"{name[:80]!r}: {error}"[:200], "")
    return path
