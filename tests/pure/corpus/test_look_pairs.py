"""Pairs as a study: what is counted, what is refused, how they are held out, and what a run then opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import FAKE_MACHINE, study, study_error

from keel.corpus.instructions import Instructions
from keel.corpus.look import measure_corpus, source_of
from keel.corpus.look import show as show_look
from keel.corpus.parallel import Bitext
from keel.corpus.store import open_corpus, prepare
from keel.corpus.tokenizer import load
from keel.files import write_json, write_text
from keel.study import Study

EN = (
    "The window opens when you click the button on the left.",
    "Save the document before you close the program.",
    "Every page of this book has a number at the bottom.",
    "She writes a letter to her brother in the city.",
)
DE = (
    "Das Fenster wird ge\u00f6ffnet, wenn Sie links auf die Taste klicken.",
    "Speichern Sie das Dokument, bevor Sie es schliessen.",
    "Jede Seite dieses Buches hat unten eine Nummer.",
    "Sie schreibt ihrem Bruder in der Stadt einen Brief.",
)
FILES = {"train": (), "parallel": {"en": "help.en", "de": "help.de"}}
RECORDS = {"train": "rows.jsonl", "parallel": {"en": "a", "de": "b"}}
ASKED = {"train": "rows.jsonl", "prompt": "q", "answer": "a"}


def sentences(number: int) -> list[tuple[str, str]]:
    """Pairs that differ in their numbers, which stand in several words."""
    words = [f"{number * 7919 % 997} {number * 104729 % 991} {place}" for place in range(number)]
    return [(f"{EN[n % 4]} {words[n]} {n * 31 % 89}", f"{DE[n % 4]} {words[n]} {n * 31 % 89}") for n in range(number)]


def two(folder: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    for place, name in enumerate(("help.en", "help.de")):
        (folder / name).write_bytes("".join(f"{pair[place]}\n" for pair in pairs).encode())
    return folder


def rows(folder: Path, *records: dict[str, Any]) -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def measured(folder: Path, asked: Study) -> dict[str, Any]:
    """corpus.json, written where a run looks for it."""
    corpus, tokenizer_json = measure_corpus(source_of(folder, asked), asked)
    write_text(folder / "evidence" / "tokenizer.json", tokenizer_json)
    write_json(folder / "evidence" / "corpus.json", "keel.corpus/1", corpus)
    return corpus


def opened(folder: Path, asked: Study, corpus: dict[str, Any], most: int = 1_000_000) -> Any:
    data = {"vocabulary": 300, "heldout_max_bytes": most, "tokenizer_sha256": corpus["tokenizer"]["sha256"]}
    return open_corpus(prepare(folder, source_of(folder, asked), data))


def texts_of(corpus: Any, lines: Any) -> list[str]:
    tokenizer = load(corpus.tokenizer_path.read_text())
    return [tokenizer.decode(lines[place].tolist()) for place in range(len(lines))]


def test_what_is_counted(tmp_path: Path) -> None:
    pairs = sentences(200)
    odd = [
        ("", "leer"),
        ("OK", "OK"),
        ("short", "eine sehr lange Zeile, die nichts mehr sagt"),
        pairs[0],
        ("nothing", " "),
    ]
    asked = study(data=FILES)
    found = measured(two(tmp_path, [*pairs, *odd]), asked)
    kept = [pair for pair in [*pairs, *odd] if all(side.strip() for side in pair)]
    told = found["pairs"]
    assert (found["kind"], told["kept"], told["empty"], told["empty_at"]) == (
        "parallel", 203, 2, ["help.en:201", "help.en:205"],
    )  # fmt: skip
    assert (told["identical"], told["outside_ratio"], told["repeated"], told["repeated_sources"]) == (1, 1, 1, 1)
    assert told["length_ratio"]["p50"] == pytest.approx(float(np.median([len(b) / len(a) for a, b in kept])))
    for place, side in enumerate(found["sides"]):
        texts = [pair[place] for pair in kept]
        assert side["bytes"] == sum(len(text.encode()) for text in texts)
        assert side["words"] == sum(len(text.split()) for text in texts)
        assert side["languages"][0]["code"] == side["name"]
    assert found["bytes"]["value"] == sum(side["bytes"] for side in found["sides"])
    assert found["split"]["train_bytes"] + found["split"]["heldout_bytes"] == found["bytes"]["value"]
    said = " ".join(problem["what"] for problem in found["problems"])
    assert "2 pairs have an empty side" in said
    assert "1 pairs have the same text on both sides" in said
    assert "1 pairs have a side over 3 times" in said
    assert "another language" not in said
    assert "203 pairs" in show_look(found, FAKE_MACHINE)


def test_exchanged_sides_are_told_by_their_language(tmp_path: Path) -> None:
    two(tmp_path, [(target, source) for source, target in sentences(120)])
    found = measured(tmp_path, study(data=FILES))
    assert [problem["what"] for problem in found["problems"]] == [
        "the side 'en' reads as another language", "the side 'de' reads as another language",
    ]  # fmt: skip


def test_tokens_are_those_of_both_sides(tmp_path: Path) -> None:
    asked = study(data=FILES, set={"tokenizer.vocabulary": 300})
    found = measured(two(tmp_path, sentences(400)), asked)
    corpus = opened(tmp_path, asked, found)
    number = sum(len(side.tokens) for side in corpus.train)
    assert found["tokens"][-1]["train_tokens"] == pytest.approx(number, rel=0.02)
    assert corpus.token_counts().sum() == number
    assert len(corpus.heldout_tokens()) == sum(len(side.tokens) for side in corpus.heldout)


@pytest.mark.parametrize("most", [1_000_000, 1500])
def test_a_run_opens_what_was_looked_at(tmp_path: Path, most: int) -> None:
    pairs = [*sentences(300), *sentences(300)[:150]]  # sources that are told twice stay on one side
    asked = study(data=FILES, set={"tokenizer.vocabulary": 300})
    found = measured(two(tmp_path, pairs), asked)
    corpus = opened(tmp_path, asked, found, most)
    assert isinstance(corpus, Bitext)
    assert (corpus.kind, corpus.languages, corpus.problems) == ("parallel", ("en", "de"), [])
    train, held = (set(texts_of(corpus, part[0])) for part in (corpus.train, corpus.heldout))
    assert not train & held
    assert len(corpus.train[0]) == found["split"]["train_documents"]
    texts = [texts_of(corpus, side) for side in corpus.heldout]
    assert set(zip(*texts)) <= set(pairs)
    assert corpus.heldout_bytes == sum(len(text.encode()) for side in texts for text in side)
    if most == 1500:
        assert most <= corpus.heldout_bytes < most + 300
    else:
        assert corpus.heldout_bytes == found["split"]["heldout_bytes"]
        assert len(train | held) == 300
    (tmp_path / "help.en").write_text("changed\n")
    assert opened(tmp_path, asked, found, most).heldout_sha256 == corpus.heldout_sha256  # made once
    path = corpus.folder / "heldout.target.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with study_error("heldout.target.bin is not what was written"):
        opened(tmp_path, asked, found, most)
    with study_error("the corpus has changed"):
        opened(tmp_path, asked, found, most + 1)


def test_which_side_is_which_is_part_of_the_data(tmp_path: Path) -> None:
    two(tmp_path, sentences(120))
    other = {"train": (), "parallel": {"de": "help.de", "en": "help.en"}}
    digests = {measured(tmp_path, study(data=data))["data_sha256"] for data in (FILES, other)}
    rows(tmp_path, *({"a": a, "b": b, "c": b + "."} for a, b in sentences(120)))
    for field in ("b", "c"):
        data = {"train": "rows.jsonl", "parallel": {"en": "a", "de": field}}
        digests.add(measured(tmp_path, study(data=data))["data_sha256"])
    assert len(digests) == 4


def test_groups_stay_whole_and_no_judged_source_was_trained_on(tmp_path: Path) -> None:
    pairs = sentences(400)
    common = [("Default", "Standard"), ("Cancel now", "Jetzt abbrechen")]
    records = [{"a": a, "b": b, "page": f"p{n % 40}"} for n, (a, b) in enumerate(pairs)]
    records += [{"a": a, "b": b, "page": f"p{page}"} for page in range(40) for a, b in common]
    asked = study(data=RECORDS | {"group": "page"}, set={"tokenizer.vocabulary": 300})
    found = measured(rows(tmp_path, *records), asked)
    corpus = opened(tmp_path, asked, found)
    pages = {record["a"]: record["page"] for record in records[:400]}
    held = texts_of(corpus, corpus.heldout[0])
    trained = texts_of(corpus, corpus.train[0])
    assert not {pages[text] for text in held} & {pages[text] for text in trained if text in pages}
    assert "Default" in trained
    number = 2 * (len(set(pages.values())) - len({pages[text] for text in trained if text in pages}))
    assert number == found["pairs"]["heldout_also_trained"] == corpus.num_trained > 0
    assert "their source is also trained on" in str(corpus.problems)


def test_files_that_do_not_match_are_all_named(tmp_path: Path) -> None:
    for name, number in (("a", 3), ("b", 2), ("c", 4)):
        (tmp_path / f"{name}.en").write_text("x\n" * number)
        (tmp_path / f"{name}.de").write_text("y\n" * (3 if name != "c" else 5))
    asked = study(data={"train": (), "parallel": {"en": "*.en", "de": "*.de"}})
    with study_error("b.en has 2 and b.de 3", "c.en has 4 and c.de 5"):
        measured(tmp_path, asked)
    (tmp_path / "d.en").write_text("x\n")
    with study_error("1 files have no partner", "d.en"):
        measured(tmp_path, asked)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"train": (), "parallel": {"en": "help.en", "de": "no.de"}}, ("no file of lines at 'no.de'", "parallel.de")),
        ({"train": (), "parallel": {"en": ".", "de": "none"}}, ("at '.'", "it is a folder", "at 'none'")),
        (RECORDS | {"parallel": {"en": "aa", "de": "bb"}}, ("no field 'aa'", "no field 'bb'", "parallel.en")),
        (RECORDS | {"group": "page"}, ("there is no field 'page'",)),
        (ASKED | {"task": "kind", "prompt": "{q} {x}"}, ("no field 'x'", "no field 'kind'")),
        ({"train": "help.en", "parallel": {"en": "a", "de": "b"}}, ("none of a known kind",)),
    ],
)  # fmt: skip
def test_what_the_study_names_must_be_there(tmp_path: Path, data: dict[str, Any], words: tuple[str, ...]) -> None:
    two(rows(tmp_path, {"a": "x", "b": "y", "q": "z"}), [("x", "y")])
    with study_error(*words):
        source_of(tmp_path, study(data=data))


@pytest.mark.parametrize(
    ("record", "data", "words"),
    [
        ({"a": "x"}, RECORDS, ("a record has no text in 'b'", "rows.jsonl:2")),
        ({"a": "x", "b": 3}, RECORDS, ("found 3", "rows.jsonl:2")),
        ({"a": "x", "b": "y", "g": " "}, RECORDS | {"group": "g"}, ("a record has no 'g'", "rows.jsonl:2")),
        ({"a": "x\ud800", "b": "y"}, RECORDS, ("half a character", "rows.jsonl:2")),
        ({"q": "x"}, ASKED, ("a record has no 'a'", "rows.jsonl:2")),
        ({"q": "x", "a": "y"}, ASKED | {"task": "t"}, ("a record has no 't'", "rows.jsonl:2")),
    ],
)  # fmt: skip
def test_a_record_that_lacks_something_is_named(
    tmp_path: Path, record: dict[str, Any], data: dict[str, Any], words: tuple[str, ...]
) -> None:
    rows(tmp_path, {"a": "x", "b": "y", "q": "z", "g": "1", "t": "1"}, record)
    with study_error(*words):
        measured(tmp_path, study(data=data))


def test_nothing_to_read_or_to_hold_out(tmp_path: Path) -> None:
    two(tmp_path, [("", "x"), ("y", " ")])
    with study_error("the corpus holds no pair", "2 pairs have an empty side"):
        measured(tmp_path, study(data=FILES))
    two(tmp_path, [("same", "x"), ("same", "y")])
    with study_error("nothing can be held out"):
        measured(tmp_path, study(data=FILES))


def test_instructions_by_task(tmp_path: Path) -> None:
    """Equal prompts stay on one side, whatever is answered; a task's name is no folder's."""
    asked = study(
        data={"train": "rows.jsonl", "prompt": ["{q}?", "Tell: {q}"], "answer": "a", "task": "kind"},
        set={"tokenizer.vocabulary": 300},
    )
    source = [text for text, _ in sentences(150)]
    records = [{"q": text, "a": answer, "kind": "x/../y"} for text in source for answer in ("yes", "no")]
    found = measured(rows(tmp_path, *records), asked)
    assert (found["kind"], found["pairs"]["kept"], found["pairs"]["tasks"]) == ("instructions", 600, {"x/../y": 600})
    assert "another language" not in str(found["problems"])
    corpus = opened(tmp_path, asked, found)
    assert isinstance(corpus, Instructions)
    (task,) = corpus.tasks.values()
    assert task.folder.parent == corpus.folder
    train, held = (texts_of(corpus, part[0]) for part in (task.train, task.heldout))
    assert not set(train) & set(held)
    assert len(train) + len(held) == 600
    assert (corpus.heldout_bytes, len(corpus.heldout_tokens())) == (task.heldout_bytes, len(task.heldout_tokens()))
