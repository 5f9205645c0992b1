"""Whose tokens the texts of a run become: the corpus's, or those of a release that the loss reads them with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.corpus.store import Corpus, tokenizer_of
from keel.corpus.tokenizer import released
from keel.objective.fact import Facts


def tokenizer_json(facts: Facts, options: Mapping[str, Any], corpus: Corpus) -> str | None:
    """The tokenizer; None where there is no text.

    Raises:
        StudyError: the release has none that can be read.
    """
    release = facts.tokens(options) if facts.tokens is not None else None
    return tokenizer_of(corpus) if release is None else released(release)
