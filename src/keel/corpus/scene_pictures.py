"""Scenes drawn in whole numbers, so that the pixels are the same on every machine, and written with their captions."""

from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path
from typing import Literal

import numpy as np

from keel.corpus.images.bad import need_pillow
from keel.corpus.scenes import GRID, USUAL, Options, Scene, caption, check, scene
from keel.errors import StudyError
from keel.files import place_error

RGB = {
    "white": (255, 255, 255), "black": (0, 0, 0), "red": (225, 20, 20), "green": (20, 160, 40), "blue": (30, 60, 230),
    "yellow": (245, 225, 20), "cyan": (20, 205, 225), "purple": (140, 20, 190), "orange": (245, 130, 10),
    "pink": (250, 130, 190),
}  # fmt: skip
# Noise is bounded by less than half of what any two colours differ by, so that no outlined scene looks like another.
NOISE, WEAK_NOISE = 16, 96
Folders = Literal["none", "colour", "shape", "combination"]


def picture(seed: int, number: int, options: Options = USUAL) -> np.ndarray:
    """Image of scene(seed, number), shape (side, side, 3), uint8, with the noise of its style.

    Raises:
        StudyError: options that no scene can be drawn with.

    Example:
        >>> picture(0, 3).shape, picture(0, 3)[0, 0].tolist()
        ((48, 48, 3), [255, 255, 255])
    """
    clean = drawn(scene(seed, number, options), options)
    most = WEAK_NOISE if options.weak else NOISE if options.style == "outlined" else 0
    if not most:
        return clean
    noise = hashlib.shake_256(f"noise {seed} {number}".encode()).digest(clean.size)
    added = np.frombuffer(noise, np.uint8).astype(np.int16).reshape(clean.shape) % (2 * most + 1) - most
    return np.clip(clean + added, 0, 255).astype(np.uint8)


def drawn(of: Scene, options: Options) -> np.ndarray:
    """Image without noise, shape (side, side, 3), uint8; of weak ones each block of a quarter cell is its mean."""
    check(options)
    cell = options.side // GRID
    image = np.empty((options.side, options.side, 3), dtype=np.uint8)
    image[:] = RGB[of.ground]
    for thing in of.things:
        top, left = thing.row * cell, thing.column * cell
        place = image[top : top + cell, left : left + cell]
        place[mask(thing.shape, thing.size, cell, options.style)] = RGB[thing.colour]
    return _blurred(image, cell // 4) if options.weak else image


@functools.cache
def mask(shape: str, size: str, cell: int, style: str) -> np.ndarray:
    """Where a thing covers its cell, shape (cell, cell), bool; in half pixels from the middle, y downwards."""
    y, x = np.indices((cell, cell)) * 2 - (cell - 1)
    radius = cell - 2 if size == "large" else cell // 2
    inside = np.maximum(abs(x), abs(y)) <= radius
    if shape == "circle":
        inside = x * x + y * y <= radius * radius
    elif shape == "triangle":
        inside &= 2 * abs(x) <= y + radius
    elif shape == "cross":
        inside &= 3 * np.minimum(abs(x), abs(y)) <= radius
    if style == "outlined":
        inside &= ~_inner(inside, max(1, cell // 12))
    inside.flags.writeable = False
    return inside


def _inner(inside: np.ndarray, width: int) -> np.ndarray:
    """Pixels further than `width` from the outside, by steps up, down, left and right."""
    for _ in range(width):
        framed = np.pad(inside, 1)
        inside = inside & framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return inside


def _blurred(image: np.ndarray, block: int) -> np.ndarray:
    side = len(image) // block
    sums = image.reshape(side, block, side, block, 3).sum(axis=(1, 3), dtype=np.int64)
    means = (sums // (block * block)).astype(np.uint8)
    return np.repeat(np.repeat(means, block, axis=0), block, axis=1)


def write(
    folder: Path, number: int, seed: int, options: Options = USUAL, folders: Folders = "none", first: int = 0
) -> None:
    """Write scenes first ... first + number - 1 as NNNNNN.png with twins NNNNNN.txt.

    `folders`: a folder of each colour or shape (classes, of single things), or of each combination (groups).

    Raises:
        StudyError: options that no scene can be drawn with; a class of several things; no Pillow; no room to write.
    """
    check(options)
    if folders in ("colour", "shape") and options.most_objects > 1:
        raise StudyError(f"a scene of {options.most_objects} objects has no one {folders}", where="scenes",
                         why="a class is of a single thing",
                         fix='most_objects = 1, or folders = "combination"')  # fmt: skip
    need_pillow()
    from PIL import Image

    for each in range(first, first + number):
        facts = scene(seed, each, options)
        place = folder / _folder(facts, folders) / f"{each:06d}.png"
        buffer = io.BytesIO()
        Image.fromarray(picture(seed, each, options)).save(buffer, "PNG")
        _put(place, buffer.getvalue())
        _put(place.with_suffix(".txt"), f"{caption(facts, options.thin)}\n".encode())


def _put(path: Path, data: bytes) -> None:
    """Write a file whole, without a wait for the disk: it can be made again at any time."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise place_error(error, path) from error


def _folder(of: Scene, folders: Folders) -> str:
    names = {"none": "", "colour": of.things[0].colour, "shape": of.things[0].shape, "combination": of.combination}
    return names[folders]
