"""A handful of a study's images, small, in groups of a class each; the choice is even, and always the same."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeVar

from keel.errors import StudyError
from keel.report.piles import Pile, Read, pile_of
from keel.report.runs import Tree
from keel.report.thumbnail import uri_of
from keel.study import Study

T = TypeVar("T")
# Pictures of all groups together, of one, of images without classes; groups; characters of all pictures.
MOST, EACH, ALONE, GROUPS, CHARACTERS = 72, 8, 18, 24, 250_000
NO_PILLOW = "pillow is not installed (pip install 'keel[images]')"


class Tile(NamedTuple):
    """A picture as a data URI, the name of its file, and its caption."""

    uri: str
    name: str
    caption: str | None


class Group(NamedTuple):
    """Images of one class; of none in particular where `label` is None."""

    label: str | None
    images: int
    tiles: tuple[Tile, ...]


class Sheet(NamedTuple):
    """What can be shown, where it was read, and what is left out or cannot be shown."""

    groups: tuple[Group, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()


def sheet_of(folder: Path, study: Study, seen: Tree) -> Sheet:
    """The sheet of a study; `seen` is images.json. It never fails: one without pictures says why."""
    if find_spec("PIL") is None:
        return Sheet(notes=(f"No picture is shown: {NO_PILLOW}.",))
    try:
        return chosen(pile_of(folder, study, seen), study.data.background)
    except StudyError as error:
        why = f"{error.problems[0].what}: {error.problems[0].why}"
    except (OSError, ValueError, LookupError) as error:  # a store or a file that is not what it was
        why = str(error)
    return Sheet(notes=(f"No picture is shown: {why}.",))


def chosen(pile: Pile, background: str) -> Sheet:
    """Evenly from each class, the largest first; of many classes evenly from the largest to the smallest."""
    groups: dict[str | None, list[int]] = {}
    for number, label in enumerate(pile.labels):
        groups.setdefault(label, []).append(number)
    ordered = sorted(groups, key=lambda label: (label is None, -len(groups[label]), label or ""))
    shown = spread(ordered, GROUPS)
    each = ALONE if ordered == [None] else max(1, min(EACH, MOST // max(1, len(shown))))
    picked = {label: spread(groups[label], each) for label in shown}
    tiles: dict[str | None, list[Tile]] = {label: [] for label in shown}
    room, bad, left = CHARACTERS, 0, 0
    # One of each class before a second of any: where room ends, it ends for all alike.
    for label, number in (
        (label, of[place]) for place in range(each) for label, of in picked.items() if place < len(of)
    ):
        tile = _tile(pile.read(number), background)
        if tile is None:
            bad += 1
        elif len(tile.uri) > room:
            left, room = left + 1, 0
        else:
            tiles[label].append(tile)
            room -= len(tile.uri)
    made = tuple(Group(label, len(groups[label]), tuple(tiles[label])) for label in shown if tiles[label])
    return Sheet(made, pile.words, tuple(_notes(len(made), len(ordered), bad, left)))


def _notes(shown: int, classes: int, bad: int, left: int) -> list[str]:
    said = {
        f"{shown} of {classes:,} classes are shown, from the largest to the smallest.": shown < classes,
        f"{bad} of the images chosen cannot be read.": bad,
        f"{left} more were chosen, and left out to keep this page small.": left,
    }
    return [words for words, holds in said.items() if holds]


def _tile(read: Read, background: str) -> Tile | None:
    from keel.corpus.images.decode import Decoded, colour_of, decode

    found = decode(read.data, colour_of(background), read.name)
    return Tile(uri_of(found.image), read.name, read.caption) if isinstance(found, Decoded) else None


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most `most` of them, evenly apart, the first and the last among them.

    Example:
        >>> spread("abcdefg", 3), spread("ab", 3)
        (['a', 'd', 'g'], ['a', 'b'])
    """
    if len(items) <= most:
        return list(items)
    return [items[place * (len(items) - 1) // max(1, most - 1)] for place in range(most)]
