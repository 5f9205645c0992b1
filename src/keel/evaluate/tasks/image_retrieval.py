"""Retrieval between images and captions: both find each other among all that the eval file holds, untrained.

Legend: n images, m captions, R rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.errors import StudyError
from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.result import Result, Scores, compared
from keel.evaluate.tasks.retrieval import check_depths, ranks
from keel.evaluate.tasks.seen import Seen
from keel.evaluate.uses.rows import Row, groups_of

CHANCE = "chance"
DIGITS = 6  # what is nearer by less is as near: features are fp32
OF_IMAGE, OF_CAPTION = "caption of image", "image of caption"
Ints = NDArray[np.int64]
_Scores = Mapping[str, Scores]


class Candidates(NamedTuple):
    """Different images (n) and captions (m), and the place of each row's own among them (R,)."""

    images: list[str]
    captions: list[str]
    image_of: Ints
    caption_of: Ints


def image_retrieval(seen: Seen, rows: Sequence[Row], ks: Sequence[int] = (1, 10), level: float = LEVEL) -> Result:
    """The rank of the first right candidate -> recall at each k and MRR = mean 1 / rank: of both ways, and each way.

    A row's `text` is the path of its image, its `answer` the caption. All captions of an image are right, and all
    images of a caption; equal ones are one. Every row counts once for its image and once for its caption. Candidates as
    near as the right one share their ranks. Beside it chance, in closed form. Intervals are over rows; those that share
    an image or a caption are kept together, unless groups are given.

    Raises:
        StudyError: no text tower, fewer than two images or captions, a k below 1, or images that cannot be decoded.
    """
    check_depths(ks)
    found = candidates(rows)
    near = (seen.images(found.images) @ seen.texts(found.captions).T).round(DIGITS)
    forth, luck_forth = _way(near, found.image_of, found.caption_of, ks)
    back, luck_back = _way(near.T, found.caption_of, found.image_of, ks)
    said = f"{len(found.images):,} images and {len(found.captions):,} captions find each other"
    return compared(
        "image-retrieval", _both(forth, back), _both(luck_forth, luck_back), baseline=CHANCE, train=0, level=level,
        groups=groups_of(rows) or together(found), notes=[said, *seen.notes(found.captions)],
    )  # fmt: skip


def candidates(rows: Sequence[Row]) -> Candidates:
    """Each image and each caption once.

    Raises:
        StudyError: fewer than two of either.

    Example:
        >>> candidates([Row("a.png", "a cat"), Row("b.png", "a dog"), Row("b.png", "a cat")]).caption_of.tolist()
        [0, 1, 0]
    """
    images, captions = sorted({row.text for row in rows}), sorted({row.answer for row in rows})
    for name, side in (("image", images), ("caption", captions)):
        if len(side) < 2:
            raise StudyError("there is nothing to choose from", why=f"{len(rows)} rows have {len(side)} {name}",
                             fix=f"bring rows of two {name}s or more", where="rows")  # fmt: skip
    places = [{each: place for place, each in enumerate(side)} for side in (images, captions)]
    image_of = np.array([places[0][row.text] for row in rows])
    return Candidates(images, captions, image_of, np.array([places[1][row.answer] for row in rows]))


def _way(near: NDArray[np.float64], asks: Ints, answers: Ints, ks: Sequence[int]) -> tuple[_Scores, _Scores]:
    """Scores of each row and what chance gives it; what `asks` finds what `answers` among the columns of `near`."""
    right = [np.unique(answers[asks == place]) for place in range(len(near))]
    rank, number = ranks(near, right)[asks], near.shape[1]
    alike = np.array([len(each) for each in right])[asks]
    made = {**{f"recall@{k}": (rank <= k).astype(np.float64) for k in ks}, "MRR": 1 / rank}
    luck = {many: chance(number, int(many), ks) for many in np.unique(alike)}
    return made, {name: np.array([luck[many][name] for many in alike]) for name in made}


def chance(number: int, right: int, ks: Sequence[int]) -> dict[str, float]:
    """Mean recall at each k and mean 1 / rank of a random order of `number` candidates, `right` of them right.

    P(rank = 1) = r / N; P(rank = j + 1) = P(rank = j) (N - j - r + 1) / (N - j).

    Example:
        >>> {name: round(value, 4) for name, value in chance(4, 2, (1, 2)).items()}
        {'recall@1': 0.5, 'recall@2': 0.8333, 'MRR': 0.7222}
    """
    places = np.arange(1, number - right + 2)
    steps = (number - places[:-1] - right + 1) / (number - places[:-1])
    first = right / number * np.concatenate([[1.0], np.cumprod(steps)])
    return {**{f"recall@{k}": float(first[:k].sum()) for k in ks}, "MRR": float((first / places).sum())}


def _both(forth: _Scores, back: _Scores) -> dict[str, Scores]:
    """The mean of both ways of each measure, then each way."""
    means = {name: (forth[name] + back[name]) / 2 for name in forth}
    ways = {f"{name}, {way}": side[name] for name in forth for way, side in ((OF_IMAGE, forth), (OF_CAPTION, back))}
    return {**means, **ways}


def together(found: Candidates) -> list[str]:
    """A name for each row that rows share which have an image or a caption in common, be it through others.

    Example:
        >>> together(candidates([Row("a", "x"), Row("b", "x"), Row("b", "y"), Row("c", "z")]))
        ['0', '0', '0', '2']
    """
    label = np.arange(len(found.images))
    while True:
        lowest = np.full(len(found.captions), len(label))
        np.minimum.at(lowest, found.caption_of, label[found.image_of])
        lower = label.copy()
        np.minimum.at(lower, found.image_of, lowest[found.caption_of])
        if (lower == label).all():
            return [str(each) for each in label[found.image_of]]
        label = lower
