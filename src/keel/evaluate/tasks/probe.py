"""Frozen probe: a linear classifier on mean-pooled states; what a model knows of the labels without being changed."""

from __future__ import annotations

from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.classes import classified
from keel.evaluate.tasks.linear import classify
from keel.evaluate.tasks.result import Result
from keel.evaluate.tasks.subject import Subject
from keel.evaluate.uses.rows import Split, check_classes


def probe(subject: Subject, split: Split, level: float = LEVEL) -> Result:
    """Logistic regression on states (n, d) of the training rows -> accuracy and macro-F1 on the test rows.

    States have mean 0 and variance 1 over the training rows; the penalty is chosen on these alone, as the bag of words
    has its own chosen.

    Raises:
        StudyError: fewer than two labels, or labels that only test rows have.
    """
    check_classes(split)
    states = [subject.states([row.text for row in side]) for side in split]
    found = classify(states[0], [row.answer for row in split.train], states[1], scale=True)
    return classified("probe", split, found.labels, level=level, notes=found.notes)
