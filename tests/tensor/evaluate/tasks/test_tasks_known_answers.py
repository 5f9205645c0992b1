"""Every task on a model that knows the answer scores 1, and is at chance where nothing can be known."""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from evaluate_oracles import BYTES, SURE, Reader, Writer, subject
from helpers import study_error

from keel.corpus.tokenizer import load
from keel.evaluate import JUDGES
from keel.evaluate.tasks import TASKS
from keel.evaluate.tasks.generation import generation, translation
from keel.evaluate.tasks.labels import few_shot
from keel.evaluate.tasks.probe import probe
from keel.evaluate.tasks.retrieval import retrieval
from keel.evaluate.uses.rows import Row, Split, split

pytestmark = pytest.mark.tensor


def lines(number: int) -> list[str]:
    """Texts of two letters in any order; more x than y is what a bag of words cannot see (one word each)."""
    rng = random.Random(0)
    return ["".join(rng.choice("xy") for _ in range(11)) for _ in range(number)]


def label(text: str) -> str:
    return "many" if text.count("x") > 5 else "few"


ROWS = split([Row(text, label(text)) for text in lines(240)])


def shuffled(made: Split) -> Split:
    """The same rows, labels dealt anew."""
    rng = random.Random(1)
    return Split(*([row._replace(answer=rng.choice(["many", "few"])) for row in side] for side in made))


def test_a_probe_of_states_that_know_scores_one_and_beats_words() -> None:
    found = probe(subject(Reader(), "encoder"), ROWS)
    assert found.measures["accuracy"].value == found.measures["macro-F1"].value == 1.0
    assert found.beside["accuracy"].value < 0.75, "each text is a word of its own"
    assert found.over.low > 0.1
    assert found.headroom
    assert (found.train, found.test) == (len(ROWS.train), len(ROWS.test))


@pytest.mark.parametrize("blind", [True, False])
def test_a_probe_falls_to_chance_on_dealt_labels_or_blind_states(blind: bool) -> None:
    reader = Reader(torch.ones(257, 3)) if blind else Reader()
    found = probe(subject(reader, "encoder"), ROWS if blind else shuffled(ROWS))
    low, high = found.measures["accuracy"][1:]
    assert low < 0.5 < high or (blind and found.measures["accuracy"].value < 0.65)


def test_a_task_that_words_solve_has_no_headroom() -> None:
    rows = split([Row(f"{label(text)} {place}", label(text)) for place, text in enumerate(lines(100))])
    found = probe(subject(Reader(), "encoder"), rows)
    assert not found.headroom
    assert "no head-room" in str(found)


def truth(text: str) -> str:
    """What comes after a prompt: the label of its last text, and nothing where there is no text."""
    text, mark, said = text.rpartition("\nLabel:")
    last = text.split("\n")[-1]
    return f" {label(last)}"[len(said) :] if mark and last else ""


@pytest.mark.parametrize("each", [0, 1])
@pytest.mark.parametrize("prior", [True, False])
def test_few_shot_of_a_decoder_that_knows_scores_one(each: int, prior: bool) -> None:
    some = Split(ROWS.train, ROWS.test[:12])
    found = few_shot(subject(Writer(truth), "decoder"), some, each=each, prior=prior)
    assert found.measures["accuracy"].value == 1.0
    assert f"{2 * each} examples" in found.notes[0]
    assert any("learnt from these" in note for note in found.notes) == bool(each)


def test_few_shot_of_a_model_that_knows_nothing_shares_every_row() -> None:
    some = Split(ROWS.train, ROWS.test[:12])
    found = few_shot(subject(Writer(lambda text: ""), "decoder"), some)
    assert found.items.tolist() == [0.5] * 12
    dealt = few_shot(subject(Writer(truth), "decoder"), Split(ROWS.train, shuffled(ROWS).test[:40]))
    assert dealt.measures["accuracy"].low < 0.5 < dealt.measures["accuracy"].high


def test_a_prior_for_one_label_is_taken_out() -> None:
    """A model that likes "f" twice as much as it knows: without its prior it says "f" alone."""
    liked = load(BYTES).encode("f").ids[0]

    class Biased(Writer):
        def forward(self, **given: Any) -> Any:  # type: ignore[override]
            found = super().forward(**given)
            found.logits[..., liked] += 2 * SURE
            return found

    some, names = Split(ROWS.train, ROWS.test[:12]), {"few": "f", "many": "m"}
    model = subject(Biased(truth), "decoder")
    with_prior, without = (few_shot(model, some, names=names, prior=prior) for prior in (True, False))
    assert with_prior.measures["accuracy"].value == 1.0
    assert without.measures["accuracy"].value == np.mean([row.answer == "few" for row in some.test])


def test_retrieval_by_states_that_know() -> None:
    """Queries are the texts' letters in another order: the same bag of bytes, and no common word."""
    rng = random.Random(0)
    rows = [Row("".join(rng.sample(text, len(text))), text) for text in
            ("".join(rng.choice("abcdefgh") for _ in range(24)) for _ in range(60))]  # fmt: skip
    found = retrieval(subject(Reader(), "encoder"), rows)
    assert found.measures["MRR"].value == found.measures["recall@1"].value == 1.0
    assert found.beside["MRR"].value < 0.1


