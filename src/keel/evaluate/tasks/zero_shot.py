"""Zero-shot: an image has the label whose sentence is nearest to it in the space that both share; nothing is learnt.

Legend: n images, C labels, e width of the shared space.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keel.errors import StudyError
from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.classes import classified
from keel.evaluate.tasks.linear import Predicted
from keel.evaluate.tasks.result import Result
from keel.evaluate.tasks.seen import Seen
from keel.evaluate.uses.rows import Row, Split
from keel.evaluate.uses.template import ANSWER, sentences

FORM = "a photo of a {answer}."
COMMON = "the most frequent label"
DIGITS = 6  # what is nearer by less is as near: features are fp32


def zero_shot(seen: Seen, rows: Sequence[Row], forms: str = FORM, level: float = LEVEL) -> Result:
    """argmax over labels c of u . w_c / |w_c|, w_c = mean of the features of c's sentences -> accuracy and macro-F1.

    A row's `text` is the path of its image, its `answer` the label as it is written into each of `forms` (apart by
    "|"). Labels as near share a row. Beside it, the label that most rows have. Reference: Radford et al. 2021,
    arXiv:2103.00020, section 3.1.4.

    Raises:
        StudyError: no text tower, a bad template, fewer than two labels, or images that cannot be decoded.
    """
    labels, shapes = sorted({row.answer for row in rows}), sentences(forms)
    if len(labels) < 2:
        raise StudyError("there is nothing to choose from", why=f"{len(rows)} rows have {len(labels)} label",
                         fix="bring rows of two labels or more", where="rows")  # fmt: skip
    said = [shape.replace(ANSWER, label) for label in labels for shape in shapes]
    near = (seen.images([row.text for row in rows]) @ _named(seen, said, len(labels)).T).round(DIGITS)
    best = near == near.max(1, keepdims=True)
    truth = np.array([labels.index(row.answer) for row in rows])
    right = best[np.arange(len(truth)), truth] / best.sum(1)
    common = Counter(row.answer for row in rows).most_common(1)[0][0]
    beside = Predicted(np.full(len(rows), common), 0.0, ())
    notes = [f"{len(shapes)} sentences for each of {len(labels)} labels" if len(shapes) > 1 else f"asked as: {forms}"]
    return classified(
        "zero-shot", Split([], list(rows)), np.asarray(labels)[best.argmax(1)], right=right, level=level,
        notes=[*notes, *seen.notes(said)], words=beside, baseline=COMMON,
    )  # fmt: skip


def _named(seen: Seen, said: Sequence[str], labels: int) -> NDArray[np.float64]:
    """A feature of length 1 for each label (C, e): the mean over its sentences."""
    made = seen.texts(said)
    mean = made.reshape(labels, -1, made.shape[1]).mean(1)
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-30))
