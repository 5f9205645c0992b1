"""Bytes to tokens, images to patches: by measured ratios where there are any, else by corpora that have both counts.

tokens = bytes / (bytes per token)          patches = (side / patch)^2
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

from keel.catalog.rows import Corpus
from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.size.time import Estimate

# Corpora whose bytes and tokens are of the same, unpacked text. Others of the catalogue count packed bytes, words, or
# tokens of another mixture than the bytes.
SAME_BUILD: Mapping[str, tuple[str, ...]] = {
    "en": ("c4-en", "xlnet-mix", "redpajama-v1", "refinedweb", "bookscorpus", "opt-corpus"),
    "many": ("culturax", "roots"),
    "code": ("starcoderdata",),
}
UNKNOWN_WIDER = 1.5  # either way, judged: tokenizers not made for a language cut it finer, and scripts differ in bytes


def bytes_per_token(known: Catalogue, languages: Iterable[str] = (), measured: Estimate | None = None) -> Estimate:
    """Bytes a token of a vocabulary of 30k-250k: measured where a corpus was looked at, else from known corpora.

    English and code have rows of their own. Other languages get the rows of many languages and a wider range.

    Raises:
        StudyError: a measured ratio that is not positive.

    Example:
        >>> english = bytes_per_token(Catalogue(), ["en"])
        >>> f"{english.value:.2f} ({english.low:.2f}-{english.high:.2f})"
        '4.56 (4.13-4.80)'
    """
    if measured is not None:
        if not 0 < measured.low <= measured.value <= measured.high:
            raise StudyError(f"{measured.value:g} bytes a token", why="a ratio is positive, its interval ordered",
                             fix="run keel look again", where="evidence/corpus.json")  # fmt: skip
        return measured
    parts = [_of(known, code.lower()) for code in languages] or [_of(known, "unknown")]
    source = "; ".join(dict.fromkeys(part.source for part in parts))
    return Estimate(sum(part.value for part in parts) / len(parts), min(part.low for part in parts),
                    max(part.high for part in parts), source)  # fmt: skip


def tokens_of(size_bytes: float, per_token: Estimate) -> Estimate:
    """Tokens of so many bytes of text.

    Example:
        >>> found = tokens_of(20e9, bytes_per_token(Catalogue(), ["en"]))
        >>> f"{found.value / 1e9:.1f}B ({found.low / 1e9:.1f}B-{found.high / 1e9:.1f}B)"
        '4.4B (4.2B-4.8B)'
    """
    return Estimate(size_bytes / per_token.value, size_bytes / per_token.high, size_bytes / per_token.low,
                    f"{size_bytes:.4g} bytes / {per_token.value:.3g} bytes per token; {per_token.source}")  # fmt: skip


def patches(side: int, patch: int, latent: int = 1) -> int:
    """Tokens that an image makes: (side / (latent patch))^2; `latent`: how much an autoencoder shrinks each side.

    Raises:
        StudyError: a side that the patch does not divide.

    Example:
        >>> patches(224, 16), patches(256, 2, latent=8)
        (196, 256)
    """
    if side <= 0 or patch <= 0 or latent <= 0 or side % (patch * latent):
        raise StudyError(f"{side} pixels are not whole patches of {patch * latent}", why="the side must be a multiple",
                         fix="resize the images, or change the patch", where="images")  # fmt: skip
    return (side // (patch * latent)) ** 2


def _of(known: Catalogue, language: str) -> Estimate:
    short = language.split("-")[0]
    group = short if short in SAME_BUILD else "many"
    rows = [known.corpora[name] for name in SAME_BUILD[group] if name in known.corpora]
    ratios = [ratio for row in rows if (ratio := _ratio(row)) is not None]
    if not ratios:
        raise StudyError("no corpus has both bytes and tokens", why="the catalogue's rows were replaced",
                         fix="keep the shipped rows of " + ", ".join(SAME_BUILD[group]),
                         where="catalog/corpora.csv")  # fmt: skip
    names = ", ".join(row.id for row in rows)
    if group != short or len(ratios) < 2:
        said = f"fewer than two corpora of '{language}' have both counts: {names}, a factor {UNKNOWN_WIDER} either way"
        return Estimate(median(ratios), min(ratios) / UNKNOWN_WIDER, max(ratios) * UNKNOWN_WIDER, said)
    return Estimate(median(ratios), min(ratios), max(ratios), f"corpora with both counts: {names}")


def _ratio(row: Corpus) -> float | None:
    return row.bytes / row.tokens if row.bytes and row.tokens else None
