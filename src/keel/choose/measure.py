"""What a released base is, and what this corpus is in its tokens: evidence/base.json, measured, no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from keel.choose.base import TOKENIZER, folder_of
from keel.corpus import vocabulary
from keel.corpus.pair_source import PairSource
from keel.corpus.readers import Document, Source
from keel.corpus.split import is_heldout, key_hash, place, split_key
from keel.corpus.survey import units_of
from keel.corpus.tokenizer import load, ratio, released
from keel.errors import StudyError
from keel.files import sha256_bytes, utc_now
from keel.model.shapes import SHAPES, folder
from keel.progress import Progress
from keel.study import Study

SAMPLE_BYTES = 4_000_000
SALT = "base\0"  # which documents are sampled has nothing to do with which are held out


def measure(
    study_folder: Path, study: Study, source: Source | PairSource, corpus: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """What stands in base.json, and the base's tokenizer, without its limits of length.

    bytes_per_token = sum bytes / sum tokens over sampled training texts, 95 % by resampling them;
    `kept` is the share of those texts that its tokens give back as they were.

    Raises:
        StudyError: no such folder, an unknown architecture, weights that are no safetensors, no tokenizer.
    """
    found = folder.read(folder_of(study_folder, study))
    tokenizer_json = released(found.path)
    size = found.size(found.context())
    sizes, counts, kept = _counted(load(tokenizer_json), source, corpus)
    per_token, low, high = ratio(sizes, counts)
    train_bytes = float(corpus["split"]["train_bytes"])
    known = vocabulary.vocabulary_of(tokenizer_json)
    value = {
        "made_utc": utc_now(), "name": found.path.name, "folder": str(found.path.resolve()), "sha256": found.sha256(),
        "family": found.family, "size": size.json(),
        "params": SHAPES[found.family].params(SHAPES[found.family].shape(size), "body").total,
        "tokenizer": {"file": TOKENIZER, "sha256": sha256_bytes(tokenizer_json.encode()), "vocabulary": known.size,
                      "roles": sorted(known.special)},
        "bytes_per_token": per_token, "low": low, "high": high, "train_tokens": train_bytes / per_token,
        "sampled_texts": len(sizes), "sampled_bytes": float(sizes.sum()), "kept": kept,
    }  # fmt: skip
    return value, tokenizer_json


def _counted(
    tokenizer: Tokenizer, source: Source | PairSource, corpus: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Bytes and tokens of sampled training texts, and the share that comes back unchanged."""
    sizes, counts, kept, progress = list[int](), list[int](), 0, Progress("base tokens", SAMPLE_BYTES)
    for text in _sample(source, corpus):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        sizes.append(len(text.encode()))
        counts.append(max(1, len(ids)))
        kept += tokenizer.decode(ids, skip_special_tokens=False) == text
        progress.update(min(SAMPLE_BYTES, sum(sizes)))
    progress.close(f"{len(sizes):,} texts")
    if not sizes:
        raise StudyError("no training text was sampled", why="the corpus is too small", fix="bring more text",
                         where="[data]")  # fmt: skip
    return np.array(sizes, np.float64), np.array(counts, np.float64), kept / len(sizes)


def _sample(source: Source | PairSource, corpus: dict[str, Any]) -> Iterator[str]:
    """Training texts by the hash of their key: about 4 MB, wherever they stand; the first where all fall out."""
    share, first, found = min(1.0, SAMPLE_BYTES / max(1.0, float(corpus["split"]["train_bytes"]))), None, False
    for unit, texts in _units(source, corpus):
        if is_heldout(corpus["split"], unit):
            continue
        first = first or texts
        if place(key_hash(SALT + split_key(unit))) < share:
            found = True
            yield from texts
    if first is not None and not found:
        yield from first


def _units(source: Source | PairSource, corpus: dict[str, Any]) -> Iterator[tuple[Document, tuple[str, ...]]]:
    """What the split sees, with its texts: a document, or both sides of a pair."""
    if isinstance(source, PairSource):
        yield from ((pair.unit, (pair.source, pair.target)) for pair in source.pairs())
    else:
        yield from ((document, (document.text,)) for document in units_of(source, corpus["split"]["by"]))
