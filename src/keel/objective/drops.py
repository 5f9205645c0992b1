"""Spans of Poisson length that leave a window: for one mask each (BART, mBART) or without a trace (AlexaTM).

Legend: T tokens of a window, K spans, M tokens in spans, F tokens that spans may cover. Arrays of tokens are int64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.errors import StudyError
from keel.objective.spans import Mask, Tokens, check, covered, portion, put

# Far beyond any window; numpy's Poisson fails at 9e18.
LONGEST_MEAN = 1e9


class Gapped(NamedTuple):
    """A window with gaps: what is left, [K, 2] start and tokens of each span, what the spans held, whether marked.

    Spans are sorted, apart or touching; one of no tokens is a mark put before the token at its start.
    """

    inputs: Tokens
    spans: NDArray[np.int64]
    removed: Tokens
    marked: bool


def infill(
    tokens: NDArray[Any],
    rng: np.random.Generator,
    share: float,
    mean_span: float,
    mask_id: int,
    random: float = 0.0,
    ordinary: NDArray[Any] | None = None,
    *,
    fixed: Mask,
) -> Gapped:
    """Text infilling: spans of Poisson(mean_span) tokens become one mask each; a span of no tokens puts a mask in.

    Exactly round(share F) tokens are covered, half to even and one at least, none of them `fixed`. A mask is, with
    probability `random`, a token drawn evenly from `ordinary` in its place. The target is the whole window.

    BART: share .3, mean 3 in the paper, 3.5 and random .1 in the run; mBART .35 and 3.5. fairseq draws each span's
    start on its own, so spans overlap and cover less than the share, and draws random tokens from the special ones too.
    Reference: Lewis et al. 2020, arXiv:1910.13461, section 2.2; Liu et al. 2020, arXiv:2001.08210, section 2.

    Example:
        >>> gapped = infill(np.arange(8), np.random.default_rng(9), 0.3, 3, 99, fixed=np.zeros(8, bool))
        >>> gapped.inputs.tolist(), gapped.spans.tolist()
        ([0, 1, 2, 99, 5, 6, 7], [[3, 2]])
    """
    check(share, mean_span, "share")
    if not 0 <= random <= 1:
        why = "it is the share of masks that a random token replaces"
        raise StudyError(f"random is {random}", why=why, fix="write a number from 0 to 1", where="random")
    if random and (ordinary is None or not len(ordinary)):
        why = "a random token is drawn from the ordinary ones, never from the special"
        raise StudyError("no ordinary tokens to draw from", why=why, fix="pass `ordinary`, or random 0", where="random")
    free = np.flatnonzero(~fixed)
    spans = _spans(free, portion(len(free), share, len(free)), mean_span, rng)
    marks = np.full(len(spans), mask_id, np.int64)
    if random and ordinary is not None:
        chosen = rng.random(len(spans)) < random
        marks[chosen] = rng.choice(ordinary, np.count_nonzero(chosen))
    return gap(tokens, spans, marks)


def drop(tokens: NDArray[Any], rng: np.random.Generator, share: float, mean_span: float, *, fixed: Mask) -> Gapped:
    """Spans of Poisson(mean_span) tokens are left out, and nothing shows where: AlexaTM's denoising, .15 and 3.

    Exactly round(share F) tokens go, half to even and one at least, but never all F of them: a single token is its own
    target. None is `fixed`. Spans of no tokens change nothing and are not listed. The target is the whole window.

    Reference: Soltan et al. 2022, arXiv:2208.01448, section 4.

    Example:
        >>> gapped = drop(np.arange(8), np.random.default_rng(9), 0.3, 3, fixed=np.zeros(8, bool))
        >>> gapped.inputs.tolist(), gapped.removed.tolist()
        ([0, 1, 2, 5, 6, 7], [3, 4])
    """
    check(share, mean_span, "share")
    free = np.flatnonzero(~fixed)
    spans = _spans(free, portion(len(free), share, max(len(free) - 1, 0)), mean_span, rng)
    return gap(tokens, spans[spans[:, 1] > 0], None)


def gap(tokens: NDArray[Any], spans: NDArray[np.int64], marks: Tokens | None) -> Gapped:
    """The window without its spans [K, 2], marks[k] in the place of span k; None leaves no mark.

    Example:
        >>> gap(np.arange(5), np.array([[1, 2], [4, 0]]), np.array([99, 98])).inputs.tolist()
        [0, 99, 3, 98, 4]
    """
    text = np.asarray(tokens, np.int64)
    starts, sizes = spans.T
    gone = covered(starts, sizes, len(text))
    left = text[~gone]
    inputs = left if marks is None else put(left, starts - sizes.cumsum() + sizes, marks)
    return Gapped(inputs, spans, text[gone], marks is not None)


def restore(gapped: Gapped) -> Tokens:
    """The window before `infill`, `drop` or `gap`: their exact inverse.

    Example:
        >>> restore(gap(np.arange(5), np.array([[1, 2], [4, 0]]), np.array([99, 98]))).tolist()
        [0, 1, 2, 3, 4]
    """
    inputs, spans, removed, marked = gapped
    starts, sizes = spans.T
    stays = np.ones(len(inputs), bool)
    if marked:
        stays[starts - sizes.cumsum() + sizes + np.arange(len(spans))] = False
    gone = covered(starts, sizes, int(np.count_nonzero(stays)) + len(removed))
    whole = np.empty(len(gone), np.int64)
    whole[gone], whole[~gone] = removed, inputs[stays]
    return whole


def span_lengths(total: int, mean_span: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Independent Poisson(mean_span) lengths, zeros too, until they make `total`; the last is cut to meet it exactly.

    Example:
        >>> span_lengths(20, 3, np.random.default_rng(0)).tolist()
        [2, 0, 7, 1, 4, 1, 3, 2]
    """
    mean = min(mean_span, LONGEST_MEAN)
    # About half more than needed on average, so that a second round is rare.
    round_size = 8 + int(1.5 * total / mean)
    drawn = rng.poisson(mean, round_size)
    while (ends := drawn.cumsum())[-1] < total:
        drawn = np.concatenate([drawn, rng.poisson(mean, round_size)])
    # With nothing to cover, no span is needed, not even an empty one.
    number = int(ends.searchsorted(total)) + 1 if total else 0
    lengths = drawn[:number]
    lengths[number - 1 :] -= ends[number - 1 : number] - total
    return lengths


