"""Two tokenizers held against each other: by what tokens stand for, whatever marks they use, and by role."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from helpers import texts

from keel.corpus.match import NONE, match
from keel.corpus.tokenizer import train
from keel.corpus.vocabulary import vocabulary_of


def made(model: dict[str, Any], pre: dict[str, Any] | None, *special: str) -> str:
    """A tokenizer.json by hand; special tokens get the ids behind the model's."""
    size = len(model["vocab"])
    added = [{"id": size + place, "content": text, "special": True} for place, text in enumerate(special)]
    return json.dumps({"model": model, "pre_tokenizer": pre, "added_tokens": added})


BYTE_LEVEL = made(
    {"type": "BPE", "vocab": {"\u0120dog": 0, "dog": 1, "s": 2, ",": 3}, "merges": []},
    {"type": "ByteLevel"},
    "<s>",
    "<mask>",
)
METASPACE = made(
    {"type": "BPE", "vocab": {"s": 0, "\u2581dog": 1, "\u2581cat": 2, ",": 3}, "merges": []},
    {"type": "Metaspace", "replacement": "\u2581"},
    "<pad>",
    "<s>",
)
WORD_PIECE = made(
    {
        "type": "WordPiece",
        "vocab": {"dog": 0, "##s": 1, "[UNK]": 2},
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
    },
    None,
    "[CLS]",
)


def test_tokens_are_matched_by_what_they_stand_for() -> None:
    byte_level, metaspace, word_piece = map(vocabulary_of, (BYTE_LEVEL, METASPACE, WORD_PIECE))
    found = match(byte_level, metaspace)
    #                    _dog  dog   s  ,  <s> <mask>
    assert list(found.ids) == [1, NONE, 0, 3, 5, NONE]
    assert (found.covered, found.ordinary, found.coverage) == (3, 4, 0.75)
    assert found.lost == ("mask",)
    assert list(match(metaspace, byte_level).ids) == [2, 0, NONE, 3, NONE, 4]
    # WordPiece marks what continues a word, the others what begins one.
    assert list(match(word_piece, byte_level).ids) == [0, 2, NONE, 4]


def test_a_vocabulary_is_its_own_match() -> None:
    known = vocabulary_of(train(texts(40), 400)).with_special(["mask", "pad"])
    found = match(known, known)
    assert np.array_equal(found.ids, np.arange(402))
    assert found.coverage == 1.0
    assert found.lost == ()


def test_a_smaller_bpe_of_the_same_text_is_within_the_larger() -> None:
    small, large = (vocabulary_of(train(texts(40), size)) for size in (300, 400))
    assert match(small, large).coverage == 1.0
    back = match(large, small)
    assert back.covered == len(small.pieces)
    assert np.array_equal(np.flatnonzero(back.ids == NONE), np.arange(300, 400))


def test_of_several_alike_the_lowest_id_is_taken() -> None:
    spelled = made(
        {"type": "BPE", "vocab": {"a": 0, "<0x61>": 1}, "merges": [], "byte_fallback": True}, {"type": "Metaspace"}
    )
    assert list(match(vocabulary_of(spelled), vocabulary_of(spelled)).ids) == [0, 0]
