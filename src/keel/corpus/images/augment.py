"""An image's bytes in, numbers for a model out: crop, flip, colours, normalise; a pure function of what it is given.

The draws come from (seed, epoch, number, view) alone, so that any worker, in any order, makes the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from keel.corpus.images import colour
from keel.corpus.images.bad import Bad
from keel.corpus.images.decode import colour_of, decode
from keel.errors import Problem, StudyError

if TYPE_CHECKING:
    from PIL.Image import Image

ASPECT = (3 / 4, 4 / 3)
MOST_SIDE = 4096
# A blur's deviation in pixels, of an image of so many a side; smaller ones are blurred as much less.
BLURS, BLURRED_SIDE = (0.1, 2.0), 224


class Settings(NamedTuple):
    """`size`: pixels of a side. `crop`: random = of an area in [least_area, most_area] and a ratio in [3/4, 4/3],
    resized to `size`; centre = the middle square, the shorter side being `resize` (0: `size`) before. `jitter`:
    brightness, contrast and saturation are multiplied by 1 - jitter ... 1 + jitter, `saturation` being the share of it
    that the last has; `hue`: turned by up to so much of the circle, either way; both with odds `jitter_odds`. `grey`,
    `blur`, `solarise`: the odds of each. `mean` and `std`: of RGB in [0, 1].

    A blur comes first, on bytes; its deviation is .1 to 2 pixels of an image of 224.
    Reference: Szegedy et al. 2015, arXiv:1409.4842, section 6 (crops by area and ratio); Chen et al. 2020,
    arXiv:2002.05709, appendix A (jitter, grey, blur); Grill et al. 2020, arXiv:2006.07733, appendix B (solarised).
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
    most_area: float = 1.0
    jitter_odds: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    solarise: float = 0.0


def evaluation(settings: Settings) -> Settings:
    """The same without randomness.

    Example:
        >>> evaluation(Settings(jitter=0.4))[1:6]
        ('centre', 0.35, 0, False, 0.0)
    """
    return settings._replace(crop="centre", flip=False, jitter=0.0, hue=0.0, grey=0.0, blur=0.0, solarise=0.0)


def check(settings: Settings) -> None:
    """Raises:
    StudyError: settings that no image can be made with; all of them.
    """
    wrong = {
        f"size is {settings.size}": 1 <= settings.size <= MOST_SIDE,
        f"crop is {settings.crop!r}": settings.crop in ("random", "centre"),
        f"least_area is {settings.least_area:g}": 0 < settings.least_area <= 1,
        f"most_area is {settings.most_area:g}": settings.least_area <= settings.most_area <= 1,
        f"resize is {settings.resize}": settings.resize == 0 or settings.size <= settings.resize <= MOST_SIDE,
        f"jitter is {settings.jitter:g}": 0 <= settings.jitter < 1,
        f"std is {settings.std}": all(math.isfinite(value) and value > 0 for value in settings.std),
        f"mean is {settings.mean}": all(math.isfinite(value) for value in settings.mean),
        f"hue is {settings.hue:g}": 0 <= settings.hue <= 0.5,
    }
    for name in ("jitter_odds", "saturation", "grey", "blur", "solarise"):
        wrong[f"{name} is {getattr(settings, name):g}"] = 0 <= getattr(settings, name) <= 1
    fix = ("size in 1 ... 4096, 0 < least_area <= most_area <= 1, jitter in [0, 1), hue in [0, .5], odds and shares in "
           "[0, 1], resize 0 or at least size, std above 0")  # fmt: skip
    problems = [Problem(what, "no image can be made so", fix, "augment") for what, right in wrong.items() if not right]
    if problems:
        raise StudyError.all(problems)


def augment(data: bytes, settings: Settings, seed: int, epoch: int, number: int) -> np.ndarray | Bad:
    """(v - mean) / std of an image's RGB in [0, 1], shape (3, size, size), float32: the first of its views."""
    made = views(data, (settings,), seed, epoch, number)
    return made if isinstance(made, Bad) else made[0]


