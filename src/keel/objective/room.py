"""How much text a loss with an encoder and a decoder puts into a context, the special tokens it takes, and its work.

Legend: C context (positions of the encoder, and of the decoder), T tokens of a window, K spans or marks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from keel.errors import Problem, StudyError
from keel.model.shapes import Use
from keel.objective.denoisers import T5GEMMA2, UL2, Denoiser, prefixes
from keel.objective.spans import counts, lengths, portion
from keel.objective.work import Work, between, mixed

PAIR = ("pad", "start")  # padding, and what starts the decoder
MIXTURES: Mapping[str, tuple[Denoiser, ...]] = {"ul2": UL2, "t5gemma2": T5GEMMA2}
# A span that meets a document's border is cut there and takes a sentinel more: enough for documents of a dozen tokens.
CUT_EVERY = 12
SENTENCE_TOKENS = 25


class Room(NamedTuple):
    """Tokens of a window, and sentinels for its spans."""

    text: int
    sentinels: int


def text_room(context: int, taken: int) -> int:
    """C less the positions that special tokens take.

    Raises:
        StudyError: nothing is left for text.
    """
    if context <= taken:
        raise StudyError(f"a context of {context} holds no text", why=f"special tokens take {taken} of its positions",
                         fix=f"set model.context to {taken + 1} or more", where="model.context")  # fmt: skip
    return context - taken


# ---- spans and sentinels: T5, UL2 ----


def span_denoisers(options: Mapping[str, Any]) -> tuple[Denoiser, ...]:
    """The one denoiser of span corruption."""
    return (
        Denoiser(
            "", float(options.get("mean_span", 3.0)), float(options.get("density", 0.15)), 1,
            bool(options.get("roll", False)),
        ),
    )  # fmt: skip


def mixture(options: Mapping[str, Any]) -> tuple[Denoiser, ...]:
    """The denoisers of a mixture by name.

    Raises:
        StudyError: no such mixture.
    """
    name = options.get("mixture", "ul2")
    if name not in MIXTURES:
        raise StudyError(f"no mixture is called {name!r}", why="it is not one of the published ones",
                         fix=f"write {' or '.join(MIXTURES)}", where="mixture")  # fmt: skip
    return MIXTURES[name]


def denoisers_room(context: int, denoisers: Sequence[Denoiser]) -> Room:
    """The longest window that every denoiser fits into C positions, inputs and targets alike, end tokens counted.

    Sentinels: the spans of the denoiser that has most, and one more for every dozen tokens of noise.

    Example:
        >>> denoisers_room(512, span_denoisers({})), denoisers_room(512, UL2).text
        (Room(text=568, sentinels=35), 566)
    """
    text = min(_longest(context, denoiser) for denoiser in denoisers)
    found = [counts(text, each.density, each.mean_span, roll=each.roll) for each in denoisers]
    return Room(text, max(spans + noise // CUT_EVERY for noise, spans in found))


def _longest(context: int, denoiser: Denoiser) -> int:
    mean, density, roll = denoiser.mean_span, denoiser.density, denoiser.roll
    room = text_room(context, _lead(denoiser))
    by_inputs = lengths(room, density, mean, num_sentinels=context, roll=roll).raw
    # Above density .5 the targets are the longer side; they never shrink as the window grows.
    fits = bisect_right(range(by_inputs + 1), context, key=lambda raw: 1 + sum(counts(raw, density, mean, roll=roll)))
    return min(by_inputs, fits - 1)


def _lead(denoiser: Denoiser) -> int:
    return int(bool(denoiser.mode))


@lru_cache(maxsize=64)
def side_room(length: int, denoisers: tuple[Denoiser, ...]) -> int:
    """Tokens, end tokens apart, of the longest side that any of the denoisers makes of an unbroken window.

    Where a window is as long as C allows, that is what C allows.
    """
    sides = []
    for each in denoisers:
        noise, spans = counts(length, each.density, each.mean_span, roll=each.roll)
        sides += [_lead(each) + length - noise + spans, noise + spans]
    return max(sides)


def denoisers_roles(denoisers: Sequence[Denoiser], context: int) -> tuple[str, ...]:
    """Padding, a start, the modes, and as many sentinels as the windows need."""
    modes = dict.fromkeys(f"mode {each.mode}" for each in denoisers if each.mode)
    number = denoisers_room(context, denoisers).sentinels
    return (*PAIR, *modes, *(f"sentinel {place}" for place in range(number)))


def denoisers_work(denoisers: Sequence[Denoiser], context: int) -> Work:
    """Each denoiser on a window within one document; a rolled one may have a span cut at the window's end."""
    text = denoisers_room(context, denoisers).text
    return mixed((each.weight, _denoised(each, text)) for each in denoisers)


def _denoised(denoiser: Denoiser, text: int) -> Work:
    noise, spans = counts(text, denoiser.density, denoiser.mean_span)
    cut = (noise - spans) / text if denoiser.roll else 0.0
    return tuple(
        (odds, Use(_lead(denoiser) + text - noise + number + 1, noise + number + 1, noise + number + 1))
        for odds, number in between(spans + cut)
    )


def span_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """What span corruption needs."""
    return denoisers_roles(span_denoisers(options), context)


def span_work(options: Mapping[str, Any], context: int) -> Work:
    """Span corruption of a window."""
    return denoisers_work(span_denoisers(options), context)


def mixture_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """What a mixture of denoisers needs."""
    return denoisers_roles(mixture(options), context)


def mixture_work(options: Mapping[str, Any], context: int) -> Work:
    """Each denoiser of a mixture."""
    return denoisers_work(mixture(options), context)


