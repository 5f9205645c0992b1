"""Exact and near duplicates: content hashes, and MinHash with locality-sensitive hashing (datasketch)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

THRESHOLD, PERMUTATIONS, SHINGLE, MOST_SHINGLES = 0.8, 64, 5, 20_000
# Scripts without spaces have "words" longer than this; their shingles are of characters.
LONGEST_WORDS = 20
METHOD = (
    "exact: sha256 of the case-folded words; near: MinHash (datasketch, 64 permutations, Jaccard >= .8) of shingles of "
    "5 words, of 5 characters where words are not spaced, the 20,000 smallest hashes of a document"
)


class Clusters(NamedTuple):
    """Groups of alike documents by index, and how many documents repeat an earlier one."""

    near: list[list[int]]
    exact_documents: int
    near_documents: int


def find(texts: Sequence[str]) -> Clusters:
    """Clusters of two or more alike documents.

    Reference: Broder 1997, On the resemblance and containment of documents; Lee et al. 2022, arXiv:2107.06499.
    """
    from datasketch import MinHash, MinHashLSH

    parents = list(range(len(texts)))
    first: dict[bytes, int] = {}
    hashes, blank = _Hashes(), MinHash(num_perm=PERMUTATIONS, hashfunc=int)
    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    exact = 0
    for number, text in enumerate(texts):
        words = text.casefold().split()
        digest = hashlib.sha256(" ".join(words).encode()).digest()
        if digest in first:
            exact += 1
            _join(parents, number, first[digest])
            continue
        first[digest] = number
        sketch = blank.copy()
        spaced = len(text) <= LONGEST_WORDS * max(1, len(words))
        signs = np.array([hashes[word] for word in words] or [0], np.uint64) if spaced else _codes("".join(words))
        sketch.update_batch(_shingles(signs))
        for other in index.query(sketch):
            _join(parents, number, other)
        index.insert(number, sketch)
    groups: dict[int, list[int]] = {}
    for number in range(len(texts)):
        groups.setdefault(_root(parents, number), []).append(number)
    alike = [group for group in groups.values() if len(group) > 1]
    return Clusters(alike, exact, sum(len(group) - 1 for group in alike) - exact)


class _Hashes(dict[str, int]):
    """32-bit hashes of words, each worked out once."""

    def __missing__(self, word: str) -> int:
        self[word] = found = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "little")
        return found


def _codes(text: str) -> np.ndarray:
    """Code points, shape (characters,)."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.uint64)


def _shingles(signs: np.ndarray) -> list[int]:
    """32-bit hashes of windows of 5 words or characters; of a long text the smallest 20,000.

    The smallest hashes of a set are a fair sample of it, and the same sample in an alike set.
    """
    size = min(SHINGLE, len(signs))
    mixed = np.zeros(len(signs) - size + 1, dtype=np.uint64)
    # The factor comes last: the upper half, which is kept, must depend on the last word too.
    for shift in range(size):
        mixed = (mixed + signs[shift : shift + len(mixed)]) * np.uint64(0x9E3779B97F4A7C15)
    mixed = np.unique(mixed >> np.uint64(32))
    return [int(value) for value in mixed[:MOST_SHINGLES]]


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


def _join(parents: list[int], one: int, other: int) -> None:
    a, b = _root(parents, one), _root(parents, other)
    parents[max(a, b)] = min(a, b)


def report(clusters: Clusters, across_split: int, documents: int, of: int) -> dict[str, Any]:
    """The part of corpus.json about duplicates."""
    return {
        "exact_documents": clusters.exact_documents, "near_documents": clusters.near_documents, "threshold": THRESHOLD,
        "across_split": across_split, "sampled_documents": documents, "of_documents": of, "method": METHOD,
    }  # fmt: skip
