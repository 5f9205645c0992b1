"""Frozen probe of images: a linear classifier on states; what a model knows of the labels without being changed."""

from __future__ import annotations

from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.classes import classified
from keel.evaluate.tasks.files import PIXELS, raw_pixels
from keel.evaluate.tasks.linear import classify
from keel.evaluate.tasks.result import Result
from keel.evaluate.tasks.seen import Seen
from keel.evaluate.uses.rows import Split, check_classes


def image_probe(seen: Seen, split: Split, level: float = LEVEL) -> Result:
    """Logistic regression on states of the training images -> accuracy and macro-F1 on the test images.

    A row's `text` is the path of its image. States have mean 0 and variance 1 over the training rows; the penalty is
    chosen on these alone. Beside it, the same classifier on 8 x 8 means of the pixels.

    Raises:
        StudyError: fewer than two labels, labels that only test rows have, or images that cannot be decoded.
    """
    check_classes(split)
    states = seen.states([row.text for side in split for row in side])
    train, test = states[: len(split.train)], states[len(split.train) :]
    found = classify(train, [row.answer for row in split.train], test, scale=True)
    return classified(
        "image-probe", split, found.labels, level=level, notes=found.notes, words=raw_pixels(split), baseline=PIXELS
    )