# ---- a mask for each span, or none: BART, mBART, PEGASUS, AlexaTM ----


def marks(length: int, total: int, mean_span: float) -> float:
    """Expected marks of `drops.infill`: lengths drawn until they make `total`, and spans that the window's end cuts.

    E[K] = sum_{k >= 0} P(Poisson(k mean) < total) + (total - E[spans that hold a token]) / T.

    Example:
        >>> round(marks(511, 153, 3.0), 2)
        51.7
    """
    from scipy.special import pdtr

    if not total:
        return 0.0
    tries = np.arange(1, 60 + int(2 * total / mean_span))
    drawn = 1.0 + float(pdtr(total - 1, tries * mean_span).sum())
    return drawn + (total - drawn * (1.0 - float(np.exp(-mean_span)))) / length


def infilled(text: int, share: float, mean_span: float, added: int) -> Work:
    """A window whose spans become marks, `added` tokens behind it; the decoder writes the window and an end token."""
    total = portion(text, share, text)
    return tuple(
        (odds, Use(text - total + number + added, text + 1, text + 1))
        for odds, number in between(min(marks(text, total, mean_span), total))
    )


def bart_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """A mask beside padding and a start."""
    return ("mask", *PAIR)


def bart_work(options: Mapping[str, Any], context: int) -> Work:
    """Infilling at C - 1 tokens of text."""
    return infilled(text_room(context, 1), float(options.get("share", 0.3)), float(options.get("mean_span", 3.0)), 1)


def mbart_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """A mask, padding, a start, and the text's language."""
    return ("mask", *PAIR, f"language {language_of(options)}")


def language_of(options: Mapping[str, Any]) -> str:
    """The one language of the text.

    Raises:
        StudyError: none is named.
    """
    language = options.get("language")
    if not language or not isinstance(language, str):
        raise StudyError("no language is named", why=f"the decoder starts with the text's language, found {language!r}",
                         fix="say language = 'en', or whichever it is", where="language")  # fmt: skip
    return language


def mbart_work(options: Mapping[str, Any], context: int) -> Work:
    """Infilling at C - 2 tokens of text: an end token and the language follow it."""
    return infilled(text_room(context, 2), float(options.get("share", 0.35)), float(options.get("mean_span", 3.5)), 2)


def gap_work(options: Mapping[str, Any], context: int) -> Work:
    """A document that fills the context, `share` of its tokens taken out in sentences of 25: a rule of thumb."""
    text = text_room(context, 1)
    removed = portion(text, float(options.get("share", 0.3)), text)
    gaps = max(1, round(removed / SENTENCE_TOKENS))
    return ((1.0, Use(text - removed + gaps + 1, removed + 1, removed + 1)),)


def alexatm_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """The signal to go on, padding, and a start; no mask and no sentinel."""
    return (*PAIR, "mode CLM")


def alexatm_work(options: Mapping[str, Any], context: int) -> Work:
    """Denoising and continuing, the latter at every prefix alike, in a window within one document."""
    text = text_room(context, 1)
    share, clm = float(options.get("share", 0.15)), float(options.get("clm", 0.2))
    dropped = portion(text, share, text - 1)
    denoise: Work = ((1.0, Use(text - dropped + 1, text + 1, text + 1)),)
    going_on = two_stacks(text, float(options.get("low", 0.2)), float(options.get("high", 0.8)), 2)
    return mixed([(1.0 - clm, denoise), (clm, going_on)])


# ---- a prefix, and what follows it ----


def two_stacks(text: int, low: float, high: float, added: int) -> Work:
    """The encoder reads a prefix with `added` special tokens, the decoder writes the rest and an end token."""
    if text < 2:
        return ((1.0, Use(text + added, 1, 1)),)
    least, most = prefixes(text, low, high)
    odds = 1 / (most - least + 1)
    return tuple((odds, Use(prefix + added, text - prefix + 1, text - prefix + 1)) for prefix in range(least, most + 1))


def prefix_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """None for one stack; padding and a start for two."""
    return () if options.get("stacks", 1) == 1 else PAIR


def prefix_work(options: Mapping[str, Any], context: int) -> Work:
    """One stack reads all and predicts what stands behind the prefix; or two stacks share it."""
    low, high = float(options.get("low", 0.0)), float(options.get("high", 1.0))
    if options.get("stacks", 1) != 1:
        return two_stacks(context, low, high, 1)
    least, most = prefixes(context + 1, low, high)
    return tuple((odds, Use(context, 0, rows)) for odds, rows in between(context + 1 - (least + most) / 2))


# ---- pairs of lines ----


def translation_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """Padding, a start, and a tag for each language."""
    return (*PAIR, *(f"language {language}" for language in languages_of(options)))


def languages_of(options: Mapping[str, Any]) -> tuple[str, str]:
    """Source and target language.

    Raises:
        StudyError: not two different ones.
    """
    given = options.get("languages", ())
    named = isinstance(given, (list, tuple)) and all(isinstance(each, str) and each for each in given)
    if not named or len(given) != 2 or given[0] == given[1]:
        problem = Problem("no two languages are named", f"found {given!r}",
                          "say languages = ['en', 'de'], source first", "languages")  # fmt: skip
        raise StudyError.all([problem])
    return str(given[0]), str(given[1])


def translation_work(options: Mapping[str, Any], context: int) -> Work:
    """A pair that fills the context on both sides; lines are shorter, by what the data alone can tell."""
    text = text_room(context, 2)
    return ((1.0, Use(text + 2, text + 2, text + 1)),)
