"""Words with tags: states that know tag every word right, in pieces too; what is wrong is named by line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from evaluate_oracles import Reader, subject
from helpers import study_error

from keel.evaluate.tasks.tagging import tagging
from keel.evaluate.uses.sentences import Sentence, Sentences, read, split_sentences

pytestmark = pytest.mark.tensor


class Looking(Reader):
    """States that hold each token and the first one of the sentence, which no neighbour tells a word far away."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        own = super().forward(input_ids, attention_mask).last_hidden_state
        parity = ((input_ids[:, :1] % 2) * 2.0 - 1.0)[..., None]
        return SimpleNamespace(last_hidden_state=torch.cat([own, parity.expand(*own.shape[:2], 1)], 2))


def sentences(number: int, words: int = 6) -> list[Sentence]:
    """Tags say what letter the sentence began with."""
    rng, made = random.Random(0), []
    for _ in range(number):
        some = ["".join(rng.choice("stuv") for _ in range(3)) for _ in range(words)]
        some[0] = rng.choice("ab") * 3
        made.append(Sentence(tuple(some), tuple(f"{some[0][0]}" for _ in some)))
    return made


def test_states_that_look_far_tag_every_word_and_words_around_do_not() -> None:
    found = tagging(subject(Looking(), "encoder"), split_sentences(sentences(60)))
    assert found.measures["accuracy"].value == found.measures["macro-F1"].value == 1.0
    assert 0.3 < found.beside["accuracy"].value < 0.9, "the first two words tell themselves"
    assert found.baseline == "words around"
    blind = tagging(subject(Reader(torch.ones(257, 2)), "encoder"), split_sentences(sentences(60)))
    assert blind.measures["accuracy"].value < 0.7


def test_long_sentences_are_read_in_pieces_between_words() -> None:
    reader = Looking()
    made = Sentences(sentences(12), [sentences(1, words=40)[0], *sentences(3)])
    found = tagging(subject(reader, "encoder", context=64), made)
    assert found.test == 40 + 18
    pieces = [row for batch in reader.seen for row in batch.tolist() if (torch.tensor(row) >= 0).sum() > 30]
    assert len(pieces) == 3, "160 tokens in pieces of at most 63, each with its frame"
    assert sum(sum(token > 0 for token in row) for row in pieces) == 40 * 3 + 39


def test_a_split_keeps_each_sentence_whole() -> None:
    given = sentences(80)
    made = split_sentences([*given, given[0]])
    assert sorted([*made.train, *made.test]) == sorted([*given, given[0]])
    assert not set(made.train) & set(made.test)


@pytest.mark.parametrize(("row", "word"), [
    ({"tokens": ["a"]}, "no list 'tags'"), ({"tokens": ["a", "b"], "tags": ["x"]}, "unequal numbers"),
    ({"tokens": [], "tags": []}, "no list 'tokens'"), ({"tokens": "a b", "tags": ["x"]}, "no list 'tokens'"),
    ({"words": ["a"], "tags": ["x"]}, "name the field"),
])  # fmt: skip
def test_bad_sentences_are_named(row: dict[str, Any], word: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in ({"tokens": ["a"], "tags": [1]}, row)))
    with study_error(word, "rows.jsonl:2"):
        read(path)


def test_sentences_of_one_tag_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"tokens": ["a", "b"], "tags": [1, 1]}\n')
    assert read(path) == [Sentence(("a", "b"), ("1", "1"))]
    with study_error("have one label"):
        tagging(subject(Reader(), "encoder"), Sentences(read(path), read(path)))
    path.write_text("")
    with study_error("there are no sentences"):
        read(path)
