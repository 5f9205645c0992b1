"""Retrieval: queries find the texts that answer them, by the cosine of mean-pooled states, untrained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.errors import StudyError
from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.linear import vectors
from keel.evaluate.tasks.result import Result, Scores, compared
from keel.evaluate.tasks.subject import Subject
from keel.evaluate.uses.rows import Row, groups_of


def retrieval(subject: Subject, rows: Sequence[Row], ks: Sequence[int] = (1, 10), level: float = LEVEL) -> Result:
    """The rank of the first right text of each row among all answers -> MRR = mean 1 / rank, and recall at each k.

    A row's `text` is the query, its `answer` the text to find; equal answers are one text, and all answers of equal
    queries are right. Texts as near as the right one share their ranks. Beside it: TF-IDF vectors of single words.

    Raises:
        StudyError: fewer than two different texts to find, or a k below 1.
    """
    texts = sorted({row.answer for row in rows})
    if len(texts) < 2:
        raise StudyError("there is nothing to choose from", why=f"{len(rows)} rows name {len(texts)} text to find",
                         fix="bring rows with different answers", where="rows")  # fmt: skip
    check_depths(ks)
    right = _right(rows, texts)
    queries = [row.text for row in rows]
    words = vectors().fit(texts)
    near = _cosine(subject.states(queries), subject.states(texts))
    beside = (words.transform(queries) @ words.transform(texts).T).toarray()
    found, theirs = (_measures(ranks(each, right), ks) for each in (near, beside))
    return compared("retrieval", found, theirs, baseline="TF-IDF", train=0, level=level, groups=groups_of(rows))


def check_depths(ks: Sequence[int]) -> None:
    """Raises:
    StudyError: recall cannot be taken at one of these.
    """
    if any(isinstance(k, bool) or not isinstance(k, int) or k < 1 for k in ks):
        raise StudyError(f"recall at {list(ks)} cannot be told", why="k counts candidates, from the first", where="ks",
                         fix="write whole numbers of 1 or more")  # fmt: skip


def ranks(near: NDArray[np.float64], right: Sequence[NDArray[np.int64]]) -> Scores:
    """The rank of the nearest right text in each row of `near` (queries, texts), from 1; equals share theirs.

    Example:
        >>> ranks(np.array([[.9, .5, .1], [.2, .2, .2]]), [np.array([1]), np.array([0])])
        array([2., 2.])
    """
    found = []
    for row, places in zip(near, right):
        best = row[places].max()
        others = np.delete(row, places)
        found.append(1 + (others > best).sum() + (others == best).sum() / 2)
    return np.asarray(found, np.float64)


def _measures(found: Scores, ks: Sequence[int]) -> dict[str, Scores]:
    return {"MRR": 1 / found, **{f"recall@{k}": (found <= k).astype(np.float64) for k in ks}}


def _right(rows: Sequence[Row], texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Places of the right texts of each row."""
    place, answers = {text: at for at, text in enumerate(texts)}, defaultdict[str, set[int]](set)
    for row in rows:
        answers[row.text].add(place[row.answer])
    return [np.array(sorted(answers[row.text])) for row in rows]


def _cosine(queries: Any, texts: Any) -> NDArray[np.float64]:
    """(queries, texts); equal states are equally near, so rounding beyond 9 digits is taken off."""
    left, other = (each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-30) for each in (queries, texts))
    return np.asarray((left @ other.T).round(9))
