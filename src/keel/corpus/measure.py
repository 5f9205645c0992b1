"""What is measured of any corpus, whatever its samples are: files, sides of the split, lengths, tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keel.corpus import split, tokenizer
from keel.corpus.split import Units
from keel.errors import Problem
from keel.files import sha256_file
from keel.progress import Progress

QUANTILES = (("p5", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("max", 1.0))


class Files(Protocol):
    """What a source of any kind says of its files."""

    @property
    def files(self) -> list[Path]: ...

    @property
    def bytes(self) -> int: ...

    def name(self, path: Path) -> str: ...

    def key(self, path: Path) -> str: ...


def files_of(source: Files) -> list[dict[str, Any]]:
    """Path, bytes and sha256 of every file."""
    progress, done, found = Progress("checksums", source.bytes), 0, []
    for path in source.files:
        size = path.stat().st_size
        found.append({"path": source.name(path), "bytes": size, "sha256": sha256_file(path)})
        done += size
        progress.update(done)
    return found


def keys_of(source: Files, files: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What the data is, wherever it lies: paths count from the data's own folder."""
    return sorted((source.key(path), item["sha256"]) for path, item in zip(source.files, files))


def quantiles(sizes: Any) -> dict[str, int]:
    """Quantiles of lengths."""
    values = np.quantile(np.asarray(sizes), [level for _, level in QUANTILES])
    return {name: int(value) for (name, _), value in zip(QUANTILES, values)}


def sides(units: Units, scale: float, divided: Mapping[str, Any]) -> dict[str, int]:
    """Documents and bytes on either side; scaled up from what was read where that was not all."""
    held = split.mask(units, divided)
    sizes = np.asarray(units.sizes)
    found = {"heldout_documents": held.sum(), "heldout_bytes": sizes[held].sum(),
             "train_documents": (~held).sum(), "train_bytes": sizes[~held].sum()}  # fmt: skip
    return {name: round(float(value) * scale) for name, value in found.items()}


def tokens(
    units: Sequence[tuple[str, ...]], size: int, train_bytes: float
) -> tuple[list[dict[str, Any]], str, int, list[Problem]]:
    """Rows of corpus.json's `tokens`, the tokenizer of `size` entries, bytes that it was trained on, notes.

    Trained on one part of the units (a document, or the sides of a pair), measured on another.
    """
    progress = Progress("tokenizer", 1.0)
    learning, rest, used = shares(units)
    trained = tokenizer.train((text for unit in learning for text in unit), size)
    asked = rest or learning
    rows = tokenizer.measure(trained, [text for unit in asked for text in unit], train_bytes, len(asked[0]))
    progress.close(f"{used:,} bytes, vocabulary {rows[-1]['vocabulary']}")
    notes = []
    if not rest:
        notes.append(Problem("tokens were measured on the text that trained the tokenizer",
                             "there is one document of it", "expect slightly more tokens than stated"))  # fmt: skip
    if rows[-1]["vocabulary"] < size:
        notes.append(Problem(f"the tokenizer has {rows[-1]['vocabulary']} entries, not {size}",
                             "the text holds no more pairs to merge", "nothing to do, or bring more text"))  # fmt: skip
    return rows, trained, used, notes


def shares(units: Sequence[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]], int]:
    """Every other unit teaches the tokenizer, up to 4 MB; the others (at most 4 MB) measure it."""
    learning, rest = [], []
    used = measured = 0
    for number, unit in enumerate(units):
        if number % 2 == 0 and used < tokenizer.SAMPLE_BYTES:
            learning.append(tuple(text[: tokenizer.SAMPLE_BYTES] for text in unit))
            used += sum(len(text.encode()) for text in learning[-1])
        elif number % 2 and measured < tokenizer.SAMPLE_BYTES:
            rest.append(unit)
            measured += sum(len(text.encode()) for text in unit)
    return learning, rest, used
