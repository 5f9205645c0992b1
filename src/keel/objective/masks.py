"""Which tokens a masked loss hides: tokens, a rate and a unit -> a flag for each token.

Shapes: T tokens of a sample, U units (tokens, words or n-grams) in it.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from keel.corpus.vocabulary import SPECIAL, Vocabulary
from keel.errors import Problem, StudyError

Unit = Literal["token", "word", "ngram"]
Count = Literal["exact", "bernoulli"]
Flags = NDArray[np.bool_]
Lengths = NDArray[np.int64]


def choose(
    tokens: NDArray[Any],
    rng: Generator,
    vocabulary: Vocabulary,
    *,
    rate: float,
    unit: Unit = "token",
    count: Count = "exact",
    ngram: int = 3,
) -> Flags:
    """Flags [T] of the tokens to predict: a share `rate` of the ordinary ones, every place as likely as any other.

    Candidates are the ordinary tokens: special ones (padding, separator, start, unknown, ...) are never chosen, as in
    BERT; fairseq lets its mask fall on them. The rate counts candidates; BERT's counts all tokens.

    unit: "token"; "word", all tokens of a word or none (BERT's whole-word masking, for any tokenizer: see
    `Vocabulary.words`); "ngram", runs of n = 1 ... `ngram` whole words, p(n) = (1/n) / sum_k (1/k) (ALBERT). N-grams
    tile the sample and each tile is as likely as any other, so that the law of n holds for those chosen and no place is
    favoured; special tokens and the end cut a tile. BERT passes over words that no longer fit, which starves long ones;
    DeBERTa's generator fills from the left until the count is reached: the end of a sample is never chosen.

    count: "exact", round(rate x candidates) tokens, at least one (BERT), without replacement (ELECTRA's released code
    draws with it and falls short); where whole units cannot give that count, the nearest they can. A unit longer than
    the count never fits, so that with counts below about ten long units are chosen less: use "bernoulli", each unit on
    its own with probability `rate` (RoBERTa's trainers). Then the count varies and may be 0.

    Fresh masks every epoch or k fixed ones: whichever `rng` is passed, keyed by the epoch or by epoch mod k.

    Reference: Devlin et al. 2019, arXiv:1810.04805, section 3.1; Lan et al. 2020, arXiv:1909.11942, section 4.1.

    Raises:
        StudyError: an option is outside its range (all of them are named), or a token outside the vocabulary.

    Example:
        >>> from keel.corpus.tokenizer import train
        >>> from keel.corpus.vocabulary import vocabulary_of
        >>> tokens = np.array([0, 70, 71, 72, 73, 0])
        >>> found = choose(tokens, np.random.default_rng(0), vocabulary_of(train(["a"], 257)), rate=0.5)
        >>> int(found.sum()), bool(found[0] or found[-1])
        (2, False)
    """
    check(rate, unit, count, ngram)
    candidates = np.flatnonzero(vocabulary.kinds(tokens) != SPECIAL)
    chosen = np.zeros(len(tokens), np.bool_)
    if not len(candidates):
        return chosen
    numbers = _units(tokens, candidates, rng, vocabulary, unit, ngram)
    lengths = np.bincount(numbers)
    if count == "bernoulli":
        picked = rng.random(len(lengths)) < rate
    else:
        picked = _exact(lengths, max(1, round(rate * len(candidates))), rng)
    chosen[candidates] = picked[numbers]
    return chosen


def check(rate: float, unit: str, count: str, ngram: int) -> None:
    """StudyError unless tokens can be chosen so; all problems at once."""
    problems = []
    if not 0 < rate <= 1:
        problems.append(
            Problem("'rate' is wrong", f"found {rate!r}", "write a share above 0 and up to 1, such as 0.15", "rate")
        )
    if unit not in get_args(Unit):
        problems.append(Problem("'unit' is wrong", f"found {unit!r}", f"write one of {', '.join(get_args(Unit))}",
                                "unit"))  # fmt: skip
    if count not in get_args(Count):
        problems.append(Problem("'count' is wrong", f"found {count!r}", f"write one of {', '.join(get_args(Count))}",
                                "count"))  # fmt: skip
    if isinstance(ngram, bool) or not isinstance(ngram, int) or ngram < 1:
        problems.append(Problem("'ngram' is wrong", f"found {ngram!r}", "write a whole number of words, 1 or more",
                                "ngram"))  # fmt: skip
    if problems:
        raise StudyError.all(problems)


def _units(
    tokens: NDArray[Any], candidates: Lengths, rng: Generator, vocabulary: Vocabulary, unit: Unit, ngram: int
) -> Lengths:
    """The number of the unit that each candidate belongs to, ascending from 0."""
    if unit == "token":
        return np.arange(len(candidates))
    words = np.cumsum(vocabulary.words(tokens)[candidates]) - 1
    if unit == "word":
        return words
    apart = np.append(True, np.diff(candidates) > 1)
    tiles = _tiles(int(words[-1]) + 1, words[apart], rng, ngram)
    numbers: Lengths = tiles[words]
    return numbers


def _tiles(num_words: int, firsts: Lengths, rng: Generator, ngram: int) -> Lengths:
    """The number of the n-gram that each word belongs to; one begins at each of `firsts` whatever was drawn."""
    odds = 1 / np.arange(1, ngram + 1)
    ends = np.cumsum(1 + rng.choice(ngram, size=num_words, p=odds / odds.sum()))
    begins = np.zeros(num_words, np.bool_)
    begins[ends[ends < num_words]] = True
    begins[firsts] = True
    return np.cumsum(begins) - 1


def _exact(lengths: Lengths, target: int, rng: Generator) -> Flags:
    """Units [U] with `target` tokens in all, each unit as likely as any other whatever its length.

    Units lie on a circle in random order; those that start within an arc of `target` tokens are picked, which has the
    probability target / total for every one. If that holds d tokens too many, one picked unit is exchanged for one that
    is d shorter: d is as often positive as negative, so that neither long nor short units gain.
    """
    order = rng.permutation(len(lengths))
    starts, total = np.cumsum(lengths[order]) - lengths[order], int(lengths.sum())
    picked = np.zeros(len(lengths), np.bool_)
    picked[order] = (starts - rng.integers(total)) % total < target
    excess = int(lengths[picked].sum()) - target
    if excess == 0 or _exchange(lengths, picked, excess, rng):
        return picked
    return _nearest(lengths, target, rng)


def _exchange(lengths: Lengths, picked: Flags, excess: int, rng: Generator) -> bool:
    """Exchange, in place, a picked unit for one `excess` tokens shorter, each such pair alike; False if none is."""
    longest = int(lengths.max())
    inside = np.bincount(lengths[picked], minlength=longest + 1)
    outside = np.bincount(lengths[~picked], minlength=longest + 1)
    leaving = np.arange(longest + 1)
    entering = leaving - excess
    fits = (entering > 0) & (entering <= longest)
    pairs = np.where(fits, inside * outside[np.where(fits, entering, 0)], 0)
    if not pairs.any():
        return False
    length = int(np.searchsorted(np.cumsum(pairs), rng.integers(pairs.sum()), side="right"))
    out = _any_of(picked & (lengths == length), rng)
    into = _any_of(~picked & (lengths == length - excess), rng)
    picked[out], picked[into] = False, True
    return True


def _any_of(flags: Flags, rng: Generator) -> int:
    places = np.flatnonzero(flags)
    return int(places[rng.integers(len(places))])


def _nearest(lengths: Lengths, target: int, rng: Generator) -> Flags:
    """Units [U] whose tokens come nearest to `target`, not none: in random order, each if the rest can complete it.

    The bits of `sums[i]` are the sums that units i, i + 1, ... can give.
    """
    order = rng.permutation(len(lengths))
    limit = (1 << target + int(lengths.max()) + 1) - 1
    sums = [1]
    for length in lengths[order][::-1].tolist():
        sums.append((sums[-1] | sums[-1] << length) & limit)
    sums.reverse()
    left = _closest(sums[0] & ~1, target, rng)
    picked = np.zeros(len(lengths), np.bool_)
    for place, length in enumerate(lengths[order].tolist()):
        if length <= left and sums[place + 1] >> left - length & 1:
            picked[order[place]] = True
            left -= length
    return picked


def _closest(sums: int, target: int, rng: Generator) -> int:
    """The set bit nearest to `target`; of two equally near, either."""
    below = (sums & (1 << target + 1) - 1).bit_length() - 1
    upper = sums >> target
    above = target + (upper & -upper).bit_length() - 1 if upper else math.inf
    down, up = (target - below if below > 0 else math.inf), above - target
    return int(below if down < up or (down == up and rng.random() < 0.5) else above)
