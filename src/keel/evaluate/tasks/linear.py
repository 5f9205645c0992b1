"""Linear classifiers: logistic regression on states, and on a bag of words, chosen in the same way. No torch."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.corpus.characters import SPACELESS
from keel.errors import StudyError

PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)  # C of the library: how little the weights are held back
FOLDS = 5
FEW = 2000  # with more rows one fold tells penalties apart
FEW_ODDS = 500  # nats say more of a row than whether it is right
MOST_STEPS = 1000
_CHARACTERS = "".join(f"{chr(low)}-{chr(high)}" for low, high in SPACELESS)
# Runs of letters and digits; a character of a script without spaces, or a mark, by itself.
WORD = re.compile(rf"[{_CHARACTERS}]|[^\W{_CHARACTERS}]+|[^\w\s]")


class Predicted(NamedTuple):
    """A label for each test row, the penalty that was chosen, and what should be known of the fit."""

    labels: NDArray[Any]
    penalty: float
    notes: tuple[str, ...]


class Odds(NamedTuple):
    """Probabilities (n, K) of the classes (K,) in order, the penalty that was chosen, and what should be known."""

    probabilities: NDArray[np.float64]
    classes: NDArray[Any]
    penalty: float
    notes: tuple[str, ...]


def words(text: str) -> list[str]:
    """The words of a text.

    Example:
        >>> words("It's 3 \\u4e2d\\u6587")
        ['It', "'", 's', '3', '\\u4e2d', '\\u6587']
    """
    return WORD.findall(text)


def learn() -> Any:
    """scikit-learn.

    Raises:
        StudyError: it is not installed.
    """
    try:
        import sklearn
    except ImportError:
        raise StudyError("scikit-learn is not installed", why="probes and the bag of words are its classifiers",
                         fix="pip install 'keel[eval]'", where="environment") from None  # fmt: skip
    return sklearn


def classify(train: Any, labels: Sequence[str], test: Any, scale: bool = False) -> Predicted:
    """Logistic regression (n, d) -> labels, its penalty chosen by cross-validation over training rows alone.

    `scale`: features to mean 0 and variance 1 over the training rows.
    """
    made, penalty, notes = _chosen(train, np.asarray(labels), scale, _right)
    return Predicted(made.predict(test), penalty, notes)


def odds(train: Any, labels: Any, test: Any) -> Odds:
    """The same classifier's probabilities, on scaled features; its penalty is that of the fewest nats on rows left out.

    Example:
        >>> rows = np.array([[0.0], [0.1], [0.9], [1.0]] * 5)
        >>> odds(rows, [0, 0, 1, 1] * 5, rows[:1]).probabilities.argmax(1).tolist()
        [0]
    """
    made, penalty, notes = _chosen(train, np.asarray(labels), True, _surprise, few=FEW_ODDS)
    return Odds(made.predict_proba(test), made.classes_, penalty, notes)


Score = Callable[[Any, Any, NDArray[Any]], float]


def _right(made: Any, rows: Any, labels: NDArray[Any]) -> float:
    """Right answers."""
    return float((made.predict(rows) == labels).sum())


def _surprise(made: Any, rows: Any, labels: NDArray[Any]) -> float:
    """Less the nats of the labels."""
    places = np.searchsorted(made.classes_, labels)
    return float(made.predict_log_proba(rows)[np.arange(len(labels)), places].sum())


def _chosen(
    train: Any, labels: NDArray[Any], scale: bool, score: Score, few: int = FEW
) -> tuple[Any, float, tuple[str, ...]]:
    """The classifier at its penalty, that penalty, and what should be known."""
    learn()
    penalty = _penalty(train, labels, scale, score, few)
    made, warned = _fitted(train, labels, penalty, scale)
    return made, penalty, (f"logistic regression was stopped after {MOST_STEPS} steps",) if warned else ()


def bag_of_words(train: Sequence[str], labels: Sequence[str], test: Sequence[str]) -> Predicted:
    """TF-IDF (1 + ln count) of single words, lower case, and the same classifier.

    Example:
        >>> texts = ["a good day", "good", "a bad day", "bad"] * 5
        >>> bag_of_words(texts, ["+", "+", "-", "-"] * 5, ["good night", "bad night"]).labels.tolist()
        ['+', '-']
    """
    return _learnt(tuple(train), tuple(labels), tuple(test))


@lru_cache(maxsize=4)  # the same rows stand beside every model
def _learnt(train: tuple[str, ...], labels: tuple[str, ...], test: tuple[str, ...]) -> Predicted:
    made = vectors()
    return classify(made.fit_transform(train), labels, made.transform(test))


def vectors() -> Any:
    """The vectoriser of `bag_of_words`."""
    learn()
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(tokenizer=words, token_pattern=None, sublinear_tf=True)


def _penalty(train: Any, labels: NDArray[Any], scale: bool, score: Score, few: int) -> float:
    """The penalty of the best score on rows left out, the strongest of equals."""
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, min(Counter(labels.tolist()).values()))
    if folds < 2:
        return 1.0  # a class of one row cannot be left out: the library's own value
    parts = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(np.zeros(len(labels)), labels))
    found = dict.fromkeys(PENALTIES, 0.0)
    for fit, left in parts if len(labels) < few else parts[:1]:
        for penalty in PENALTIES:
            made, _ = _fitted(train[fit], labels[fit], penalty, scale)
            found[penalty] += score(made, train[left], labels[left])
    return max(PENALTIES, key=lambda penalty: (found[penalty], -penalty))


def _fitted(train: Any, labels: NDArray[Any], penalty: float, scale: bool) -> tuple[Any, bool]:
    """A classifier, and whether it was stopped before it was done."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    made = LogisticRegression(C=penalty, max_iter=MOST_STEPS)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ConvergenceWarning)
        fitted = (make_pipeline(StandardScaler(), made) if scale else made).fit(train, labels)
    return fitted, any(issubclass(each.category, ConvergenceWarning) for each in seen)
