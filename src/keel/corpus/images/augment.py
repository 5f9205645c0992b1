"""An image's bytes in, numbers for a model out: crop, flip, jitter, normalise; a pure function of what it is given.

The draws come from (seed, epoch, number) alone, so that any worker, in any order, makes the same bits.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from keel.corpus.images.bad import Bad
from keel.corpus.images.decode import colour_of, decode
from keel.errors import Problem, StudyError

ASPECT = (3 / 4, 4 / 3)
GREY = (np.float32(0.299), np.float32(0.587), np.float32(0.114))  # ITU-R BT.601, as Pillow's own grey
MOST_SIDE = 4096


class Settings(NamedTuple):
    """`size`: pixels of a side. `crop`: random = of an area in [least_area, 1] and a ratio in [3/4, 4/3], resized to
    `size`; centre = the middle square, the shorter side being `resize` (0: `size`) before. `jitter`: brightness,
    contrast and saturation are multiplied by 1 - jitter ... 1 + jitter. `mean` and `std`: of RGB in [0, 1].

    Reference: Szegedy et al. 2015, arXiv:1409.4842, section 6 (crops by area and ratio).
    """

    size: int = 224
    crop: Literal["random", "centre"] = "random"
    least_area: float = 0.35
    resize: int = 0
    flip: bool = True
    jitter: float = 0.0
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    background: str = "white"


def evaluation(settings: Settings) -> Settings:
    """The same without randomness.

    Example:
        >>> evaluation(Settings(jitter=0.4))[1:6]
        ('centre', 0.35, 0, False, 0.0)
    """
    return settings._replace(crop="centre", flip=False, jitter=0.0)


def check(settings: Settings) -> None:
    """Raises:
    StudyError: settings that no image can be made with; all of them.
    """
    wrong = {
        f"size is {settings.size}": 1 <= settings.size <= MOST_SIDE,
        f"crop is {settings.crop!r}": settings.crop in ("random", "centre"),
        f"least_area is {settings.least_area:g}": 0 < settings.least_area <= 1,
        f"resize is {settings.resize}": settings.resize == 0 or settings.size <= settings.resize <= MOST_SIDE,
        f"jitter is {settings.jitter:g}": 0 <= settings.jitter < 1,
        f"std is {settings.std}": all(math.isfinite(value) and value > 0 for value in settings.std),
        f"mean is {settings.mean}": all(math.isfinite(value) for value in settings.mean),
    }
    fix = "size in 1 ... 4096, least_area in (0, 1], jitter in [0, 1), resize 0 or at least size, std above 0"
    problems = [Problem(what, "no image can be made so", fix, "augment") for what, right in wrong.items() if not right]
    if problems:
        raise StudyError.all(problems)


def augment(data: bytes, settings: Settings, seed: int, epoch: int, number: int) -> np.ndarray | Bad:
    """(v - mean) / std of an image's RGB in [0, 1], shape (3, size, size), float32."""
    from PIL.Image import Resampling, Transpose

    found = decode(data, colour_of(settings.background))
    if isinstance(found, Bad):
        return found
    draws = np.random.Generator(np.random.Philox(key=[seed, number], counter=[0, 0, 0, epoch])).random(8)
    width, height = found.image.size
    box = _random(width, height, settings, draws) if settings.crop == "random" else _centre(width, height, settings)
    image = found.image.resize((settings.size, settings.size), Resampling.BICUBIC, box=box)
    if settings.flip and draws[4] < 0.5:
        image = image.transpose(Transpose.FLIP_LEFT_RIGHT)
    values = np.empty((3, settings.size, settings.size), dtype=np.float32)
    values[:] = np.asarray(image).transpose(2, 0, 1)
    values /= np.float32(255.0)
    if settings.jitter:
        values = _jittered(values, 1.0 + settings.jitter * (2.0 * draws[5:8] - 1.0))
    mean, std = (np.asarray(each, dtype=np.float32)[:, None, None] for each in (settings.mean, settings.std))
    # In place and by planes: an array of pixels, each of three numbers, takes ten times as long.
    values -= mean
    values /= std
    return values


def _random(width: int, height: int, settings: Settings, draws: np.ndarray) -> tuple[float, float, float, float]:
    """A box of a drawn area and ratio; a side that would be too long is cut to the image's."""
    area = (settings.least_area + (1.0 - settings.least_area) * draws[0]) * width * height
    ratio = math.exp(math.log(ASPECT[0]) + (math.log(ASPECT[1]) - math.log(ASPECT[0])) * draws[1])
    wide, high = min(float(width), math.sqrt(area * ratio)), min(float(height), math.sqrt(area / ratio))
    left, top = float(draws[2]) * (width - wide), float(draws[3]) * (height - high)
    return left, top, min(left + wide, float(width)), min(top + high, float(height))


def _centre(width: int, height: int, settings: Settings) -> tuple[float, float, float, float]:
    side = min(width, height) * (settings.size / settings.resize if settings.resize else 1.0)
    left, top = (width - side) / 2.0, (height - side) / 2.0
    return left, top, left + side, top + side


def _jittered(values: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Brightness, then contrast about the mean grey, then saturation about each pixel's grey; cut to [0, 1]."""
    bright, contrast, saturation = (np.float32(factor) for factor in factors)
    values = np.clip(values * bright, 0.0, 1.0)
    middle = np.float32(_grey(values).mean(dtype=np.float64))
    values = np.clip(middle + (values - middle) * contrast, 0.0, 1.0)
    grey = _grey(values)
    return np.asarray(np.clip(grey + (values - grey) * saturation, 0.0, 1.0), dtype=np.float32)


def _grey(values: np.ndarray) -> np.ndarray:
    """Brightness of each pixel, shape (size, size). No matrix product: its bits would hang on the number of threads."""
    return np.asarray(values[0] * GREY[0] + values[1] * GREY[1] + values[2] * GREY[2])
