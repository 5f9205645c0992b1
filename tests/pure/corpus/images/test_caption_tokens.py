"""Captions in tokens: as the tokenizer itself counts them, held-out ones teach nothing, the longest has its room."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from keel.corpus.images import captions as of_captions
from keel.corpus.images.caption_tokens import told
from keel.corpus.images.survey import Survey
from keel.corpus.tokenizer import load, truncate

WORDS = ("small", "red", "square", "left", "of", "white", "ground", "under", "one", "large", "blue", "circle")
MANY = 800


def captions(number: int = MANY, seed: int = 0) -> list[str]:
    """Of 3 to 9 words each, some of them all in one."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(3, 10))) for _ in range(number)]


def surveyed(texts: list[str], kept: int | None = None) -> Survey:
    """What a survey leaves of images with these captions, of which the first `kept` were decoded."""
    seen = Survey()
    for place, text in enumerate(texts):
        assert seen.captions.add(text, str(place))
        if kept is None or place < kept:
            seen.sample.places.append(place)
            seen.sample.captions.append(text)
    return seen


def none_held(texts: list[str]) -> Any:
    return np.zeros(len(texts), bool)


def test_rows_count_as_the_tokenizer_does_at_every_vocabulary() -> None:
    texts = captions()
    made = told(surveyed(texts), none_held(texts), {"tokenizer.vocabulary": 700})
    rows = made.fields["tokens"]
    assert [row["vocabulary"] for row in rows][-1] == made.fields["tokenizer"]["vocabulary"]
    for row in rows:
        known = load(truncate(made.tokenizer_json, row["vocabulary"]))
        counts = [len(known.encode(text).ids) for text in texts]
        assert (row["longest"], row["longest_how"]) == (max(counts), "counted")
        assert row["caption_tokens"]["p50"] == int(np.quantile(counts, 0.5))
        assert row["caption_tokens"]["max"] == max(counts)


def test_a_caption_longest_in_tokens_need_not_be_so_in_bytes() -> None:
    """Rare words fall into many tokens; the longest is sought among tokens, where all captions were read."""
    rare = "qxjzvkwyqpjfyzjx"
    texts = [captions()[0], rare, *captions()]  # every other caption teaches: not the second
    row = told(surveyed(texts), none_held(texts), {}).fields["tokens"][-1]
    assert len(max(texts, key=len)) > 2 * len(rare)
    assert row["longest"] == len(rare)


def test_of_a_sample_the_longest_in_bytes_are_read_too() -> None:
    texts = captions()
    texts[700] = " ".join(WORDS * 4)
    whole, part = (told(surveyed(texts, kept), none_held(texts), {}).fields["tokens"][-1] for kept in (None, 300))
    assert whole["longest"] == 48
    assert part["longest"] >= 48
    assert "fair sample" in part["longest_how"]
    assert part["caption_tokens"]["max"] < 20
    assert len(of_captions.Captions().longest) < len(surveyed(texts).captions.longest) == of_captions.MOST_LONGEST


def test_captions_held_out_teach_the_tokenizer_nothing() -> None:
    held = np.arange(MANY) % 4 >= 2
    texts = [text + " zyzzyva" * int(out) for text, out in zip(captions(), held)]
    apart, mixed = (told(surveyed(texts), mask, {}).tokenizer_json for mask in (held, none_held(texts)))
    assert "zyzzyva" not in "".join(json.loads(apart)["model"]["vocab"])
    assert "zyzzyva" in "".join(json.loads(mixed)["model"]["vocab"])


def test_tokens_to_train_on_are_those_of_captions_that_are_not_held_out() -> None:
    texts = captions()
    half = np.arange(MANY) % 2 == 1
    whole, less = (told(surveyed(texts), mask, {}).fields["tokens"][-1] for mask in (none_held(texts), half))
    assert whole["train_tokens"] * whole["bytes_per_token"] == pytest.approx(sum(map(len, texts)))
    assert less["train_tokens"] * less["bytes_per_token"] == pytest.approx(sum(map(len, texts)) / 2)


def test_half_characters_are_read_as_unknown_and_said() -> None:
    texts = [*captions(), "a red \ud800 square"]
    seen = surveyed(texts)
    made = told(seen, none_held(texts), {})
    assert made.fields["tokens"][-1]["longest"] > 5
    report = of_captions.report(seen.captions)
    assert report["torn"] == 1
    said = [problem for problem in of_captions.problems(report) if "half characters" in problem.what]
    assert [problem.what for problem in said] == ["1 captions hold half characters"]