def _spans(free: NDArray[np.int64], total: int, mean_span: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Spans [K, 2] that cover `total` of the positions `free`, each of these equally often.

    They are laid on the free positions closed to a ring, at even odds, and the ring is turned at random: without that
    the ends of a window would be covered less. A span that meets the window's end or a position that is not free is
    cut there, as a window cuts the text, so K is a little above the number of lengths drawn.
    """
    if not total:
        return np.empty((0, 2), np.int64)
    sizes = span_lengths(total, mean_span, rng)
    number = len(sizes)
    slots = rng.choice(len(free) - total + number, number, replace=False, shuffle=False)
    slots.sort()
    before = sizes.cumsum() - sizes
    starts = slots - np.arange(number) + before + rng.integers(len(free))

    # Positions of the spans' tokens, span after span.
    owner = np.arange(number).repeat(sizes)
    where = free[((starts - before)[owner] + np.arange(total)) % len(free)]
    heads = np.ones(total, bool)
    heads[1:] = (owner[1:] != owner[:-1]) | (where[1:] != where[:-1] + 1)
    first = np.flatnonzero(heads)
    inserts = free[starts[sizes == 0] % len(free)]
    spans = np.zeros((len(first) + len(inserts), 2), np.int64)
    spans[: len(first), 0], spans[len(first) :, 0] = where[first], inserts
    spans[: len(first), 1] = np.concatenate([first[1:], [total]]) - first
    # A mark put before a span's first token comes before that span.
    return spans[(2 * spans[:, 0] + (spans[:, 1] > 0)).argsort(kind="stable")]
