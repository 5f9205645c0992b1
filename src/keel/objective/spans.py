"""Which runs of a window are noise, and the window as inputs and targets joined by sentinels (T5).

Legend: T tokens of a window, K spans, F tokens that may be corrupted. Arrays of tokens are int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.errors import Problem, StudyError

Tokens = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Counts(NamedTuple):
    """How many tokens of a window are noise, and in how many spans."""

    noise: int
    spans: int


class Lengths(NamedTuple):
    """Tokens of a raw window, of its inputs and of its targets (sentinels and end tokens counted); spans at most."""

    raw: int
    inputs: int
    targets: int
    spans: int


def check(share: float, mean_span: float, name: str = "density") -> None:
    """StudyError unless 0 < share <= 1 and mean_span >= 1 token; both problems at once."""
    problems = []
    if not 0 < share <= 1:
        why = f"{name} is the share of tokens that are corrupted"
        problems.append(Problem(f"{name} is {share}", why, "write a number above 0, at most 1", name))
    if not mean_span >= 1:
        why = "a span holds one token at least on average"
        problems.append(
            Problem(f"the mean span is {mean_span} tokens", why, "write a number of 1 or more", "mean_span")
        )
    if problems:
        raise StudyError.all(problems)


def portion(length: int, share: float, most: int) -> int:
    """How many of `length` tokens a share is: round(share * length), half to even; 1 at least, `most` at most.

    Example:
        >>> portion(512, 0.15, 511), portion(2, 0.15, 1), portion(1, 0.15, 0)
        (77, 1, 0)
    """
    return min(max(round(share * length), 1), most)


def counts(length: int, density: float, mean_span: float, *, roll: bool = False) -> Counts:
    """Noise tokens and spans of a window: noise = round(density T), spans = round(noise / mean_span), half to even.

    One token at least stays, so a window of one token has no noise; spans are one at least, and no more than the tokens
    that stay, since these must part them. A rolled window may have one more: a span cut by the window's end.

    Reference: Raffel et al. 2020, arXiv:1910.10683, section 3.1.4.

    Example:
        >>> counts(568, 0.15, 3), counts(2, 0.9, 3), counts(1, 0.15, 3)
        (Counts(noise=85, spans=28), Counts(noise=1, spans=1), Counts(noise=0, spans=0))
    """
    check(density, mean_span)
    noise = portion(length, density, max(length - 1, 0))
    spans = min(max(round(noise / mean_span), 1), noise, length - noise)
    return Counts(noise, spans + bool(roll and noise > spans))


def lengths(inputs_tokens: int, density: float, mean_span: float, num_sentinels: int, *, roll: bool = False) -> Lengths:
    """The longest raw window whose corrupted inputs hold at most `inputs_tokens`, one end token counted.

    inputs = T - noise + spans + 1 and targets = noise + spans + 1, so packed windows need no padding (a rolled one may
    be a sentinel shorter). Two differences from T5's own code: it takes one token less where density is exactly .5 and
    the targets would be longer than the inputs; and where round(noise / mean_span) is 0 it reckons with no span,
    though its masks then have one, so that its inputs are a token too long.

    Raises StudyError where the spans outnumber the sentinels (T5 has 100; its code then eats ordinary vocabulary).
    Reference: Raffel et al. 2020, arXiv:1910.10683, section 3.1.4; `random_spans_helper` of its code.

    Example:
        >>> lengths(512, 0.15, 3, num_sentinels=100)
        Lengths(raw=568, inputs=512, targets=114, spans=28)
    """
    check(density, mean_span)
    _check_room(inputs_tokens, density)

    def inputs_of(raw: int) -> int:
        noise, spans = counts(raw, density, mean_span, roll=roll)
        return raw - noise + spans + 1

    # The inputs never shrink as the window grows, so the last that fits is found by halving.
    fits, over = 2, 4
    while inputs_of(over) <= inputs_tokens:
        fits, over = over, 2 * over
    while over - fits > 1:
        middle = (fits + over) // 2
        fits, over = (middle, over) if inputs_of(middle) <= inputs_tokens else (fits, middle)
    noise, spans = counts(fits, density, mean_span, roll=roll)
    _check_sentinels(spans, num_sentinels)
    return Lengths(fits, inputs_of(fits), noise + spans + 1, spans)


def _check_room(inputs_tokens: int, density: float) -> None:
    """StudyError where no window fits, or every one does."""
    if density == 1:
        why = "one token stays and one sentinel stands for all others, however long the window"
        raise StudyError("density 1 sets no length", why=why, fix="write a density below 1", where="density")
    if inputs_tokens < 3:
        why = "a token that stays, a sentinel and the end token already make 3"
        fix = "allow 3 tokens or more"
        raise StudyError(f"inputs of {inputs_tokens} tokens hold no span", why=why, fix=fix, where="inputs_tokens")


def _check_sentinels(spans: int, num_sentinels: int) -> None:
    """StudyError where the spans outnumber the sentinels."""
    if spans > num_sentinels:
        raise StudyError(
            f"{spans} spans need {spans} sentinels; there are {num_sentinels}",
            why="each span of a window is named by a sentinel of its own, which no ordinary token may stand for",
            fix=f"add {spans - num_sentinels} sentinels to the vocabulary, or take longer spans or shorter windows",
            where="sentinels",
        )


def noise_spans(length: int, density: float, mean_span: float, rng: np.random.Generator, *, roll: bool = False) -> Mask:
    """Which tokens are noise: spans and what parts them are uniform over all compositions of their exact totals.

    Without `roll` a window begins with a token that stays and ends with noise: position 0 is never noise, the last one
    always, and a single span is the tail. With it every position is noise with probability noise / T. Returns bool[T].

    Reference: Raffel et al. 2020, arXiv:1910.10683, section 3.1.4; `random_spans_noise_mask` of its code.

    Example:
        >>> noise_spans(10, 0.4, 2, np.random.default_rng(0)).tolist()
        [False, False, False, False, False, True, True, False, True, True]
    """
    noise, spans = counts(length, density, mean_span)
    if not spans:
        return np.zeros(length, bool)
    runs = np.empty(2 * spans, np.int64)
    runs[::2], runs[1::2] = composition(length - noise, spans, rng), composition(noise, spans, rng)
    mask = (np.arange(2 * spans) % 2 == 1).repeat(runs)
    return np.roll(mask, rng.integers(length)) if roll else mask


def composition(total: int, parts: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`parts` positive lengths with sum `total`, uniform over all C(total - 1, parts - 1) of them.

    A part is long with P(n) = C(total - 1 - n, parts - 2) / C(total - 1, parts - 1).

    Example:
        >>> composition(9, 3, np.random.default_rng(0)).sum()
        np.int64(9)
    """
    borders = np.empty(parts + 1, np.int64)
    borders[0], borders[-1] = 0, total
    borders[1:-1] = rng.choice(total - 1, parts - 1, replace=False, shuffle=False) + 1
    borders.sort()
    return borders[1:] - borders[:-1]


