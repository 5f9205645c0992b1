"""Captions in tokens: a tokenizer trained on those that are not held out, and how long captions are in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from keel.corpus import measure, tokenizer
from keel.corpus.images.captions import readable
from keel.corpus.images.survey import Survey
from keel.errors import Problem
from keel.files import sha256_bytes

FILE = "evidence/tokenizer.json"


class Told(NamedTuple):
    """Fields of images.json, the tokenizer, and what is said aloud."""

    fields: Mapping[str, Any]
    tokenizer_json: str
    problems: tuple[Problem, ...]


def told(seen: Survey, held: np.ndarray, overrides: Mapping[str, Any]) -> Told:
    """`tokenizer` and `tokens` (a row a vocabulary: bytes a token, tokens of a caption); `held`: images held out.

    `longest` of a row is that of all captions where all were read, else of a fair sample and of the longest in bytes.

    Raises:
        StudyError: [set] tokenizer.vocabulary is no size.
    """
    captions, sample = seen.captions, seen.sample
    known = [(readable(text), bool(held[place])) for place, text in zip(sample.places, sample.captions) if text]
    train_bytes = captions.bytes * float((~held).mean())
    size = tokenizer.wanted_vocabulary(overrides, captions.bytes)
    learning = [(text,) for text, out in known if not out] or [(text,) for text, _ in known]
    rows, text_json, used, notes = measure.tokens(learning, size, train_bytes)
    texts = [text for text, _ in known]
    whole = len(texts) == captions.count
    counts = tokenizer.counted(text_json, texts + ([] if whole else list(map(readable, captions.longest_texts()))))
    for row in rows:
        found = counts[row["vocabulary"]]
        row["caption_tokens"] = measure.quantiles(found[: len(texts)])
        row["longest"] = int(found.max())
        row["longest_how"] = "counted" if whole else "of a fair sample, and of the captions longest in bytes"
    entry = {"file": FILE, "sha256": sha256_bytes(text_json.encode()), "vocabulary": rows[-1]["vocabulary"],
             "trained_on_bytes": used}  # fmt: skip
    return Told({"tokenizer": entry, "tokens": rows}, text_json, tuple(notes))
