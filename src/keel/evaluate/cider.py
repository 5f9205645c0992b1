"""CIDEr-D: how much a caption says of what the reference says and other images' do not. No torch.

Legend: n length of an n-gram in words, I images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from keel.evaluate.tasks.linear import words
from keel.evaluate.tasks.result import Scores

LONGEST, SIGMA, MOST = 4, 6.0, 10.0
Grams = Mapping[tuple[str, ...], int]


def cider_d(written: Sequence[str], wanted: Sequence[str]) -> Scores:
    """10 mean_n exp(-(l_c - l_r)^2 / 2 sigma^2) sum_g min(c_g, r_g) r_g / (|c| |r|) of each caption, in [0, 10].

    c and r are counts of n-grams, n = 1 to 4, each times ln(I / images whose reference has it): what every image's
    reference says is worth nothing. l are numbers of words, sigma 6; one reference an image. Counts are not divided by
    their sum, as in the authors' code (tylin/coco-caption@274cef6). A reference of fewer words than four cannot reach
    10, for it has no longer n-grams. Words are lower case, of any script, where the authors' are of a Penn treebank
    tokenizer, and stems in the paper.

    Reference: Vedantam et al. 2015, arXiv:1411.5726, section 4, and its CIDEr-D.

    Example:
        >>> cider_d(["a red dot here", "a dot", ""], ["a red dot here", "one blue square", "green lines up"]).tolist()
        [10.0, 0.0, 0.0]
    """
    said, meant = [_counts(text) for text in written], [_counts(text) for text in wanted]
    seen = [Counter(gram for each in meant for gram in each[n]) for n in range(LONGEST)]
    total = math.log(len(wanted)) if wanted else 0.0

    def weighed(grams: Grams, n: int) -> dict[tuple[str, ...], float]:
        return {gram: count * (total - math.log(max(1, seen[n][gram]))) for gram, count in grams.items()}

    found = []
    for one, other in zip(said, meant, strict=True):
        apart = sum(one[0].values()) - sum(other[0].values())
        alike = [_cosine(weighed(one[n], n), weighed(other[n], n)) for n in range(LONGEST)]
        found.append(MOST * math.exp(-(apart**2) / (2 * SIGMA**2)) * sum(alike) / LONGEST)
    return np.clip(np.asarray(found, np.float64), 0.0, MOST)


def _counts(text: str) -> list[Counter[tuple[str, ...]]]:
    found = words(text.lower())
    return [Counter(_grams(found, n)) for n in range(1, LONGEST + 1)]


def _grams(found: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return (tuple(found[at : at + n]) for at in range(len(found) - n + 1))


def _cosine(one: Mapping[tuple[str, ...], float], other: Mapping[tuple[str, ...], float]) -> float:
    """Clipped: what is said more often than the reference says it counts as often as there."""
    norms = math.sqrt(sum(value**2 for value in one.values()) * sum(value**2 for value in other.values()))
    met = sum(min(value, other[gram]) * other[gram] for gram, value in one.items() if gram in other)
    return met / norms if norms else 0.0
