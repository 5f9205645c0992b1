"""Two tokenizers token by token: which id of one is which id of the other, and how many are neither's.

Legend: V ids of the first vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.corpus.vocabulary import Vocabulary

NONE = -1


class Match(NamedTuple):
    """ids[V]: the other's id of the same token, or -1; `covered` ordinary tokens of `ordinary`; roles without one."""

    ids: NDArray[np.int64]
    covered: int
    ordinary: int
    lost: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """The share of ordinary tokens that the other has too."""
        return self.covered / self.ordinary


def match(mine: Vocabulary, other: Vocabulary) -> Match:
    """Ordinary tokens by the bytes that they stand for, special ones by role; of several alike the lowest id.

    Example:
        >>> from keel.corpus.tokenizer import train
        >>> from keel.corpus.vocabulary import vocabulary_of
        >>> few, many = (vocabulary_of(train(["aa bb aa bb"] * 9, size)) for size in (258, 261))
        >>> match(few, many).coverage, round(match(many, few).coverage, 3)
        (1.0, 0.988)
    """
    there: dict[bytes, int] = {}
    for index in sorted(other.pieces):
        there.setdefault(other.pieces[index], index)
    ids = np.full(mine.size, NONE, np.int64)
    for index, piece in mine.pieces.items():
        ids[index] = there.get(piece, NONE)
    covered = int((ids != NONE).sum())
    for role, index in mine.special.items():
        ids[index] = other.special.get(role, NONE)
    lost = tuple(role for role in mine.special if role not in other.special)
    return Match(ids, covered, len(mine.pieces), lost)
