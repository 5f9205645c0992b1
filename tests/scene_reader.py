"""A reader of drawn scenes that knows nothing of how they were drawn: what stands where, and what is true of it."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

import numpy as np

from keel.corpus.scene_pictures import NOISE, RGB
from keel.corpus.scenes import COLOURS, SHAPES, SIZES

CELLS = list(itertools.product(range(3), repeat=2))


class Seen(NamedTuple):
    """A thing by its pixels: its middle in pixels too."""

    size: str
    colour: str
    shape: str
    x: float
    y: float


def read(image: np.ndarray) -> tuple[str, list[Seen]]:
    """The ground, and what stands in each cell by colour, extent and the silhouette of its rows."""
    ground = nearest(np.median(image.reshape(-1, 3), axis=0))
    apart = np.abs(image.astype(int) - RGB[ground]).max(axis=2) > 2 * NOISE
    cell, seen = len(image) // 3, []
    for row, column in CELLS:
        there = apart[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
        if there.any():
            ys, xs = np.nonzero(there)
            tall = int(np.ptp(ys)) + 1
            widths = np.array([np.ptp(xs[ys == y]) + 1 for y in np.unique(ys)])
            pixels = image[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell][there]
            middle = xs.min() + np.ptp(xs) / 2 + column * cell, ys.min() + np.ptp(ys) / 2 + row * cell
            size = "large" if tall > cell / 1.5 else "small"
            seen.append(Seen(size, nearest(pixels.mean(axis=0)), silhouette(widths / tall), *middle))
    return ground, seen


def nearest(colour: np.ndarray) -> str:
    return min(RGB, key=lambda name: float(np.abs(colour - np.array(RGB[name])).sum()))


def silhouette(widths: np.ndarray) -> str:
    """A square has one width; a triangle grows; a cross is wide in the middle third alone."""
    if widths.min() > 0.95:
        return "square"
    if widths[0] < 0.3 and widths[-1] > 0.9:
        return "triangle"
    return "cross" if len(np.unique(widths)) == 2 and widths.mean() < 0.75 else "circle"


NAMED = re.compile(rf"a ({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})")


def is_true(words: str, image: np.ndarray) -> bool:
    """Whether a caption holds of an image: each thing once, each relation by the middles, the place, the ground."""
    ground, seen = read(image)
    named = NAMED.findall(words)
    between = [part.strip() for part in NAMED.split(words)[4::4]]
    if not words.endswith(f" on {ground}") or sorted(named) != sorted(thing[:3] for thing in seen):
        return False
    if len(seen) == 1:
        return re.sub(" on .*", "", between[0]) == f"at the {place_words(seen[0], len(image))}"
    orders = itertools.permutations(seen)
    return any(
        [thing[:3] for thing in order] == named and all(map(holds, between[:-1], order, order[1:])) for order in orders
    )


def place_words(thing: Seen, side: int) -> str:
    upright = "top" if thing.y < side / 3 else "bottom" if thing.y > 2 * side / 3 else ""
    aside = "left" if thing.x < side / 3 else "right" if thing.x > 2 * side / 3 else ""
    return f"{upright} {aside}".strip() or "middle"


def holds(words: str, one: Seen, other: Seen) -> bool:
    x, y = other.x - one.x, other.y - one.y
    return {
        "left of": x > 1 and abs(y) < 1, "above": y > 1 and abs(x) < 1,
        "above and left of": y > 1 and x > 1, "above and right of": y > 1 and x < -1,
    }[words]  # fmt: skip
