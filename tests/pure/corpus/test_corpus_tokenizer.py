"""The smaller tokenizer is exactly the one that training at its size gives, and tokens are counted as it would."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from keel.corpus import tokenizer
from keel.errors import StudyError


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Made-up words, many of two letters only: overlapping pairs are where a count could go wrong."""
    rng = np.random.default_rng(0)
    stems = ["".join(rng.choice(list("abcdefgh"), rng.integers(1, 7))) for _ in range(1500)]
    stems += ["".join(rng.choice(list("xy"), rng.integers(4, 15))) for _ in range(1500)]
    stems += ["a" * number for number in range(1, 40)] + ["caf\u00e9", "\u4e2d\u6587", "don't"]
    return [" ".join(rng.choice(stems, 500)) + "\n" for _ in range(40)]


@pytest.fixture(scope="module")
def trained(texts: list[str]) -> str:
    return tokenizer.train(texts, 2048)


@pytest.mark.parametrize("vocabulary", [257, 258, 300, 512, 777, 1024, 2047, 2048, 5000])
def test_truncated_equals_trained(vocabulary, texts, trained):
    small = json.loads(tokenizer.truncate(trained, vocabulary))
    direct = json.loads(tokenizer.train(texts, min(vocabulary, 2048)))
    assert small["model"]["vocab"] == direct["model"]["vocab"]
    assert small["model"]["merges"] == direct["model"]["merges"]
    assert small == direct


def test_training_is_deterministic_and_the_separator_is_zero(texts, trained):
    assert tokenizer.train(texts, 2048) == trained
    assert json.loads(trained)["model"]["vocab"][tokenizer.SEPARATOR] == tokenizer.SEPARATOR_ID


@pytest.mark.parametrize("vocabulary", [257, 300, 512, 1024, 2048])
def test_counts_for_all_sizes_come_from_one_encoding(vocabulary, texts, trained):
    model = json.loads(trained)["model"]
    lengths = tokenizer.lengths(model, vocabulary)
    large, small = Tokenizer.from_str(trained), Tokenizer.from_str(tokenizer.truncate(trained, vocabulary))
    for text in texts[:10]:
        expected = len(small.encode(text, add_special_tokens=False).ids)
        counted = int(lengths[large.encode(text, add_special_tokens=False).ids].sum())
        assert counted == expected


def test_measured_rows(texts, trained):
    rows = tokenizer.measure(trained, texts[:20], train_bytes=1e6)
    assert [row["vocabulary"] for row in rows] == [512, 1024, 2048]
    for row in rows:
        small = Tokenizer.from_str(tokenizer.truncate(trained, row["vocabulary"]))
        tokens = sum(len(small.encode(text, add_special_tokens=False).ids) for text in texts[:20])
        size = sum(len(text.encode()) for text in texts[:20])
        assert row["bytes_per_token"] == pytest.approx(size / tokens, rel=1e-12)
        assert row["low"] <= row["bytes_per_token"] <= row["high"]
        assert row["train_tokens_low"] <= row["train_tokens"] <= row["train_tokens_high"]
    assert rows[0]["bytes_per_token"] < rows[-1]["bytes_per_token"]


def test_the_interval_covers_the_truth(texts, trained):
    """95 % of intervals from 20 documents should cover the ratio of all; chance hardly misses 30 of 40."""
    whole = tokenizer.measure(trained, texts, 1.0)[-1]["bytes_per_token"]
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(40):
        row = tokenizer.measure(trained, [texts[number] for number in rng.choice(40, 20)], 1.0)[-1]
        hits += row["low"] <= whole <= row["high"]
    assert hits >= 30


def test_the_separator_within_a_text_is_text(trained):
    loaded = tokenizer.load(trained)
    ids = loaded.encode("a<|end|>b", add_special_tokens=False).ids
    assert tokenizer.SEPARATOR_ID not in ids
    assert loaded.decode(ids) == "a<|end|>b"


@pytest.mark.parametrize("text", ["", " ", "\U0001f40b\u0301", "a\u0000b", "\r\n\t ", "\u202eabc"])
def test_any_text_comes_back(text, trained):
    loaded = tokenizer.load(trained)
    assert loaded.decode(loaded.encode(text, add_special_tokens=False).ids) == text


@pytest.mark.parametrize("wanted", [True, 256, 0, "4096", 4096.0])
def test_impossible_sizes_are_refused(wanted):
    with pytest.raises(StudyError, match=r"tokenizer\.vocabulary"):
        tokenizer.wanted_vocabulary({"tokenizer.vocabulary": wanted}, 1e6)


def test_the_corpus_chooses_the_size():
    assert tokenizer.wanted_vocabulary({}, 100) == 512
    assert tokenizer.wanted_vocabulary({}, 12.2e6) == 16384
    assert tokenizer.wanted_vocabulary({}, 1e12) == 32768
    assert tokenizer.wanted_vocabulary({"tokenizer.vocabulary": 300}, 1e12) == 300
