"""runs/ID/retrieved.json read and held against its form: captions, each with the images that a model finds for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import Problem, StudyError
from keel.files import read_json
from keel.report.thumbnail import is_picture
from keel.report.words import number

FILE, SCHEMA = "retrieved.json", "keel.retrieved/1"
NEAREST = 5


class Hit(NamedTuple):
    """An image that was found; `right`: the caption is its own."""

    image: int
    right: bool
    uri: str


class Query(NamedTuple):
    """A caption, the images nearest to it, nearest first, and the rank of its own among all candidates, from 1."""

    caption: str
    rank: float
    found: tuple[Hit, ...]


class Retrieved(NamedTuple):
    """What a run retrieved of so many held-out images."""

    candidates: int
    queries: tuple[Query, ...]


def read(path: Path) -> Retrieved:
    """The file of one run.

    Raises:
        StudyError: another schema; what is not of its form, and a picture that is not one: all of it.
    """
    tree, problems = read_json(path, SCHEMA), list[Problem]()
    candidates = number(tree, "candidates")
    if candidates is None:
        problems.append(_wrong(path, "candidates", "no number of candidates"))
    rows = tree.get("rows")
    queries = [_query(path, place, row, problems) for place, row in enumerate(rows if isinstance(rows, list) else ())]
    if not isinstance(rows, list):
        problems.append(_wrong(path, "rows", "no list of captions"))
    if problems:
        raise StudyError.all(problems)
    return Retrieved(int(candidates or 0), tuple(query for query in queries if query))


def _query(path: Path, place: int, row: Any, problems: list[Problem]) -> Query | None:
    tree = row if isinstance(row, Mapping) else {}
    caption, rank, found = tree.get("caption"), number(tree, "rank"), tree.get("found")
    if not isinstance(caption, str) or rank is None or rank < 1 or not isinstance(found, list):
        problems.append(_wrong(path, f"rows[{place}]", "no caption, rank from 1 and list of what was found"))
        return None
    hits = [_hit(path, f"rows[{place}].found[{at}]", each, problems) for at, each in enumerate(found[:NEAREST])]
    return Query(caption, rank, tuple(hit for hit in hits if hit))


def _hit(path: Path, where: str, item: Any, problems: list[Problem]) -> Hit | None:
    tree = item if isinstance(item, Mapping) else {}
    image, right, uri = number(tree, "image"), tree.get("right"), tree.get("png")
    if image is None or not isinstance(right, bool):
        problems.append(_wrong(path, where, "no number of an image, or not whether it is right"))
        return None
    if not is_picture(uri):
        problems.append(_wrong(path, where, "no small PNG or JPEG as a data URI, and nothing else may stand in a page"))
        return None
    return Hit(int(image), right, str(uri))


def _wrong(path: Path, field: str, why: str) -> Problem:
    return Problem(f"{field} cannot be read", why, f"delete {FILE}, or let `keel run` make it again", str(path))
