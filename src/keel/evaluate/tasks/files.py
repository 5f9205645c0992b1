"""Image files as evaluators see them: decoded as training decodes them, and the means of their pixels. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keel.corpus.images.bad import Bad, Tally
from keel.corpus.images.decode import NAMED, decode
from keel.errors import StudyError
from keel.evaluate.tasks.linear import Predicted, classify
from keel.evaluate.uses.rows import Split

if TYPE_CHECKING:
    from PIL.Image import Image

PIXELS = "raw pixels"
SIDE = 8


def decoded(files: Sequence[str], background: tuple[int, int, int] = NAMED["white"]) -> list[Image]:
    """RGB of 8 bits, upright, on `background`.

    Raises:
        StudyError: files that cannot be read or decoded; each of them.
    """
    images: list[Image] = []
    wrong = Tally()
    for file in files:
        found = _read(file, background)
        if isinstance(found, Bad):
            wrong.add(found)
        else:
            images.append(found)
    if wrong:
        raise StudyError.all(wrong.problems("mend or remove it"))
    return images


def _read(file: str, background: tuple[int, int, int]) -> Image | Bad:
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        return Bad("the image cannot be read", error.strerror or str(error), file)
    found = decode(data, background, where=file)
    return found if isinstance(found, Bad) else found.image


def means(files: Sequence[str]) -> NDArray[np.float64]:
    """Each image as 8 x 8 means of red, green and blue in [0, 1], shape (n, 192); transparent ones on white.

    Raises:
        StudyError: files that cannot be decoded.
    """
    from PIL.Image import Resampling

    made = [np.asarray(decoded([file])[0].resize((SIDE, SIDE), Resampling.BOX)) for file in files]
    return np.stack(made).reshape(len(made), -1) / 255.0


def raw_pixels(split: Split) -> Predicted:
    """The linear classifier on means of pixels: what is known without any model, as the bag of words is of texts."""
    given = [tuple(row.text for row in side) for side in split]
    return _learnt(given[0], tuple(row.answer for row in split.train), given[1])


@lru_cache(maxsize=4)  # the same rows stand beside every model
def _learnt(train: tuple[str, ...], labels: tuple[str, ...], test: tuple[str, ...]) -> Predicted:
    return classify(means(train), labels, means(test), scale=True)
