"""Mixtures of span corruptions (UL2) and where a prefix ends (prefix LM, AlexaTM).

Legend: T tokens of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, inf
from typing import NamedTuple

import numpy as np

from keel.errors import StudyError
from keel.objective.spans import Mask, noise_spans


class Denoiser(NamedTuple):
    """One corruption of a mixture, drawn with odds `weight`: `density` of the tokens in spans of `mean_span` tokens.

    An infinite mean is one span. `roll` turns the noise by a random offset; without it the last token is always noise,
    and a single span is the tail. `mode` names the token that leads the inputs; "" for none.
    """

    mode: str
    mean_span: float
    density: float
    weight: int
    roll: bool

    def noise(self, length: int, rng: np.random.Generator) -> Mask:
        """The noise of one window: bool[T].

        Example:
            >>> UL2[2].noise(8, np.random.default_rng(0)).tolist()
            [False, False, False, False, False, False, True, True]
        """
        return noise_spans(length, self.density, self.mean_span, rng, roll=self.roll)


# Tay et al. 2023, arXiv:2205.05131, Table 1, mixed evenly. S has mean T/4 at density 1/4, hence one span: the tail.
# No data code was released with it. Rolled is our choice for R and X, as in marin-community/levanter: unrolled,
# (64, .15) is a single span on windows of up to 636 tokens and always the tail, thus an S-denoiser under X's name.
UL2: tuple[Denoiser, ...] = (
    Denoiser("R", 3, 0.15, 1, True),
    Denoiser("R", 8, 0.15, 1, True),
    Denoiser("S", inf, 0.25, 1, False),
    Denoiser("X", 3, 0.5, 1, True),
    Denoiser("X", 8, 0.5, 1, True),
    Denoiser("X", 64, 0.15, 1, True),
    Denoiser("X", 64, 0.5, 1, True),
)

# T5Gemma 2 report, section 3.1: 1 : 1 : 1 : 1 : 4, the last with a quarter as prefix. Rolled as above.
T5GEMMA2: tuple[Denoiser, ...] = (
    Denoiser("", 3, 0.15, 1, True),
    Denoiser("", 12, 0.5, 1, True),
    Denoiser("", 32, 0.15, 1, True),
    Denoiser("", 32, 0.5, 1, True),
    Denoiser("", inf, 0.75, 4, False),
)


def draw(table: Sequence[Denoiser], rng: np.random.Generator) -> Denoiser:
    """One denoiser of a mixture, with probability weight / sum of weights.

    Example:
        >>> draw(UL2, np.random.default_rng(0)).mode
        'X'
    """
    ends = np.cumsum([denoiser.weight for denoiser in table])
    return table[int(np.searchsorted(ends, rng.integers(ends[-1]), side="right"))]


def prefix(length: int, rng: np.random.Generator, low: float = 0.0, high: float = 1.0) -> int:
    """How many tokens of a window are given, the rest to be continued: uniform on the integers in [low T, high T].

    One token at least is given and one continued; where no integer lies between, the one nearest to the middle is
    taken. A window of one token is given whole. T5's prefix LM: low 0, high 1; AlexaTM: .2 and .8.

    Reference: Raffel et al. 2020, arXiv:1910.10683, section 3.2.1; Soltan et al. 2022, arXiv:2208.01448, section 4.

    Example:
        >>> prefix(10, np.random.default_rng(0), 0.2, 0.8)
        7
    """
    if length < 2:
        return length
    least, most = prefixes(length, low, high)
    return int(rng.integers(least, most + 1))


def prefixes(length: int, low: float = 0.0, high: float = 1.0) -> tuple[int, int]:
    """The shortest and the longest prefix of a window of two tokens or more.

    Example:
        >>> prefixes(10, 0.2, 0.8), prefixes(10), prefixes(3, 0.45, 0.5)
        ((2, 8), (1, 9), (1, 1))
    """
    if not 0 <= low <= high <= 1:
        why = "a prefix is a share of its window"
        raise StudyError(f"a prefix from {low} to {high}", why=why, fix="write 0 <= low <= high <= 1", where="prefix")
    least, most = max(ceil(low * length - TINY), 1), min(floor(high * length + TINY), length - 1)
    if least > most:
        least = most = min(max(round((low + high) / 2 * length), 1), length - 1)
    return least, most


# .07 * 100 is 7.000000000000001: a share that means a whole number of tokens must give it.
TINY = 1e-9
