"""Corrupted windows give the text back: 100,000 of them. No torch: they stand here because the pure tier is short."""

from __future__ import annotations

import numpy as np
import pytest

from keel.objective.denoisers import UL2
from keel.objective.drops import drop, infill, restore
from keel.objective.sentences import permute, unpermute
from keel.objective.spans import join, noise_spans, split

pytestmark = pytest.mark.tensor
SENTINELS = tuple(range(32099, 31999, -1))
MASK = 99_999


def test_t5_gives_its_windows_back() -> None:
    """25,000 windows of 1 to 24 tokens; targets hold exactly the noise, inputs exactly the rest."""
    rng = np.random.default_rng(8)
    text = rng.integers(0, 32000, 26_000)
    for start, length in enumerate(rng.integers(1, 25, 25_000).tolist()):
        window = text[start : start + length]
        noise = noise_spans(length, 0.15 if start % 2 else 0.5, 3, rng)
        inputs, targets = split(window, noise, SENTINELS)
        assert join(inputs, targets, SENTINELS).tobytes() == window.tobytes()
        assert len(targets) - (targets >= 32000).sum() == np.count_nonzero(noise)


def test_ul2_gives_its_windows_back() -> None:
    """25,000 windows of 1 to 24 tokens, all seven denoisers."""
    rng = np.random.default_rng(3)
    text = rng.integers(0, 32000, 26_000)
    for start, length in enumerate(rng.integers(1, 25, 25_000).tolist()):
        window = text[start : start + length]
        inputs, targets = split(window, UL2[start % 7].noise(length, rng), SENTINELS)
        assert join(inputs, targets, SENTINELS).tobytes() == window.tobytes()


def test_bart_gives_its_windows_back() -> None:
    """25,000 windows of 1 to 24 tokens, sentences permuted, then infilled; some hold separators."""
    rng = np.random.default_rng(8)
    text, fixed = rng.integers(0, 50, 26_000), rng.random(26_000) < 0.05
    ends = text < 6
    for start, length in enumerate(rng.integers(1, 25, 25_000).tolist()):
        here = slice(start, start + length)
        permuted = permute(text[here], ends[here], rng, fixed=fixed[here])
        filled = restore(infill(permuted.tokens, rng, 0.3, 3.5, MASK, fixed=fixed[here]))
        assert unpermute(permuted._replace(tokens=filled)).tobytes() == text[here].tobytes()


def test_alexatm_gives_its_windows_back() -> None:
    """25,000 windows of 1 to 24 tokens, some with separators."""
    rng = np.random.default_rng(9)
    text, fixed = rng.integers(0, 50, 26_000), rng.random(26_000) < 0.05
    for start, length in enumerate(rng.integers(1, 25, 25_000).tolist()):
        here = slice(start, start + length)
        gapped = drop(text[here], rng, 0.15, 3, fixed=fixed[here])
        assert len(gapped.inputs) >= 1
        assert restore(gapped).tobytes() == text[here].tobytes()
