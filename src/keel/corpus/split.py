"""Which documents are held out: by group, by document, or by time; near-duplicates stay on one side.

A group's place is u = sha256(salt, group) in [0, 1); it is held out when u < threshold. So the answer needs no list,
and a document that comes later cannot move another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keel.corpus.readers import Document
from keel.errors import StudyError

SALT = "keel-split-1"
SHARE, MOST_BYTES, LEAST_BYTES, LEAST_SHARE = 0.05, 20_000_000, 100_000, 0.08
PIECE_CHARACTERS = 8192


class Item(NamedTuple):
    """What the split must know of a document."""

    key: str
    time: str | None
    bytes: int


def key_hash(key: str) -> str:
    """A short stable name of a group or document.

    Example:
        >>> key_hash("a.txt#0")
        '03fc6213eba0b3cb'
    """
    return hashlib.sha256(f"{SALT}\0{key}".encode()).hexdigest()[:16]


def place(hashed: str) -> float:
    """u in [0, 1) of a hashed key."""
    return int(hashed, 16) / 16.0 ** len(hashed)


def split_key(document: Document) -> str:
    """The unit that is never cut: the group, else the document."""
    return document.group if document.group is not None else document.key


def choose(items: Sequence[Item], by: str, moved: Mapping[str, str]) -> dict[str, Any]:
    """The split of a corpus from (a sample of) its documents: about 5 % of bytes, at most 20 MB, at least one unit.

    Raises:
        StudyError: fewer than two units: nothing can be held out.
    """
    total = sum(item.bytes for item in items)
    small = max(SHARE, min(LEAST_SHARE, LEAST_BYTES / max(1, total)))
    wanted = min(small * total, MOST_BYTES)
    if by == "time":
        return {"by": by, "threshold": _time_threshold(items, wanted), "salt": SALT, "fraction": wanted / total, "moved": {}}
    units: dict[float, int] = {}
    for item in items:
        u = place(moved.get(key_hash(item.key), key_hash(item.key)))
        units[u] = units.get(u, 0) + item.bytes
    if len(units) < 2:
        raise StudyError("nothing can be held out", why="the corpus is one group, or all its documents are near-duplicates",
                         fix="bring more documents, or choose another [data] group", where="[data]")  # fmt: skip
    ordered, threshold, held = sorted(units), 0.0, 0
    for u, after in zip(ordered, ordered[1:]):
        held += units[u]
        threshold = (u + after) / 2
        if held >= wanted:
            break
    return {"by": by, "threshold": threshold, "salt": SALT, "fraction": held / total, "moved": dict(moved)}


def _time_threshold(items: Sequence[Item], wanted: float) -> str:
    """The latest time such that what comes at or after it holds about `wanted` bytes."""
    times: dict[str, int] = {}
    for item in items:
        if item.time is None:
            raise StudyError("a document has no time", why=f"{item.key}: the time field is null",
                             fix="fill it in, or remove [data] time", where=item.key)  # fmt: skip
        times[item.time] = times.get(item.time, 0) + item.bytes
    if len(times) < 2:
        raise StudyError("a time split needs two times", why=f"all documents say {next(iter(times))!r}",
                         fix="choose another [data] time, or remove it", where="[data] time")  # fmt: skip
    held, chosen = 0, ""
    for time in sorted(times, reverse=True)[:-1]:
        held, chosen = held + times[time], time
        if held >= wanted:
            break
    return chosen


def is_heldout(split: Mapping[str, Any], document: Document) -> bool:
    """Whether a document is held out."""
    if split["by"] == "time":
        return (document.time or "") >= split["threshold"]
    hashed = key_hash(split_key(document))
    return place(split["moved"].get(hashed, hashed)) < float(split["threshold"])


def pieces(document: Document) -> list[Document]:
    """A document in parts of about 8 KiB cut at paragraphs or lines: the units of a corpus of one document."""
    parts, current, size = [], [], 0
    for block in document.text.splitlines(keepends=True):
        for start in range(0, len(block), PIECE_CHARACTERS):
            current.append(block[start : start + PIECE_CHARACTERS])
            size += len(current[-1])
            if size >= PIECE_CHARACTERS:
                parts.append("".join(current))
                current, size = [], 0
    parts += ["".join(current)] if size else []
    return [
        Document(f"{document.key}/{number}", part, None, document.time) for number, part in enumerate(parts) if part.strip()
    ]  # fmt: skip
