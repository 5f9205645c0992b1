"""The corpora behind a model, as far as they are recorded, set beside the user's own."""

from __future__ import annotations

from collections.abc import Sequence

from keel.catalog.rows import Corpus, Model
from keel.catalog.store import Catalogue
from keel.units import show_bytes, show_count

UNRECORDED = "the corpora behind it are not recorded"
OVERLAP = "its overlap with your corpus is unknown: no source records it, and keel has not compared the texts"


def corpora_of(known: Catalogue, model: Model) -> tuple[Corpus, ...]:
    """The recorded corpora that a model was trained on, the largest first; empty is unknown, not none.

    Example:
        >>> known = Catalogue()
        >>> [corpus.id for corpus in corpora_of(known, known.models["gpt2"])]
        ['webtext']
    """
    found = [corpus for corpus in known.corpora.values() if model.id in corpus.used_by]
    return tuple(sorted(found, key=lambda corpus: -(corpus.bytes or 0.0)))


def size_of(corpus: Corpus) -> str:
    """Every size that is recorded, in words; "unknown" where none is."""
    counts = [
        (corpus.documents, "documents"), (corpus.images, "images"), (corpus.pairs, "pairs"),
    ]  # fmt: skip
    said = [show_bytes(corpus.bytes)] if corpus.bytes else []
    if corpus.tokens:
        said.append(f"{show_count(corpus.tokens)} tokens ({corpus.tokenizer_of_count or 'tokenizer unknown'})")
    return ", ".join([*said, *(f"{show_count(count)} {name}" for count, name in counts if count)]) or "unknown"


def describe(corpora: Sequence[Corpus]) -> tuple[str, ...]:
    """A line a corpus: size, languages, domain, licence; the last line says that overlap is unknown."""
    return (*(_line(corpus) for corpus in corpora), OVERLAP) if corpora else (UNRECORDED, OVERLAP)


def _line(corpus: Corpus) -> str:
    about = f"languages {corpus.languages or 'unknown'}; {corpus.domain or 'domain unknown'}"
    licence = f"licence {corpus.licence or 'unknown'} ({corpus.licence_class}, of the packaging)"
    return f"{corpus.name}: {size_of(corpus)}; {about}; {licence}"
