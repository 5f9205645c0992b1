"""Where CoCa's two weights start, and which one the data ask to be larger."""

from __future__ import annotations

import pytest
from chosen import data

from keel.choose.lambdas import lambdas

PAIRS = 1e6


@pytest.mark.parametrize(
    ("tokens", "image_bytes", "word"),
    [(20, 50e3, "larger lambda_con"), (20.1, 50e3, "neither way"), (20, 49.9e3, "neither way"),
     (77, 20e3, "larger lambda_cap"), (76, 20e3, "neither way"), (77, 20.1e3, "neither way")],
)  # fmt: skip
def test_thin_text_and_weak_images_from_both_sides(tokens: float, image_bytes: float, word: str) -> None:
    held = data(PAIRS, "image-text", pairs=PAIRS, text_tokens=tokens * PAIRS, bytes=(image_bytes + 4 * tokens) * PAIRS)
    assert word in lambdas(held)


def test_it_always_starts_at_the_published_ratio_and_says_who_published_it() -> None:
    for held in (data(PAIRS, "image-text"), data(modality="text"), data(None, "image-text")):
        assert lambdas(held).startswith("start with lambda_con : lambda_cap = 1 : 2 (Yu et al. 2022")
        assert "is unknown" in lambdas(held)


def test_bytes_of_the_texts_alone_say_nothing_of_images() -> None:
    held = data(PAIRS, "image-text", pairs=PAIRS, text_tokens=20 * PAIRS, bytes=60 * PAIRS)
    assert "texts alone" in lambdas(held)
