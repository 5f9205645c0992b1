"""Near-duplicate images: a hash of 64 bits that says where brightness falls, held against a small picture of each.

The hash alone takes a red disc for a blue one; so a pair is near only if the small pictures agree as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

BITS, BANDS, SIDE = 64, 4, 8
# Two hashes that differ in fewer bits than there are bands agree in one band at least: none is missed.
THRESHOLD = BANDS - 1
# A step of brightness (of 255) below which a neighbour counts as equal: JPEG's noise on flat ground is no pattern.
STEP = 4
# Mean and largest difference of the small pictures, of 255: beyond what JPEG at quality 30, or half the size, does.
MEAN, MOST = 4.0, 32.0
BUCKET, GROUP, BLOCK, BESIDE = 20_000, 4_000, 1 << 22, 64
METHOD = (
    f"exact: sha256 of the bytes; near: dHash of {BITS} bits (9 x 8 grey, steps over {STEP} of 255, Hamming distance "
    f"<= {THRESHOLD}) and small pictures ({SIDE} x {SIDE} RGB) that differ by at most {MEAN:g} of 255 in the mean and "
    f"{MOST:g} anywhere"
)


class Print(NamedTuple):
    """dHash and small picture (SIDE * SIDE * 3 bytes) of an image."""

    bits: int
    small: bytes


def print_of(image: Image) -> Print:
    """Reference: Krawetz 2013, Kind of Like That (difference hash).

    Example:
        >>> from PIL import Image
        >>> print_of(Image.new("RGB", (40, 30), "red")).bits
        0
    """
    from PIL.Image import Resampling

    grey = np.asarray(image.convert("L").resize((9, 8), Resampling.LANCZOS), dtype=np.int16)
    bits = np.packbits(grey[:, :-1] - grey[:, 1:] > STEP)
    small = image.resize((SIDE, SIDE), Resampling.BOX).tobytes()
    return Print(int.from_bytes(bits.tobytes(), "big"), small)


def near_pairs(prints: Sequence[Print]) -> tuple[list[tuple[int, int]], int]:
    """Pairs of near images by index, and how many buckets were too large to hold all against all.

    Of images with one hash that agree, the first stands for the others. Of more than 20,000 hashes that share a band,
    or 4,000 images that share a hash, each is held against the 64 that follow it in order only.
    """
    if not prints:
        return [], 0
    hashes = np.array([each.bits for each in prints], dtype=np.uint64)
    pictures = np.frombuffer(b"".join(each.small for each in prints), np.uint8).reshape(len(prints), -1)
    values, inverse = np.unique(hashes, return_inverse=True)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    crowded = sum(len(group) > GROUP for group in members)
    found: set[tuple[int, int]] = set()
    firsts = [_firsts(pictures, group, found) for group in members]
    for rows in _buckets(values):
        crowded += len(rows) > BUCKET
        for one, other in _close(values, rows):
            for first in firsts[one]:
                found.update(_agreeing(pictures, int(first), firsts[other]))
    return sorted(found), crowded


def _firsts(pictures: np.ndarray, group: np.ndarray, found: set[tuple[int, int]]) -> np.ndarray:
    """Images of one hash, those left out that agree with an earlier one; each such pair is added to `found`."""
    firsts, rest = list[int](), group
    if len(group) > GROUP:
        rest = group[np.argsort(pictures[group].mean(axis=1), kind="stable")]
    while len(rest):
        first, rest = int(rest[0]), rest[1:]
        ahead = rest if len(group) <= GROUP else rest[:BESIDE]
        pairs = _agreeing(pictures, first, ahead)
        found.update(pairs)
        firsts.append(first)
        rest = rest[~np.isin(rest, [max(pair) if min(pair) == first else min(pair) for pair in pairs])]
    return np.array(firsts)


def _buckets(values: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of the hashes that share a band, two at least."""
    width = BITS // BANDS
    for band in range(BANDS):
        part = values >> np.uint64(band * width) & np.uint64((1 << width) - 1)
        order = np.argsort(part, kind="stable")
        cuts = np.flatnonzero(np.diff(part[order])) + 1
        yield from (rows for rows in np.split(order, cuts) if len(rows) > 1)


def _close(values: np.ndarray, rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of different hashes of a bucket within the threshold."""
    if len(rows) > BUCKET:
        rows = rows[np.argsort(values[rows])]
        for shift in range(1, BESIDE + 1):
            ahead, behind = rows[shift:], rows[:-shift]
            near = _ones(values[ahead] ^ values[behind]) <= THRESHOLD
            yield from zip(behind[near].tolist(), ahead[near].tolist())
        return
    step = max(1, BLOCK // len(rows))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        near = _ones(values[part][:, None] ^ values[rows][None, :]) <= THRESHOLD
        for one, other in zip(*np.nonzero(near)):
            if start + one < other:
                yield int(part[one]), int(rows[other])


def _ones(words: np.ndarray) -> np.ndarray:
    """How many bits of each word are set, in parallel sums of 2, 4 and 8 bits.

    Example:
        >>> _ones(np.array([0, 7, 2**64 - 1], dtype=np.uint64)).tolist()
        [0, 3, 64]
    """
    two, four, eight = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    words = words - (words >> np.uint64(1) & two)
    words = (words & four) + (words >> np.uint64(2) & four)
    words = words + (words >> np.uint64(4)) & eight
    return np.asarray((words * np.uint64(0x0101010101010101)) >> np.uint64(56))


def _agreeing(pictures: np.ndarray, one: int, others: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of `one` with those whose small pictures agree with its own."""
    gap = np.abs(pictures[others].astype(np.int16) - pictures[one].astype(np.int16))
    near = others[(gap.mean(axis=1) <= MEAN) & (gap.max(axis=1) <= MOST)] if len(others) else others
    return [(min(one, int(other)), max(one, int(other))) for other in near]


def clusters(pairs: Sequence[tuple[int, int]], same: Sequence[Sequence[int]]) -> list[list[int]]:
    """Groups of two or more alike images, from near pairs and from groups of equal bytes.

    Example:
        >>> clusters([(0, 1), (1, 2)], [[5, 6]])
        [[0, 1, 2], [5, 6]]
    """
    parents: dict[int, int] = {}

    def root(number: int) -> int:
        while parents.setdefault(number, number) != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    for one, *others in (*pairs, *same):
        for other in others:
            low, high = sorted((root(one), root(other)))
            parents[high] = low
    groups: dict[int, list[int]] = {}
    for number in sorted(parents):
        groups.setdefault(root(number), []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def report(found: Mapping[str, Any]) -> dict[str, Any]:
    """The part of images.json about duplicates: what was found, by which method and thresholds."""
    return {**found, "threshold_bits": THRESHOLD, "threshold_mean": MEAN, "threshold_most": MOST, "method": METHOD}
