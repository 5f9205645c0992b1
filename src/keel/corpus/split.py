"""Which documents are held out: by group, by document, by piece, or by time; near-duplicates stay on one side.

A unit's place is u = hash(salt, key) in [0, 1); it is held out when u < threshold. So the answer needs no list, and a
document that comes later cannot move another.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from keel.corpus.readers import Document
from keel.errors import StudyError

SALT = "keel-split-1"
SHARE, MOST_BYTES, LEAST_BYTES, LEAST_SHARE = 0.05, 20_000_000, 100_000, 0.08
# A corpus of few uneven documents may hold out far too much at one salt: the first salt that is near enough is taken.
NEAR_ENOUGH, SALTS = 1.25, 64
PIECE_CHARACTERS = 8192
MOST_UNITS = 5_000_000
WORD = (1 << 64) - 1


@dataclass
class Units:
    """What the split must know of each document, in 24 bytes: hashed key, size, time. The first 5 million count."""

    hashes: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    times: array[float] = field(default_factory=lambda: array("d"))
    kinds: dict[bool, str] = field(default_factory=dict)

    def add(self, document: Document, size: int, timed: bool) -> None:
        """Note a document; with `timed`, its time too.

        Raises:
            StudyError: the time is missing, cannot be ordered, or is a number where others are dates.
        """
        if len(self.hashes) >= MOST_UNITS:
            return
        self.hashes.append(int(key_hash(split_key(document)), 16))
        self.sizes.append(size)
        if timed:
            self.times.append(time_key(document.time, document.key))
            self.kinds.setdefault(_is_number(document.time or ""), document.key)
            if len(self.kinds) > 1:
                raise StudyError("some times are numbers and some are dates", why=" and ".join(self.kinds.values()),
                                 fix="write all in one way", where="[data] time")  # fmt: skip

    @property
    def bytes(self) -> int:
        """Bytes of the documents noted."""
        return sum(self.sizes)

    def distinct(self) -> int:
        """How many different units there are."""
        return len(np.unique(np.asarray(self.hashes)))


# ---- keys and places ----


def key_hash(key: str) -> str:
    """A short stable name of a group or document.

    Example:
        >>> key_hash("a.txt#0")
        'ac26c32ae60b170a'
    """
    return hashlib.sha256(f"{SALT}\0{key}".encode(errors="surrogatepass")).hexdigest()[:16]


def place(hashed: str, salt: str = SALT) -> float:
    """u in [0, 1) of a hashed key.

    Example:
        >>> place("8000000000000000"), round(place("8000000000000000", SALT + "/1"), 4)
        (0.5, 0.2817)
    """
    return float(_places(np.array([int(hashed, 16)], dtype=np.uint64), _number(salt))[0])


def _places(hashes: np.ndarray, number: int) -> np.ndarray:
    """u of many keys, shape (n,). Salt 0 takes the hash as it is; others mix it.

    Reference: Steele et al. 2014, Fast splittable pseudorandom number generators (SplitMix64).
    """
    mixed = hashes
    if number:
        mixed = mixed + np.uint64(number * 0x9E3779B97F4A7C15 & WORD)
        mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ mixed >> np.uint64(31)
    return np.asarray(mixed / 2.0**64)


def _number(salt: str) -> int:
    return int(salt.removeprefix(SALT).removeprefix("/") or 0)


def split_key(document: Document) -> str:
    """The unit that is never cut: the group, else the document."""
    return document.group if document.group is not None else document.key


def together(sets: Iterable[Iterable[str]]) -> dict[str, str]:
    """{key_hash: canonical key_hash} so that the keys of each set, and of sets that share a key, have one place."""
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while parents.setdefault(key, key) != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    for keys in sets:
        roots = sorted({root(key) for key in keys})
        for other in roots[1:]:
            parents[other] = roots[0]
    return {key: root(key) for key in sorted(parents) if root(key) != key}


# ---- times ----


def time_key(time: str | None, where: str = "") -> float:
    """A number that orders times: of a number itself, of an ISO date its seconds since 1970 (UTC if it names no zone).

    Example:
        >>> time_key("1994"), time_key("1970-01-02"), time_key("1970-01-01T01:00:00+01:00")
        (1994.0, 86400.0, 0.0)
    """
    if time is None or not time.strip():
        raise StudyError("a document has no time", why="its time field is empty", where=where,
                         fix="fill it in, or remove [data] time")  # fmt: skip
    try:
        if _is_number(time):
            return float(time)
        moment = datetime.fromisoformat(time.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError as error:
        raise StudyError(f"{time[:40]!r} is not a time", why="times must be ISO dates or numbers", where=where,
                         fix="write 2024-05-31, or remove [data] time") from error  # fmt: skip


def _is_number(time: str) -> bool:
    try:
        return math.isfinite(float(time))
    except ValueError:
        return False


def _show_time(key: float, number: bool) -> str:
    return f"{key:.17g}" if number else datetime.fromtimestamp(key, UTC).isoformat()


# ---- the split ----


def choose(units: Units, by: str, moved: Mapping[str, str], scale: float = 1.0) -> dict[str, Any]:
    """The split of a corpus from its documents, or a sample of 1/`scale` of it: about 5 % of bytes, at most 20 MB.

    Small corpora hold out 100 kB or 8 %, whichever is less; there is at least one unit on either side.

    Raises:
        StudyError: fewer than two units: nothing can be held out.
    """
    total = units.bytes
    share = max(SHARE, min(LEAST_SHARE, LEAST_BYTES / max(1.0, total * scale)))
    wanted = min(share * total, MOST_BYTES / scale)
    if by == "time":
        threshold: float | str = _time_threshold(units, wanted)
        salt = SALT
    else:
        threshold, salt = _threshold(_merged(units, moved), wanted, by)
    split = {"by": by, "threshold": threshold, "salt": salt, "fraction": 0.0, "moved": dict(moved)}
    held = np.asarray(units.sizes)[mask(units, split)].sum()
    return split | {"fraction": float(held / total)}


def mask(units: Units, split: Mapping[str, Any]) -> np.ndarray:
    """Which documents are held out, shape (documents,), bool."""
    if split["by"] == "time":
        return np.asarray(units.times) >= time_key(split["threshold"])
    u = _places(_moved_hashes(units, split["moved"]), _number(split["salt"]))
    return np.asarray(u < float(split["threshold"]))


def is_heldout(split: Mapping[str, Any], document: Document) -> bool:
    """Whether a document is held out."""
    if split["by"] == "time":
        return time_key(document.time, document.key) >= time_key(split["threshold"])
    hashed = key_hash(split_key(document))
    return place(split["moved"].get(hashed, hashed), split["salt"]) < float(split["threshold"])


def _moved_hashes(units: Units, moved: Mapping[str, str]) -> np.ndarray:
    hashes = np.array(units.hashes, dtype=np.uint64)
    if moved:
        keys = np.array(sorted(int(key, 16) for key in moved), dtype=np.uint64)
        values = np.array([int(moved[f"{int(key):016x}"], 16) for key in keys], dtype=np.uint64)
        at = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
        hashes = np.where(keys[at] == hashes, values[at], hashes)
    return hashes


def _merged(units: Units, moved: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the units and their bytes."""
    hashes, inverse = np.unique(_moved_hashes(units, moved), return_inverse=True)
    return hashes, np.bincount(inverse, weights=np.asarray(units.sizes, dtype=np.float64))


