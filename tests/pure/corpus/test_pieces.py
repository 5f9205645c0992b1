"""tokenizer.json is read as it is written: roles by their usual spellings, bytes as they stand, all else refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import ByteLevel

from keel.corpus import tokenizer
from keel.corpus.pieces import BYTE_OF, parse, pieces_of
from keel.corpus.vocabulary import BEGINS, JOINS, SPACE, SPECIAL, vocabulary_of
from keel.errors import StudyError


def test_the_byte_alphabet_is_the_librarys() -> None:
    assert set(BYTE_OF) == set(ByteLevel.alphabet())
    assert sorted(BYTE_OF.values()) == list(range(256))
    pieces = pieces_of(parse(tokenizer.train(["caf\u00e9 caf\u00e9"] * 9, 300)))
    loaded = tokenizer.load(tokenizer.train(["caf\u00e9 caf\u00e9"] * 9, 300))
    text = "\u4e2d caf\u00e9\n \U0001f40b"
    assert b"".join(pieces[index] for index in loaded.encode(text).ids) == text.encode()


def file_of(vocab: Any, added: list[tuple[int, str, bool]] = (), **model: Any) -> str:
    """A tokenizer.json with the fields that matter here."""
    tokens = [{"id": index, "content": content, "special": special} for index, content, special in added]
    model = {"type": "BPE", "vocab": vocab, **model}
    return json.dumps({"model": model, "added_tokens": tokens, "pre_tokenizer": {"type": "ByteLevel"}})


def test_usual_spellings_have_roles() -> None:
    spelled = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "__de__", "en_XX", "[R]", "<|language fr|>", "<|sentinel 7|>"]
    spelled += [f"<extra_id_{number}>" for number in (2, 1, 0)] + ["<odd>"]
    added = [(3 + place, token, True) for place, token in enumerate(spelled)]
    found = vocabulary_of(file_of({"a": 0, "b": 1, "c": 2}, added))
    assert found.special == {
        "start": 3, "pad": 4, "separator": 5, "unknown": 6, "mask": 7, "language de": 8, "language en": 9, "mode R": 10,
        "language fr": 11, "sentinel 7": 12, "sentinel 2": 13, "sentinel 1": 14, "sentinel 0": 15, "<odd>": 16,
    }  # fmt: skip
    assert found.sentinels == (15, 14, 13, 12)
    assert found.ordinary.tolist() == [0, 1, 2]


def test_of_two_spellings_the_more_usual_has_the_role() -> None:
    added = [(1, "<|padding|>", True), (2, "<|endoftext|>", True), (3, "[SEP]", True), (4, "[PAD]", True)]
    found = vocabulary_of(file_of({"a": 0}, added))
    assert found.special == {"pad": 4, "<|padding|>": 1, "separator": 3, "<|endoftext|>": 2}


def test_ordinary_added_words_unknown_tokens_and_holes() -> None:
    added = [(7, "de_DE", False), (8, "  ", False), (9, "<mask>", False), (10, "<b>", False)]
    found = vocabulary_of(file_of({"\u0120a": 0, "<unk>": 3}, added, unk_token="<unk>"))
    assert found.special == {"unknown": 3, "mask": 9}
    assert found.ordinary.tolist() == [0, 7, 8, 10]
    assert found.kind[[0, 1, 7, 8]].tolist() == [BEGINS, SPECIAL, JOINS, SPACE]
    assert found.size == 11
    listed = vocabulary_of(file_of([["<unk>", 0.0], ["\u0120a", -1.0]], type="Unigram", unk_id=0))
    assert listed.special == {"unknown": 0}


def test_a_missing_role_says_what_to_do() -> None:
    with pytest.raises(StudyError, match="no 'mask' token") as caught:
        vocabulary_of(file_of({"a": 0}, [(1, "</s>", True)])).id_of("mask")
    problem = caught.value.problems[0]
    assert "separator" in problem.why
    assert "with_special(['mask'])" in problem.fix


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"model": 3}', '{"model": {"vocab": {}}}', '{"model": {"vocab": {"a": "x"}}}', "null",
     '{"model": {"vocab": ["a"]}}', '{"model": {"vocab": {"a": 0}}, "added_tokens": [1]}',
     '{"model": {"vocab": {"a": -1}}}', '{"model": {"vocab": {"a": 0}}, "added_tokens": 1}',
     '{"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 1}]}'],
)  # fmt: skip
def test_what_is_no_tokenizer_is_refused(text: str) -> None:
    with pytest.raises(StudyError, match=r"not a tokenizer\.json"):
        vocabulary_of(text)


def test_a_tokenizer_that_marks_no_words_is_refused() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(["a plain text"], trainers.BpeTrainer(vocab_size=100, show_progress=False))
    with pytest.raises(StudyError, match="does not mark where words begin"):
        vocabulary_of(tokenizer.to_str())
