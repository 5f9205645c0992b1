"""Token classification: a linear classifier on the frozen states of words; beside it, the words around each.

Legend: n words, B pieces of one batch, T positions, d width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.classes import classified
from keel.evaluate.tasks.linear import classify, learn
from keel.evaluate.tasks.result import Result
from keel.evaluate.tasks.subject import Ids, Subject, batches, padded
from keel.evaluate.uses.rows import Split, check_classes
from keel.evaluate.uses.sentences import Sentence, Sentences, word_rows

AROUND = "words around"
ENDS = (2, 3)


def tagging(subject: Subject, sentences: Sentences, level: float = LEVEL) -> Result:
    """Logistic regression on each word's mean state -> accuracy and macro-F1 over words; intervals by sentence.

    A word's tokens are those of the word behind a space, the first of a sentence without. A sentence longer than the
    context is read in pieces cut between words. Beside it, the same classifier on the word, its last letters, and the
    words before and after it.

    Raises:
        StudyError: fewer than two tags, or tags that only test sentences have.
    """
    rows = Split(*(list(word_rows(side)) for side in sentences))
    check_classes(rows)
    tokens = [_tokens(subject, side) for side in sentences]
    train, test = (_states(subject, side, ids) for side, ids in zip(sentences, tokens))
    labels = [row.answer for row in rows.train]
    found = classify(train, labels, test, scale=True)
    cut = sum(len(ids) > subject.room for side in tokens for ids in side)
    notes = [f"{cut} words are longer than the context: their beginning was read"] if cut else []
    words = _around(tuple(sentences.train), tuple(sentences.test), tuple(labels))
    return classified(
        "tagging", rows, found.labels, level=level, notes=[*notes, *found.notes], words=words, baseline=AROUND,
    )  # fmt: skip


def _tokens(subject: Subject, sentences: Sequence[Sentence]) -> list[Ids]:
    """Ids of each word; one without a token of its own is read as padding is."""
    words = [("" if place == 0 else " ") + word for each in sentences for place, word in enumerate(each.words)]
    return [ids if len(ids) else np.array([subject.pad]) for ids in subject.tokens(words)]


def _states(subject: Subject, sentences: Sequence[Sentence], tokens: Sequence[Ids]) -> NDArray[np.float64]:
    """Mean state of each word's tokens, shape (n, d)."""
    pieces = list(_pieces(subject, tokens, [len(each.words) for each in sentences]))
    found: list[Any] = [None] * len(tokens)
    with torch.no_grad():
        for batch in batches(pieces, [len(ids) for ids, _ in pieces]):
            hidden = subject.hidden(*padded([ids for ids, _ in batch], subject.pad)).double().numpy()
            for row, (_, places) in enumerate(batch):
                for word, first, last in places:
                    found[word] = hidden[row, first:last].mean(0)
    return np.stack(found)


def _pieces(
    subject: Subject, tokens: Sequence[Ids], lengths: Sequence[int]
) -> Iterator[tuple[Ids, list[tuple[int, int, int]]]]:
    """Framed ids of each piece, and for its words their number and where their tokens stand."""
    before, word = len(subject.frame.before), 0
    for length in lengths:
        ids: list[Ids] = []
        places: list[tuple[int, int, int]] = []
        for number in range(word, word + length):
            own = tokens[number][: subject.room]
            used = sum(map(len, ids))
            if used + len(own) > subject.room:
                yield subject.framed(np.concatenate(ids)), places
                ids, places, used = [], [], 0
            places.append((number, before + used, before + used + len(own)))
            ids.append(own)
        yield subject.framed(np.concatenate(ids)), places
        word += length


@lru_cache(maxsize=2)  # the same words stand beside every model
def _around(train: tuple[Sentence, ...], test: tuple[Sentence, ...], labels: tuple[str, ...]) -> Any:
    """The classifier on words alone."""
    learn()
    from sklearn.feature_extraction import DictVectorizer

    made = DictVectorizer()
    features = [[_features(each.words, place) for each in side for place in range(len(each.words))]
                for side in (train, test)]  # fmt: skip
    return classify(made.fit_transform(features[0]), labels, made.transform(features[1]))


def _features(words: Sequence[str], place: int) -> dict[str, str]:
    word = words[place]
    return {
        "word": word.lower(), "shape": "".join("X" if each.isupper() else "x" for each in word[:1]),
        **{f"end {size}": word[-size:].lower() for size in ENDS},
        "before": words[place - 1].lower() if place else "", "after": " ".join(words[place + 1 : place + 2]).lower(),
    }  # fmt: skip
