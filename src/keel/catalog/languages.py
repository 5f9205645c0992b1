"""Does a model speak a language? Yes, no, or unknown, with the reason; a bare count answers nothing by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from keel.catalog.language_sets import CORPORA, SETS, Languages
from keel.catalog.rows import Corpus, Model

# What is written for the same language elsewhere: older codes, three letters, the two written norms of Norwegian.
SAME: Mapping[str, str] = {
    "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "fil": "tl", "nb": "no", "mo": "ro", "nob": "no", "nor": "no",
    "nno": "nn", "cmn": "zh", "zho": "zh", "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es",
    "ita": "it", "por": "pt", "nld": "nl", "dut": "nl", "pol": "pl", "rus": "ru", "ukr": "uk", "ces": "cs", "slk": "sk",
    "slv": "sl", "hrv": "hr", "srp": "sr", "bul": "bg", "ron": "ro", "ell": "el", "hun": "hu", "fin": "fi", "swe": "sv",
    "dan": "da", "isl": "is", "est": "et", "lit": "lt", "lvs": "lv", "tur": "tr", "ara": "ar", "arb": "ar", "heb": "he",
    "fas": "fa", "pes": "fa", "hin": "hi", "ben": "bn", "urd": "ur", "tam": "ta", "tel": "te", "mar": "mr", "jpn": "ja",
    "kor": "ko", "vie": "vi", "tha": "th", "ind": "id", "zsm": "ms", "swh": "sw", "cat": "ca", "eus": "eu", "glg": "gl",
}  # fmt: skip
CODE = r"[a-z]{2,3}"


class Spoken(NamedTuple):
    """Whether a model was trained on a language; None is unknown. `why` names the source."""

    yes: bool | None
    why: str


def speaks(model: Model, code: str) -> bool | None:
    """Whether the model was trained on a language; None where no source says.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> models = Catalogue().models
        >>> [speaks(models[name], "de") for name in ("xlm-roberta-base", "bert-base-uncased", "opt-125m")]
        [True, False, None]
    """
    return told(model, code).yes


def told(model: Model, code: str) -> Spoken:
    """The same with its reason.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> told(Catalogue().models["siglip2-b32-256"], "de")
        Spoken(yes=None, why="the languages are given as 'multilingual' and no list is recorded")
    """
    wanted, said = plain(code), model.languages
    if (listed := SETS.get((model.family, said))) is not None:
        return _in(listed, wanted)
    return told_by(said, wanted)


def told_of_corpus(corpus: Corpus, code: str) -> Spoken:
    """Whether a corpus holds a language.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> corpora = Catalogue().corpora
        >>> [told_of_corpus(corpora[name], "de").yes for name in ("cc100", "c4-en", "redpajama-v2", "webli")]
        [True, False, True, None]
    """
    listed = CORPORA.get(corpus.id)
    return _in(listed, plain(code)) if listed else told_by(re.sub(r"^\d+: ", "", corpus.languages), code)


def told_by(said: str, code: str) -> Spoken:
    """What a cell of languages says by itself, of a model or a corpus.

    Example:
        >>> told_by("en (mostly)", "en").yes, told_by("en", "de").yes, told_by("101", "de").yes
        (True, False, None)
    """
    if not said:
        return Spoken(None, "the languages are not recorded")
    named = _named(said)
    if named is None:
        return Spoken(None, f"the languages are given as '{said}' and no list is recorded")
    return _in(named, plain(code))


def plain(code: str) -> str:
    """A code as the sets have it: "de-AT", "deu" and "DE" are "de".

    Example:
        >>> plain("de-AT"), plain("nb"), plain("zh_TW")
        ('de', 'no', 'zh')
    """
    bare = re.split(r"[-_]", code.strip().lower())[0]
    return SAME.get(bare, bare)


def _in(listed: Languages, wanted: str) -> Spoken:
    if wanted in listed.codes:
        return Spoken(True, listed.source)
    if listed.closed:
        return Spoken(False, f"not among its languages ({listed.source})")
    return Spoken(None, f"not among those named ({listed.source})")


def _named(said: str) -> Languages | None:
    """The codes of a cell: "en, fr", "en+code", "en mostly", "en (+de, fr, ro tasks)"; None where it has none."""
    source = f"the catalogue gives '{said}'"
    tasks = re.fullmatch(rf"({CODE}) \(\+({CODE}(?:, {CODE})*) tasks\)", said)
    if tasks:
        return Languages(frozenset({tasks[1], *tasks[2].split(", ")}), True, f"{source}: the latter as tasks alone")
    mostly = re.fullmatch(rf"({CODE}) \(?mostly\)?", said)
    if mostly:
        return Languages(frozenset({mostly[1]}), False, source)
    parts = [part for part in re.split(r"[,;+\s]+", said) if part and part != "code"]
    if parts and all(re.fullmatch(CODE, part) for part in parts):
        return Languages(frozenset(parts), True, source)
    return None
