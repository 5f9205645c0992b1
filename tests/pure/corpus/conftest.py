"""Small corpora made on the spot."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keel.corpus.readers import Source, open_source
from keel.study import Data

Open = Callable[..., Source]
WORDS = [
    "the", "of", "and", "river", "stone", "house", "green", "seven", "under", "light", "morning", "paper",
    "wind", "table", "quick", "slow", "answer", "number", "field", "garden", "window", "letter", "silver",
    "road", "city", "mountain", "summer", "winter", "water", "bread", "salt", "story", "king",
]  # fmt: skip


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Open `train` (relative to tmp_path) as a source."""

    def make(train: Any = "data", **data: Any) -> Source:
        return open_source(tmp_path, Data(train=train, **data))

    return make


@pytest.fixture
def prose() -> Callable[[int, int], str]:
    """Prose of so many words, by seed."""

    def make(num_words: int, seed: int) -> str:
        rng = random.Random(seed)
        lines = (" ".join(rng.choices(WORDS, k=12)) for _ in range(num_words // 12 + 1))
        return "\n".join(lines) + "\n"

    return make


@pytest.fixture
def speeches(tmp_path: Path, prose: Callable[[int, int], str]) -> Path:
    """A folder `data` of forty text files."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02d}.txt").write_text(prose(300 + 20 * number, number))
    return folder
