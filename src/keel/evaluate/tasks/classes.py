"""Labels that a model gave -> accuracy and macro-F1 with intervals, beside those of the bag of words. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keel.evaluate import intervals
from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.linear import Predicted, bag_of_words
from keel.evaluate.tasks.result import Result, Scores, compared
from keel.evaluate.uses.rows import Split, groups_of

WORDS = "bag of words"
Labels = NDArray[np.str_]


def classified(
    task: str, split: Split, labels: Labels, *, right: Scores | None = None, level: float = LEVEL,
    notes: Sequence[str] = (), words: Predicted | None = None, baseline: str = WORDS,
) -> Result:  # fmt: skip
    """Labels of the test rows (n,) against the truth, and the bag of words learnt from all training rows beside them.

    `right`: a share for each row, where a model could not decide between labels; `words`: what stands beside them
    in place of that bag, called `baseline`.
    """
    truth, groups = np.asarray([row.answer for row in split.test]), groups_of(split.test)
    if words is None:
        given = [row.text for row in split.train], [row.answer for row in split.train], [row.text for row in split.test]
        words = bag_of_words(*given)
    scores = (labels == truth).astype(np.float64) if right is None else right
    found = compared(
        task, {"accuracy": scores}, {"accuracy": (words.labels == truth).astype(np.float64)}, baseline=baseline,
        train=len(split.train), level=level, groups=groups,
        notes=[*notes, *(f"{baseline}: {each}" for each in words.notes)],
    )  # fmt: skip
    mine, theirs = (_macro_f1(truth, each, level, groups) for each in (labels, words.labels))
    measures, beside = {**found.measures, "macro-F1": mine}, {**found.beside, "macro-F1": theirs}
    return replace(found, measures=measures, beside=beside, labels=(truth, labels))


def _macro_f1(truth: Labels, labels: Labels, level: float, groups: Sequence[str]) -> intervals.Interval:
    known, is_class = np.unique(truth, return_inverse=True)
    at = np.searchsorted(known, labels).clip(max=len(known) - 1)
    as_class = np.where(known[at] == labels, at, len(known))  # a label that no test row has is wrong, and of no class
    return intervals.of(
        lambda places: macro_f1(is_class[places], as_class[places], len(known)), len(truth), level=level, groups=groups
    )


def macro_f1(truth: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> float:
    """Mean over the classes that stand in `truth` of 2 hits / (true + given).

    Example:
        >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        0.6666666666666666
    """
    true, given = np.bincount(truth, minlength=classes), np.bincount(labels, minlength=classes)[:classes]
    hits, there = np.bincount(truth[truth == labels], minlength=classes), true > 0
    return float((2 * hits[there] / (true + given)[there]).mean())
