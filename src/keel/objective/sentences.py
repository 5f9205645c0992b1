"""Sentences of a window: put in another order (BART, mBART), taken out (PEGASUS), cut into two segments (BERT, ALBERT).

Legend: T tokens of a window, S sentences, K gaps, V distinct tokens of a window. Arrays of tokens are int64.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.errors import StudyError, nearest
from keel.objective.drops import Gapped, gap
from keel.objective.spans import Mask, Tokens, check, portion

How = Literal["random", "lead", "principal"]


class Permuted(NamedTuple):
    """A window with its sentences reordered: new sentence i is old sentence order[i], new token j is old source[j]."""

    tokens: Tokens
    order: NDArray[np.int64]
    source: NDArray[np.int64]


def borders(ends: Mask, fixed: Mask | None = None) -> NDArray[np.int64]:
    """Where sentences begin [S]: after the last of tokens in a row that end one ("?!"), and at the window's start.

    `ends` [T] is the vocabulary's `ends_sentence` at the tokens, so any tokenizer's full stops count; fairseq knows
    GPT-2's id 13 alone, and other vocabularies are never permuted. A `fixed` token is a piece of its own.

    Example:
        >>> borders(np.array([0, 1, 0, 1, 1, 0], bool)).tolist()
        [0, 2, 5]
    """
    last = ends.copy()
    last[:-1] &= ~ends[1:]
    if fixed is not None:
        last |= fixed
        last[:-1] |= fixed[1:]
    return np.concatenate([np.zeros(min(len(ends), 1), np.int64), np.flatnonzero(last[:-1]) + 1])


def permute(tokens: NDArray[Any], ends: Mask, rng: np.random.Generator, *, fixed: Mask | None = None) -> Permuted:
    """The sentences in uniformly random order; `fixed` tokens stay, and no sentence leaves the run between two of them.

    So with its separators fixed, a packed window keeps its documents apart, which fairseq does not.

    Reference: Lewis et al. 2020, arXiv:1910.13461, section 2.2; Liu et al. 2020, arXiv:2001.08210, section 2.

    Example:
        >>> permute(np.arange(5), np.array([0, 1, 0, 0, 1], bool), np.random.default_rng(0)).tokens.tolist()
        [2, 3, 4, 0, 1]
    """
    starts = borders(ends, fixed)
    sizes = np.diff(starts, append=len(ends))
    runs = np.zeros(len(starts), np.int64)
    if fixed is not None:
        stays = fixed[starts]
        runs = np.cumsum(stays) * 2 - stays
    order = np.lexsort((rng.random(len(starts)), runs))
    moved = sizes[order]
    source = np.repeat(starts[order] - np.cumsum(moved) + moved, moved) + np.arange(len(ends))
    return Permuted(np.asarray(tokens, np.int64)[source], order, source)


def unpermute(permuted: Permuted) -> Tokens:
    """The window before `permute`.

    Example:
        >>> unpermute(permute(np.arange(5), np.array([0, 1, 0, 0, 1], bool), np.random.default_rng(0))).tolist()
        [0, 1, 2, 3, 4]
    """
    whole = np.empty_like(permuted.tokens)
    whole[permuted.source] = permuted.tokens
    return whole


def gap_sentences(
    tokens: NDArray[Any],
    ends: Mask,
    rng: np.random.Generator,
    share: float,
    mask_id: int,
    how: How = "principal",
    *,
    fixed: Mask | None = None,
) -> Gapped:
    """Whole sentences leave for one mask each; the target, `removed`, is what they held, in the window's order.

    round(share S) of them go, half to even and one at least, but never all: a window of one sentence has an empty
    target. Chosen at "random", as the "lead", or as "principal": those with the highest `rouge`, each scored alone
    against all others (the paper's Ind-Orig), the earlier first among equals. `fixed` tokens stay and score nothing.

    Reference: Zhang et al. 2020, arXiv:1912.08777, section 3.1.

    Example:
        >>> text, ends = np.array([1, 2, 9, 1, 3, 9, 4, 9]), np.array([0, 0, 1, 0, 0, 1, 0, 1], bool)
        >>> gapped = gap_sentences(text, ends, np.random.default_rng(0), 0.3, mask_id=99)
        >>> gapped.inputs.tolist(), gapped.removed.tolist()
        ([99, 1, 3, 9, 4, 9], [1, 2, 9])
    """
    check(share, 1, "share")
    starts = borders(ends, fixed)
    sizes = np.diff(starts, append=len(ends))
    sentences = np.flatnonzero(~fixed[starts]) if fixed is not None else np.arange(len(starts))
    count = portion(len(sentences), share, max(len(sentences) - 1, 0))
    if how == "random":
        chosen = rng.choice(sentences, count, replace=False, shuffle=False)
    elif how == "lead":
        chosen = sentences[:count]
    elif how == "principal":
        scores = rouge(np.asarray(tokens), starts, sentences)
        chosen = sentences[np.argsort(-scores, kind="stable")[:count]]
    else:
        why = f"gap sentences are chosen in one of three ways; {nearest(how, ('random', 'lead', 'principal'))}"
        raise StudyError(f"gap sentences by '{how}'", why=why, fix="write random, lead or principal", where="how")
    chosen = np.sort(chosen)
    return gap(tokens, np.stack([starts[chosen], sizes[chosen]], axis=1), np.full(count, mask_id, np.int64))


def rouge(tokens: NDArray[Any], starts: NDArray[np.int64], sentences: NDArray[np.int64]) -> NDArray[np.float64]:
    """ROUGE-1 F1 of each sentence against all others, over token ids: [S].

    F1 = 2 P R / (P + R) = 2 sum_v min(c_v, C_v - c_v) / sum_v C_v, c the sentence's counts, C those of all sentences:
    the denominator is the same for all, so a long sentence that repeats the rest scores high.

    Reference: Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries, with clipped counts.

    Example:
        >>> rouge(np.array([1, 2, 9, 1, 3, 9, 4, 9]), np.array([0, 3, 6]), np.arange(3)).tolist()
        [0.5, 0.5, 0.25]
    """
    sizes = np.diff(starts, append=len(tokens))
    kinds, kind = np.unique(tokens, return_inverse=True)
    owner = np.repeat(np.arange(len(starts)), sizes)
    shape = (len(starts), len(kinds))
    counts_sv = np.bincount(owner * len(kinds) + kind, minlength=shape[0] * shape[1]).reshape(shape)[sentences]
    rest_sv = counts_sv.sum(axis=0) - counts_sv
    shared = np.minimum(counts_sv, rest_sv).sum(axis=1)
    return np.asarray(2 * shared / max(int(counts_sv.sum()), 1), np.float64)


def segments(tokens: NDArray[Any], ends: Mask, rng: np.random.Generator, most: int) -> tuple[Tokens, Tokens]:
    """(a, b): one text cut at a sentence's end, any of those inside it alike (NSP, SOP); at most `most` tokens in all.

    What is too long loses its outer tokens, a its first and b its last, the longer of both first, so that b always goes
    on where a ends. A text of one sentence has no cut: a is its first `most` tokens and b is empty.

    Reference: Devlin et al. 2019, arXiv:1810.04805, section 3.1 and its code; Lan et al. 2020, arXiv:1909.11942, 3.1.

    Example:
        >>> a, b = segments(np.arange(6), np.array([0, 1, 0, 0, 0, 1], bool), np.random.default_rng(0), most=5)
        >>> a.tolist(), b.tolist()
        ([0, 1], [2, 3, 4])
    """
    if most < 2:
        why = "each of two segments holds one token at least"
        raise StudyError(f"two segments in {most} tokens", why=why, fix="allow 2 tokens or more", where="most")
    text = np.asarray(tokens, np.int64)
    cuts = borders(ends)[1:]
    if not len(cuts):
        return text[:most], text[:0]
    cut = int(cuts[rng.integers(len(cuts))])
    before, after = cut, len(text) - cut
    if before + after > most:
        short = min(before, after, most // 2)
        before, after = (short, most - short) if before < after else (most - short, short)
    return text[cut - before : cut], text[cut : cut + after]
