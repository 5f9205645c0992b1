"""One pass over a corpus: counts, lengths, and a bounded sample for what is too dear to do on all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keel.corpus.readers import Document, Source
from keel.corpus.split import Item, pieces, split_key
from keel.progress import Progress

FULL_BYTES = 1_000_000_000
SAMPLE_BYTES, SAMPLE_DOCUMENTS = 64_000_000, 20_000
LONGEST_ITEMS = 2_000_000


@dataclass
class Survey:
    """What was seen. `items` feed the split; `sample` is a fair sample of whole documents within 64 MB."""

    documents: int = 0
    bytes: int = 0
    characters: int = 0
    words: int = 0
    files_read: int = 0
    lengths: list[int] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    sample: list[Document] = field(default_factory=list)
    sample_bytes: int = 0
    keep: float = 1.0
    per_file: list[tuple[int, int, int, int, int]] = field(default_factory=list)


def units(source: Source, by: str, files: list[Any] | None = None) -> Iterator[Document]:
    """Documents as the split sees them: whole, or cut in pieces for a corpus of one document."""
    for document in source.documents(files):
        if by == "piece":
            yield from pieces(document)
        else:
            yield document


def survey(source: Source, by: str) -> Survey:
    """Read the corpus once; above 1 GB every n-th file only (a corpus of few large files is read whole)."""
    files = source.files
    total = sum(path.stat().st_size for path in files)
    step = max(1, math.ceil(total / FULL_BYTES)) if len(files) >= 20 else 1
    chosen = files[::step]
    seen, rng = Survey(files_read=len(chosen)), np.random.Generator(np.random.Philox(key=[0, 1]))
    progress, read = Progress("survey", sum(path.stat().st_size for path in chosen)), 0
    for path in chosen:
        before = (seen.documents, seen.bytes, seen.characters, seen.words)
        for document in units(source, by, [path]):
            _count(seen, document, rng)
            progress.update(read + seen.bytes - before[1], f"{seen.documents:,} documents")
        read += path.stat().st_size
        now = (seen.documents, seen.bytes, seen.characters, seen.words)
        seen.per_file.append((path.stat().st_size, *(after - early for after, early in zip(now, before))))  # type: ignore[arg-type]
        progress.update(read, f"{seen.documents:,} documents")
    progress.close(f"{seen.documents:,} documents")
    return seen


def _count(seen: Survey, document: Document, rng: np.random.Generator) -> None:
    size = len(document.text.encode())
    seen.documents += 1
    seen.bytes += size
    seen.characters += len(document.text)
    seen.words += len(document.text.split())
    if len(seen.items) < LONGEST_ITEMS:
        seen.lengths.append(size)
        seen.items.append(Item(split_key(document), document.time, size))
    if rng.random() < seen.keep:
        seen.sample.append(document)
        seen.sample_bytes += size
        _thin(seen, rng)


def _thin(seen: Survey, rng: np.random.Generator) -> None:
    """Keep the sample within its bounds by halving it, and the odds of later documents with it: still fair."""
    while (seen.sample_bytes > SAMPLE_BYTES or len(seen.sample) > SAMPLE_DOCUMENTS) and len(seen.sample) > 1:
        kept = rng.random(len(seen.sample)) < 0.5
        seen.sample = [document for document, keep in zip(seen.sample, kept) if keep] or seen.sample[:1]
        seen.sample_bytes = sum(len(document.text.encode()) for document in seen.sample)
        seen.keep /= 2


def totals(seen: Survey, source: Source) -> dict[str, dict[str, Any]]:
    """documents, bytes, characters, words; extrapolated by file size with a 95 % interval where files were skipped."""
    counted = (seen.documents, seen.bytes, seen.characters, seen.words)
    names = ("documents", "bytes", "characters", "words")
    if seen.files_read == len(source.files):
        return {name: {"value": value, "low": value, "high": value, "how": "counted"} for name, value in zip(names, counted)}
    disk = float(sum(path.stat().st_size for path in source.files))
    table = np.array(seen.per_file, dtype=np.float64)
    picks = np.random.Generator(np.random.Philox(key=[0, 2])).integers(0, len(table), (400, len(table)))
    resampled = table[picks].sum(axis=1)
    result = {}
    for place, name in enumerate(names, 1):
        ratio = table[:, place].sum() / table[:, 0].sum()
        low, high = np.quantile(resampled[:, place] / resampled[:, 0], [0.025, 0.975])
        result[name] = {"value": ratio * disk, "low": float(low) * disk, "high": float(high) * disk, "how": "sampled"}
    return result
