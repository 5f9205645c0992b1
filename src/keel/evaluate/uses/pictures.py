"""Rows that name image files: every file found, read and looked at, and what is wrong told all at once. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from keel.corpus.images.bad import Bad, Tally, need_pillow
from keel.corpus.images.decode import decode, glimpse
from keel.errors import StudyError
from keel.evaluate.uses import rows
from keel.evaluate.uses.rows import Row, Split
from keel.files import digest, sha256_bytes, sha256_file

FIX = "mend or remove it: a row names its image by a path relative to the eval file"


class Named(NamedTuple):
    """An image file of a row, and the sha256 of its bytes; of equal files the first one."""

    path: Path
    sha256: str


def named(table: Path, names: Iterable[str], *, whole: bool = False) -> dict[str, Named]:
    """The files that rows of `table` name, each once; `whole`: all that can be decoded is, not the header alone.

    Raises:
        StudyError: files that are missing or no sound images, all counted, the first of them named; no Pillow.
    """
    need_pillow()
    found, first, wrong = dict[str, Named](), dict[str, Path](), Tally()
    for name in dict.fromkeys(names):
        path = table.parent / name
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as error:  # a name with a zero byte is no path
            reason = getattr(error, "strerror", None) or str(error)
            wrong.add(Bad("the image cannot be read", reason, str(path)))
            continue
        seen = decode(data, where=str(path)) if whole else glimpse(data, str(path))
        if isinstance(seen, Bad):
            wrong.add(seen)
        sha256 = sha256_bytes(data)
        found[name] = Named(first.setdefault(sha256, path), sha256)
    if wrong:
        raise StudyError.all(each._replace(where=str(table)) for each in wrong.problems(FIX))
    return found


def split(given: Sequence[Row], files: dict[str, Named]) -> Split:
    """As `rows.split`, by the hash of group or of the image's bytes, so that equal images stay on one side.

    `text` of the rows that come back is the path of the file.
    """
    made = rows.split([row._replace(text=files[row.text].sha256, number=place) for place, row in enumerate(given)])
    return Split(*([placed(given[row.number], files) for row in side] for side in made))


def placed(row: Row, files: dict[str, Named]) -> Row:
    """The same row with the path of its file."""
    return row._replace(text=str(files[row.text].path))


def sha256_of(table: Path, names: Iterable[str]) -> str:
    """Digest of the table and of the images that it names; a file that is gone has none."""
    paths = {name: table.parent / name for name in sorted(set(names))}
    images = {name: sha256_file(path) if path.is_file() else "" for name, path in paths.items()}
    return digest({"table": sha256_file(table), "images": images})
