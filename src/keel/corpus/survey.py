"""One pass over a corpus: counts, lengths, and a bounded sample for what is too dear to do on all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keel.corpus.readers import Document, Source
from keel.corpus.split import Units, pieces
from keel.progress import Progress

FULL_BYTES, MANY_FILES = 1_000_000_000, 20
SAMPLE_BYTES, SAMPLE_DOCUMENTS = 64_000_000, 20_000
QUANTITIES = ("documents", "bytes", "characters", "words")


@dataclass
class Survey:
    """What was seen. `units` feed the split; `sample` is a fair sample of whole documents within 64 MB."""

    documents: int = 0
    bytes: int = 0
    characters: int = 0
    words: int = 0
    units: Units = field(default_factory=Units)
    sample: list[Document] = field(default_factory=list)
    sample_bytes: int = 0
    keep: float = 1.0
    disk_bytes: int = 0
    per_file: list[tuple[int, ...]] = field(default_factory=list)

    def counts(self) -> tuple[int, ...]:
        """Documents, bytes, characters and words so far."""
        return self.documents, self.bytes, self.characters, self.words

    @property
    def scale(self) -> float:
        """How many times larger the corpus is than what `units` hold."""
        read = sum(row[0] for row in self.per_file)
        return (self.disk_bytes / read if read else 1.0) * self.bytes / max(1, self.units.bytes)


def units_of(source: Source, by: str, files: list[Path] | None = None) -> Iterator[Document]:
    """Documents as the split sees them: whole, or cut in pieces for a corpus of one document."""
    for document in source.documents(files):
        if by == "piece":
            yield from pieces(document)
        else:
            yield document


def survey(source: Source, by: str) -> Survey:
    """Read the corpus once; above 1 GB every n-th file only (a corpus of fewer than 20 files is read whole)."""
    files, total, source.empty = source.files, source.bytes, 0
    step = max(1, math.ceil(total / FULL_BYTES)) if len(files) >= MANY_FILES else 1
    chosen = files[::step]
    seen, rng = Survey(disk_bytes=total), np.random.Generator(np.random.Philox(key=[0, 1]))
    progress, read = Progress("survey", sum(path.stat().st_size for path in chosen)), 0
    for path in chosen:
        before = seen.counts()
        for document in units_of(source, by, [path]):
            _count(seen, document, rng, timed=by == "time")
            progress.update(read + seen.bytes - before[1], f"{seen.documents:,} documents")
        size = path.stat().st_size
        read += size
        seen.per_file.append((size, *(after - early for after, early in zip(seen.counts(), before))))
    progress.close(f"{seen.documents:,} documents")
    return seen


def _count(seen: Survey, document: Document, rng: np.random.Generator, timed: bool) -> None:
    size = len(document.text.encode())
    seen.documents += 1
    seen.bytes += size
    seen.characters += len(document.text)
    seen.words += len(document.text.split())
    seen.units.add(document, size, timed)
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


def totals(seen: Survey) -> dict[str, dict[str, Any]]:
    """documents, bytes, characters, words; extrapolated by file size with a 95 % interval where files were skipped."""
    table = np.array(seen.per_file, dtype=np.float64)
    if table[:, 0].sum() == seen.disk_bytes:
        counted = zip(QUANTITIES, seen.counts())
        return {name: {"value": value, "low": value, "high": value, "how": "counted"} for name, value in counted}
    picks = np.random.Generator(np.random.Philox(key=[0, 2])).integers(0, len(table), (400, len(table)))
    resampled = table[picks].sum(axis=1)
    result = {}
    for column, name in enumerate(QUANTITIES, 1):
        value = table[:, column].sum() / table[:, 0].sum() * seen.disk_bytes
        low, high = np.quantile(resampled[:, column] / resampled[:, 0], [0.025, 0.975]) * seen.disk_bytes
        result[name] = {"value": round(value), "low": float(low), "high": float(high), "how": "sampled"}
    return result
