"""Captioning: a model writes what it sees, greedily, held against what people wrote; beside it, the likest image's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from keel.evaluate.cider import MOST, cider_d
from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.files import means
from keel.evaluate.tasks.image_retrieval import candidates, together
from keel.evaluate.tasks.overlap import MEASURES
from keel.evaluate.tasks.result import Result, Scores, compared
from keel.evaluate.tasks.seen import Seen
from keel.evaluate.uses.rows import Row, Split, groups_of

NEAREST = "caption of the nearest pixels"


def captioning(seen: Seen, split: Split, level: float = LEVEL) -> Result:
    """The likeliest token at each place, up to the end -> CIDEr-D / 10, ROUGE-L, chrF and the share that is the same.

    A row's `text` is the path of its image, its `answer` a caption; of several captions of an image each is a row, and
    they are kept together. Nothing is learnt. Beside it, the caption of the training image whose 8 x 8 means of pixels
    are nearest. Reference: Devlin et al. 2015, arXiv:1505.04467 (captions of nearest neighbours).

    Raises:
        StudyError: the model writes no captions, or images cannot be decoded.
    """
    files = list(dict.fromkeys(row.text for row in split.test))
    said = dict(zip(files, seen.captions(files)))
    written = [said[row.text] for row in split.test]
    wanted = [seen.spelled(row.answer) for row in split.test]
    empty = sum(not text for text in said.values())
    notes = ["CIDEr-D is a share of its most, 10: elsewhere it is ten times as large"]
    notes += [f"{empty} of {len(files)} captions written are empty"] if empty else []
    return compared(
        "captioning", _scores(written, wanted), _scores(_nearest(tuple(split.train), tuple(split.test)), wanted),
        baseline=NEAREST, train=len(split.train), level=level, notes=notes,
        groups=groups_of(split.test) or _together(split.test),
    )  # fmt: skip


def _scores(written: Sequence[str], wanted: Sequence[str]) -> dict[str, Scores]:
    same = np.array([one.strip() == other.strip() for one, other in zip(written, wanted)], np.float64)
    overlap = {name: measure(written, wanted) for name, measure in MEASURES.items()}
    return {"CIDEr-D": cider_d(written, wanted) / MOST, **overlap, "exact": same}


def _together(rows: Sequence[Row]) -> list[str]:
    """Rows that share an image or a caption, where there are two of each at least."""
    few = min(len({row.text for row in rows}), len({row.answer for row in rows})) < 2
    return [] if few else together(candidates(rows))


@lru_cache(maxsize=2)  # the same rows stand beside every model
def _nearest(train: tuple[Row, ...], test: tuple[Row, ...]) -> list[str]:
    """The caption of the training image at the least distance, the first of equals."""
    known, asked = means([row.text for row in train]), means([row.text for row in test])
    return [train[int(((known - each) ** 2).sum(1).argmin())].answer for each in asked]