def _threshold(merged: tuple[np.ndarray, np.ndarray], wanted: float, by: str) -> tuple[float, str]:
    """Threshold and salt; held-out bytes reach `wanted`, and pass it by a quarter at most where some salt allows it."""
    hashes, sizes = merged
    if len(hashes) < 2:
        why = {
            "piece": f"the corpus is one document of less than two pieces of {PIECE_CHARACTERS} characters",
            "group": "all documents belong to one group, or repeat one another",
        }.get(by, "all documents repeat one another")
        raise StudyError("nothing can be held out", why=why, fix="bring more documents, or choose another [data] group",
                         where="study.toml: [data]")  # fmt: skip
    best = (math.inf, 0.0, SALT)
    for number in range(SALTS):
        u = _places(hashes, number)
        rank = np.argsort(u)
        sums = np.cumsum(sizes[rank])[:-1]
        last = min(int(np.searchsorted(sums, wanted)), len(sums) - 1)
        miss = abs(math.log(sums[last] / wanted))
        if miss < best[0]:
            threshold = float((u[rank[last]] + u[rank[last + 1]]) / 2)
            best = (miss, threshold, f"{SALT}/{number}" if number else SALT)
        if miss <= math.log(NEAR_ENOUGH):
            break
    return best[1], best[2]


def _time_threshold(units: Units, wanted: float) -> str:
    """The latest time such that what comes at or after it holds about `wanted` bytes."""
    times, inverse = np.unique(np.asarray(units.times), return_inverse=True)
    number = True in units.kinds
    if len(times) < 2:
        only = _show_time(float(times[0]), number) if len(times) else "nothing"
        raise StudyError("a time split needs two times", why=f"all documents say {only}",
                         fix="choose another [data] time, or remove it", where="study.toml: [data] time")  # fmt: skip
    latest = np.cumsum(np.bincount(inverse, weights=np.asarray(units.sizes, dtype=np.float64))[::-1])[:-1]
    last = min(int(np.searchsorted(latest, wanted)), len(latest) - 1)
    return _show_time(float(times[len(times) - 1 - last]), number)


def pieces(document: Document) -> list[Document]:
    """A document in parts of about 8 KiB cut at line ends: the units of a corpus of one document."""
    parts, current, size = [], [], 0
    for block in document.text.splitlines(keepends=True):
        for start in range(0, len(block), PIECE_CHARACTERS):
            current.append(block[start : start + PIECE_CHARACTERS])
            size += len(current[-1])
            if size >= PIECE_CHARACTERS:
                parts.append("".join(current))
                current, size = [], 0
    parts += ["".join(current)] if size else []
    named = ((f"{document.key}/{number}", part) for number, part in enumerate(parts))
    return [Document(key, part, None, document.time) for key, part in named if part.strip()]