def around(noise: Mask, fixed: Mask) -> Mask:
    """Noise over the F tokens that may be corrupted, laid out round those that are `fixed`: bool[T].

    A span that meets a fixed token is cut there in two, which takes one sentinel more.

    Example:
        >>> around(np.array([False, True, True]), np.array([False, False, True, False])).astype(int).tolist()
        [0, 1, 0, 1]
    """
    laid = np.zeros(len(fixed), bool)
    laid[~fixed] = noise
    return laid


def split(tokens: NDArray[Any], noise: Mask, sentinels: Sequence[int]) -> tuple[Tokens, Tokens]:
    """(inputs, targets): one sentinel for each noise span in the inputs; sentinel, span, sentinel, ... in the targets.

    Sentinels are taken in order; no end token is added, and no sentinel closes the targets. Raises StudyError where the
    spans outnumber the sentinels, or where the text itself holds a sentinel, since no one could then tell them apart.

    Example:
        >>> inputs, targets = split(np.arange(6), np.array([0, 1, 1, 0, 0, 1], bool), sentinels=(99, 98))
        >>> inputs.tolist(), targets.tolist()
        ([0, 99, 3, 4, 98], [99, 1, 2, 98, 5])
    """
    text = np.asarray(tokens, np.int64)
    if found := text[_among(text, sentinels)][:1].tolist():
        why = "a sentinel in the text cannot be told from one that stands for a span"
        raise StudyError(f"the text holds the sentinel {found[0]}", why=why, fix="encode text without special tokens")
    starts = noise.copy()
    starts[1:] &= ~noise[:-1]
    spans = int(np.count_nonzero(starts))
    _check_sentinels(spans, len(sentinels))
    marks = np.array(sentinels[:spans], np.int64)
    return (
        put(text[~noise], np.flatnonzero(starts[~noise | starts]) - np.arange(spans), marks),
        put(text[noise], np.flatnonzero(starts[noise]), marks),
    )