def views(
    data: bytes, asked: Sequence[Settings], seed: int, epoch: int, number: int
) -> tuple[np.ndarray, ...] | Bad:  # fmt: skip
    """An image in several ways, decoded once; view v draws by itself, whatever the others are.

    What cannot be decoded is given back.
    """
    found = decode(data, colour_of(asked[0].background))
    return found if isinstance(found, Bad) else views_of(found.image, asked, seed, epoch, number)


def views_of(image: Image, asked: Sequence[Settings], seed: int, epoch: int, number: int) -> tuple[np.ndarray, ...]:
    """The same of an image that is decoded; it is not changed."""
    return tuple(_view(image, settings, _draws(seed, epoch, number, view)) for view, settings in enumerate(asked))


def _draws(seed: int, epoch: int, number: int, view: int) -> np.ndarray:
    """Sixteen numbers in [0, 1); the first eight crop, flip and jitter."""
    return np.random.Generator(np.random.Philox(key=[seed, number], counter=[0, 0, view, epoch])).random(16)


def _view(image: Image, settings: Settings, draws: np.ndarray) -> np.ndarray:
    from PIL.Image import Resampling, Transpose
    from PIL.ImageFilter import GaussianBlur

    width, height = image.size
    box = _random(width, height, settings, draws) if settings.crop == "random" else _centre(width, height, settings)
    image = image.resize((settings.size, settings.size), Resampling.BICUBIC, box=box)
    if settings.flip and draws[4] < 0.5:
        image = image.transpose(Transpose.FLIP_LEFT_RIGHT)
    if draws[11] < settings.blur:
        deviation = BLURS[0] + (BLURS[1] - BLURS[0]) * float(draws[12])
        image = image.filter(GaussianBlur(deviation * settings.size / BLURRED_SIDE))
    values = np.empty((3, settings.size, settings.size), dtype=np.float32)
    values[:] = np.asarray(image).transpose(2, 0, 1)
    values /= np.float32(255.0)
    values = _coloured(values, settings, draws)
    mean, std = (np.asarray(each, dtype=np.float32)[:, None, None] for each in (settings.mean, settings.std))
    # In place and by planes: an array of pixels, each of three numbers, takes ten times as long.
    values -= mean
    values /= std
    return values


def _coloured(values: np.ndarray, settings: Settings, draws: np.ndarray) -> np.ndarray:
    """Jitter and hue, then grey, then solarised."""
    if draws[8] < settings.jitter_odds:
        if settings.jitter:
            most = settings.jitter * np.array([1.0, 1.0, settings.saturation])
            values = colour.jittered(values, 1.0 + most * (2.0 * draws[5:8] - 1.0))
        if settings.hue:
            values = colour.turned(values, settings.hue * (2.0 * float(draws[9]) - 1.0))
    if draws[10] < settings.grey:
        values = colour.greyed(values)
    return colour.solarised(values) if draws[13] < settings.solarise else values


def _random(width: int, height: int, settings: Settings, draws: np.ndarray) -> tuple[float, float, float, float]:
    """A box of a drawn area and ratio; a side that would be too long is cut to the image's."""
    area = (settings.least_area + (settings.most_area - settings.least_area) * draws[0]) * width * height
    ratio = math.exp(math.log(ASPECT[0]) + (math.log(ASPECT[1]) - math.log(ASPECT[0])) * draws[1])
    wide, high = min(float(width), math.sqrt(area * ratio)), min(float(height), math.sqrt(area / ratio))
    left, top = float(draws[2]) * (width - wide), float(draws[3]) * (height - high)
    return left, top, min(left + wide, float(width)), min(top + high, float(height))


def _centre(width: int, height: int, settings: Settings) -> tuple[float, float, float, float]:
    side = min(width, height) * (settings.size / settings.resize if settings.resize else 1.0)
    left, top = (width - side) / 2.0, (height - side) / 2.0
    return left, top, left + side, top + side