def test_blind_states_find_by_chance_alone() -> None:
    rows = [Row(f"query {place}", f"text {place}") for place in range(40)]
    found = retrieval(subject(Reader(torch.ones(257, 4)), "encoder"), rows, ks=(1, 10, 40))
    assert found.measures["recall@1"].value == found.measures["recall@10"].value == 0
    assert found.measures["recall@40"].value == 1
    assert found.measures["MRR"].value == pytest.approx(1 / 20.5)
    assert found.beside["recall@1"].value > 0.9, "TF-IDF finds the number"


def test_retrieval_counts_every_right_text_and_equal_ones_once() -> None:
    rows = [Row("aab", "bba"), Row("aab", "aab"), Row("ccd", "dcc"), Row("zz", "dcc")]
    found = retrieval(subject(Reader(), "encoder"), rows, ks=(1,))
    assert found.items[:3].tolist() == [1.0, 1.0, 1.0]
    with study_error("nothing to choose from"):
        retrieval(subject(Reader(), "encoder"), [Row("a", "b"), Row("c", "b")])
    with study_error("recall at [0]"):
        retrieval(subject(Reader(), "encoder"), rows, ks=(0,))


def written(mark: str, make: object) -> Writer:
    """A decoder that writes `make` of the last text behind a mark, then ends with an empty line."""

    def rest(text: str) -> str:
        text, found, said = text.rpartition(mark)
        text = text.split("\n\n")[-1].removeprefix("en: ")
        return f" {make(text)}\n\n"[len(said) :] if found else ""  # type: ignore[operator]

    return Writer(rest)


def test_generation_of_a_model_that_knows_scores_one() -> None:
    rows = Split([Row("one two three", "three two")] * 2, [Row("a b c", "c b"), Row("d e f g", "g f")])
    model = subject(written("\nTL;DR:", lambda text: " ".join(text.split()[:0:-1][:2])), "decoder")
    found = generation(model, rows, each=1, most=8)
    assert found.measures["ROUGE-L"].value == found.measures["chrF"].value == 1.0
    assert found.beside["ROUGE-L"].value < 0.6, "the lead has the first words"
    wrong = generation(model, rows._replace(test=rows.test[:1] + [Row("d e f g", "q")]), most=8)
    assert wrong.items.tolist() == [1.0, 0.0]


def test_translation_is_held_against_copying() -> None:
    rows = Split([Row("ab cd", "BA DC")], [Row("ef gh", "FE HG"), Row("42", "42")])
    model = subject(written("\nde:", lambda text: {"ef gh": "FE HG", "42": "42"}[text]), "decoder")
    found = translation(model, rows, ("en", "de"))
    assert found.items.tolist() == [1.0, 1.0]
    assert found.beside["chrF"].value == pytest.approx(0.5, abs=0.1), "only the number is copied right"
    mute = translation(subject(Writer(lambda text: "\n"), "decoder"), rows, ("en", "de"))
    assert mute.measures["chrF"].value == 0
    assert "2 of 2 texts written are empty" in mute.notes[-1]


def test_bad_tasks_are_told_what_why_and_how() -> None:
    model = subject(Writer(truth), "decoder")
    one, unseen = Split([Row("a", "x")], [Row("b", "x")]), Split(ROWS.train, [Row("b", "new")])
    for rows, word in ((one, "one label"), (unseen, "'new' (1)")):
        with study_error(word):
            few_shot(model, rows)
        with study_error(word):
            probe(subject(Reader(), "encoder"), rows)
    with study_error("an encoder writes no answers", "probe"):
        few_shot(subject(Reader(), "encoder"), ROWS)
    with study_error("holds {text} 0 times", "holds {answer} 0 times") as seen:
        few_shot(model, ROWS, form="what?")
    assert len(seen[0].problems) == 2
    with study_error("does not end with {answer}"):
        few_shot(model, ROWS, form="{answer}: {text}")
    with study_error("nothing stands between"):
        few_shot(model, ROWS, form="{text} {answer}")
    with study_error("'many' has no name", "written as nothing"):
        few_shot(model, ROWS, names={"few": " "})
    with study_error("written alike"):
        few_shot(model, ROWS, names={"few": "a", "many": "a"})
    with study_error("cannot be asked by 'sentinel'", "continue"):
        few_shot(model, ROWS, way="sentinel")
    with study_error("no room for its question"):
        few_shot(model, ROWS, names={"few": "a" * 70, "many": "b"})
    with study_error("no room", "shorten it"):
        few_shot(model, ROWS, form="w" * 60 + "{text}\n? {answer}")


def test_texts_beyond_the_context_are_said() -> None:
    rows = Split(ROWS.train, [*ROWS.test[:3], Row("x" * 100, "many")])
    assert {row.answer for row in rows.test} == {"few", "many"}
    found = few_shot(subject(Writer(truth), "decoder"), rows, each=3)
    assert any("1 of 4 texts are longer" in note for note in found.notes)
    assert any("has room for" in note for note in found.notes)
    assert found.measures["accuracy"].value == 1.0


def test_every_task_and_judge_is_there() -> None:
    for path in [*TASKS.values(), *JUDGES.values()]:
        module, _, name = path.partition(":")
        assert callable(getattr(import_module(module), name))