def join(inputs: NDArray[Any], targets: NDArray[Any], sentinels: Sequence[int]) -> Tokens:
    """The window that `split` took apart: its exact inverse.

    Raises StudyError unless both hold the same sentinels in their order and the targets begin with one.

    Example:
        >>> join(np.array([0, 99, 3, 4, 98]), np.array([99, 1, 2, 98, 5]), sentinels=(99, 98)).tolist()
        [0, 1, 2, 3, 4, 5]
    """
    kept, hidden = np.asarray(inputs, np.int64), np.asarray(targets, np.int64)
    in_kept, in_hidden = _among(kept, sentinels), _among(hidden, sentinels)
    marks = kept[in_kept].tolist()
    if marks != list(sentinels[: len(marks)]) or hidden[in_hidden].tolist() != marks or not in_hidden[:1].all():
        why = "each span is named by the next sentinel, once in the inputs and once in the targets"
        raise StudyError("inputs and targets do not belong together", why=why, fix="pass a pair made by `split`")
    at = np.flatnonzero(in_hidden)
    spans = np.concatenate([at[1:], [len(hidden)]])[: len(at)] - at - 1
    before = spans.cumsum() - spans
    noise = covered(
        np.flatnonzero(in_kept) - np.arange(len(at)) + before, spans, len(kept) - len(at) + int(spans.sum())
    )
    whole = np.empty(len(noise), np.int64)
    whole[noise], whole[~noise] = hidden[~in_hidden], kept[~in_kept]
    return whole


def put(tokens: Tokens, where: NDArray[np.int64], marks: Tokens) -> Tokens:
    """Tokens with marks[k] set before tokens[where[k]]; `where` never falls.

    Example:
        >>> put(np.array([5, 6]), np.array([0, 2, 2]), np.array([7, 8, 9])).tolist()
        [7, 5, 6, 8, 9]
    """
    slots = where + np.arange(len(where))
    out = np.empty(len(tokens) + len(where), np.int64)
    rest = np.ones(len(out), bool)
    rest[slots] = False
    out[slots], out[rest] = marks, tokens
    return out


def covered(starts: NDArray[np.int64], spans: NDArray[np.int64], length: int) -> Mask:
    """Which of `length` positions lie in one of the spans (start, tokens), which are apart or touch: bool[T].

    Example:
        >>> covered(np.array([1, 2]), np.array([1, 0]), 3).tolist()
        [False, True, False]
    """
    mask = np.zeros(length, bool)
    before = spans.cumsum() - spans
    inside = (starts - before).repeat(spans)
    mask[inside + np.arange(len(inside))] = True
    return mask


def _among(tokens: Tokens, sentinels: Sequence[int]) -> Mask:
    """Which tokens are sentinels."""
    low, high = min(sentinels, default=0), max(sentinels, default=-1)
    close = (tokens >= low) & (tokens <= high)
    # Most vocabularies number their sentinels in a row; `isin` would cost ten times the rest.
    if high - low >= len(set(sentinels)) and close.any():
        close[close] = np.isin(tokens[close], sentinels)
    return close
