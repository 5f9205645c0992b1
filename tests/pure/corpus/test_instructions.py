"""Instructions: templates as text, records that fill them, the split by record, and rounds of capped tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers import study_error, texts

from keel.corpus.instructions import Task, Template, fields, open_instructions, pairs, render, slots, write
from keel.corpus.split import key_hash, place
from keel.corpus.tokenizer import load, train

TOKENIZER = train(texts(30), 300)
ASK = Template("Q: {question}\nA:", " {answer}")
TELL = Template("{question} Answer in a word.", "{answer}")


def task(path: Path, records: Sequence[dict[str, Any]], *templates: Template) -> Task:
    path.write_text("\n".join(map(json.dumps, records)))
    return Task(path, templates or (ASK, TELL))


def many(number: int, word: str = "q") -> list[dict[str, Any]]:
    return [{"question": f"{word} {place}?", "answer": f"a{place}"} for place in range(number)]


def test_templates_are_text_with_fields() -> None:
    assert fields("{a} and {b}, {a} {{c}}") == ("a", "b", "a")
    assert render(Template("{{{a}}} is {b}", "{c}"), {"a": "x", "b": 3, "c": 2.5}) == ("{x} is 3", "2.5")
    # What a record says is never read as a template.
    assert render(ASK, {"question": "{answer} {0}", "answer": "{x}"}) == ("Q: {answer} {0}\nA:", " {x}")


@pytest.mark.parametrize("text", ["{a", "a}", "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{a b}"])
def test_what_is_no_template_is_refused(text: str) -> None:
    with study_error():
        fields(text)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"question": "x"}, "a record has no 'answer'"), ({"question": "x", "answr": "y"}, "did you mean 'answr'?"),
        ({"question": "x", "answer": None}, "'answer' of a record is None"),
        ({"question": ["x"], "answer": "y"}, "'question' of a record is ['x']"),
        ({"question": "x", "answer": True}, "neither text nor a number"),
    ],
)  # fmt: skip
def test_records_that_do_not_fill_a_template_are_named(values: dict[str, Any], words: str, tmp_path: Path) -> None:
    with study_error(words, "t.jsonl:2"):
        list(pairs(task(tmp_path / "t.jsonl", [*many(1), values])))


def test_a_template_that_always_answers_alike_teaches_nothing(tmp_path: Path) -> None:
    with study_error("one answer for all records"):
        list(pairs(task(tmp_path / "t.jsonl", many(3), Template("{question}", "yes"))))
    with study_error("a task has no template"):
        list(pairs(Task(tmp_path / "t.jsonl", ())))


def test_every_record_is_told_in_every_template(tmp_path: Path) -> None:
    found = list(pairs(task(tmp_path / "t.jsonl", many(2))))
    assert [(pair.number, pair.source, pair.target) for pair in found] == [
        (1, "Q: q 0?\nA:", " a0"), (1, "q 0? Answer in a word.", "a0"),
        (2, "Q: q 1?\nA:", " a1"), (2, "q 1? Answer in a word.", "a1"),
    ]  # fmt: skip
    assert [found[0].key == found[1].key, found[0].key == found[2].key] == [True, False]


def test_no_record_is_on_both_sides(tmp_path: Path) -> None:
    write(tmp_path / "out", {"t": task(tmp_path / "t.jsonl", many(300))}, TOKENIZER, heldout_share=0.2)
    found, tokenizer = open_instructions(tmp_path / "out"), load(TOKENIZER)
    sides = []
    for part in (found.tasks["t"].train, found.tasks["t"].heldout):
        told = [tokenizer.decode(part[1][place]).strip() for place in range(len(part[1]))]
        assert all(told.count(answer) == 2 for answer in set(told))
        sides.append(set(told))
    assert not sides[0] & sides[1]
    assert len(sides[0]) + len(sides[1]) == 300
    assert 30 < len(sides[1]) < 90
    prompt, answer = (side[0] for side in found.tasks["t"].train)
    assert tokenizer.decode(prompt).startswith("Q: q ")
    assert tokenizer.decode(answer).startswith(" a")
    assert found.vocabulary == 300
    assert found.problems == []


def test_an_edited_task_is_named_and_none_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "out", {"t": task(tmp_path / "t.jsonl", many(100))}, TOKENIZER, heldout_share=0.2)
    (tmp_path / "out" / "00000" / "train.source.bin").write_bytes(b"xx")
    with study_error("train.source.bin is not what was written"):
        open_instructions(tmp_path / "out")
    with study_error("there is no task"):
        write(tmp_path / "none", {}, TOKENIZER)


def test_capped_rates() -> None:
    """Raffel et al. 2020, section 3.5.2: r_m = min(e_m, K) / sum of min(e_n, K)."""
    assert slots([100, 20, 7]) == [100, 20, 7]
    assert slots([100, 20, 7], 10) == [10, 10, 7]


def test_a_task_that_leaves_nothing_to_train_on_is_named(tmp_path: Path) -> None:
    held = next(
        pair for pair in pairs(task(tmp_path / "t.jsonl", many(300))) if place(key_hash(pair.key)) < 0.2
    )  # fmt: skip
    rare = task(tmp_path / "rare.jsonl", [many(300)[held.number - 1]])
    both = {"rare": rare, "t": task(tmp_path / "t.jsonl", many(300))}
    write(tmp_path / "out", both, TOKENIZER, heldout_share=0.2)
    found = open_instructions(tmp_path / "out")
    assert list(found.tasks) == ["t"]
    assert [problem.what for problem in found.problems] == ["1 tasks are left out"]
    with study_error("no pair is left to train on"):
        write(tmp_path / "none", {"rare": rare}, TOKENIZER, heldout_share=0.2)
