"""Fine-tuning: learns what frozen states do not tell, is at chance on dealt labels, and leaves the model as it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
import torch
from helpers import study_error

from keel import model
from keel.corpus.tokenizer import train
from keel.corpus.vocabulary import vocabulary_of
from keel.evaluate.tasks.labelled import Classifier, Labelled, Texts, samples
from keel.evaluate.tasks.subject import Subject, trained
from keel.evaluate.uses.rows import Row, Split, split
from keel.model.shapes import Size
from keel.run import engine, tune
from keel.run.parts import ids_of
from keel.run.tune import Tuning, fine_tune

pytestmark = pytest.mark.tensor
BYTES = train(["a"], 257)
ONE_RATE = Tuning(rates=(1e-2,), epochs=6)


def fresh(family: str = "bert") -> Subject:
    known, kind = vocabulary_of(BYTES).with_special(("pad", "start", "mask")), model.load(family)
    size = Size(width=16, layers=1, vocabulary=known.size, context=16, head_width=8)
    trunk = kind.build(kind.shape(size), {"body": "fp32", "head": "fp32"}, 0, ids_of(known))
    return trained(trunk, family, BYTES, known, 16)


def first(text: str) -> str:
    """Which letter comes first: neither words nor letters in a bag tell."""
    return "ab"[text[0] == "x"]


def most(text: str) -> str:
    """Which letter there is more of: letters in a bag tell, words do not."""
    return "ab"[text.count("x") > 5]


def dealt(text: str) -> str:
    """Any label."""
    return random.choice("ab")


def rows(number: int, label: Callable[[str], str] = first) -> Split:
    """Texts of one word each."""
    rng = random.Random(0)
    random.seed(1)
    made = ["".join(rng.choice("xy") for _ in range(11)) for _ in range(number)]
    return split([Row(text, label(text)) for text in made])


def weights(subject: Subject) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in subject.library.state_dict().items()}


@pytest.fixture
def subject() -> Iterator[Subject]:
    """A model that must be as it was when the test is done."""
    made = fresh()
    before = weights(made)
    yield made
    assert all(torch.equal(before[name], weight) for name, weight in weights(made).items())
    assert all(weight.grad is None for weight in made.library.parameters())


def test_the_whole_model_learns_what_words_do_not_tell(subject: Subject) -> None:
    found = fine_tune(subject, rows(240), ONE_RATE)
    assert found.measures["accuracy"].value > 0.95
    assert found.beside["accuracy"].value < 0.75
    assert found.task == "fine-tune"


def test_the_same_rows_seed_and_weights_give_the_same_labels(subject: Subject) -> None:
    one, again = (fine_tune(subject, rows(80), Tuning(rates=(1e-2,), epochs=1)) for _ in range(2))
    assert (one.items == again.items).all()
    assert 0 < one.items.mean() < 1


def test_on_dealt_labels_it_is_at_chance(subject: Subject) -> None:
    low, high = fine_tune(subject, rows(200, dealt), ONE_RATE).measures["accuracy"][1:]
    assert low < 0.5 < high


def test_the_rate_is_chosen_on_training_rows_alone(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    made, seen = rows(120), []
    plain = tune._tuned

    def noting(*given: object) -> object:
        seen.append((len(given[1]), len(given[2]), given[5]))  # type: ignore[arg-type]
        return plain(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(tune, "_tuned", noting)
    found = fine_tune(subject, made, Tuning(rates=(1e-9, 1e-2), epochs=4))
    assert [rate for _, _, rate in seen] == [1e-9, 1e-2, 1e-2]
    assert seen[0][0] == seen[1][0] < seen[2][0] == len(made.train)
    assert seen[0][0] + seen[0][1] == len(made.train)
    assert "learning rate 0.01" in found.notes[0]


@pytest.mark.parametrize("cut", [[16], [4] * 4, [1, 9, 6]])
def test_the_gradient_is_the_same_in_every_cut(cut: list[int]) -> None:
    made = fresh()
    rows = [Row("x" * (1 + place % 7), "ab"[place % 3 == 0]) for place in range(16)]
    side = Texts(made)
    classifier, loss = Classifier(side, 16, 2, 0).double(), Labelled(side, side.inputs([row.text for row in rows]))
    some = samples(rows, ["a", "b"])
    grads = []
    for sizes in ([16], cut):
        at, micro = 0, []
        for size in sizes:
            part = some[at : at + size]
            micro.append(loss.collate([loss.example(each, None) for each in part], [each.id for each in part]))  # type: ignore[arg-type]
            at += size
        classifier.zero_grad(set_to_none=True)
        engine.accumulate(loss, {"model": classifier}, micro, {}, 0, 0)
        grads.append([weight.grad for weight in classifier.parameters() if weight.grad is not None])
    assert len(grads[0]) == len(grads[1]) > 4
    for one, other in zip(*grads):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_texts_beyond_the_context_are_said(subject: Subject) -> None:
    made = rows(60)
    found = fine_tune(subject, Split(made.train, [*made.test, Row("x" * 40, "b")]), Tuning(rates=(1e-3,), epochs=1))
    assert f"1 of {len(made.train) + len(made.test) + 1} texts are longer" in found.notes[1]


def test_bad_tunings_and_rows_are_refused(subject: Subject) -> None:
    with study_error("'rates'", "'epochs'", "'batch'") as seen:
        fine_tune(subject, rows(60), Tuning(rates=(), epochs=0, batch=0))
    assert len(seen[0].problems) == 3
    with study_error("one label"):
        fine_tune(subject, Split([Row("a", "x")] * 3, [Row("b", "x")]))
    with study_error("diverged", "lower rates"):
        fine_tune(subject, rows(60), Tuning(rates=(1e30,), epochs=2))


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_decoders_and_encoders_of_two_stacks_are_tuned_too(family: str) -> None:
    made = fresh(family)
    before = weights(made)
    found = fine_tune(made, rows(160, most), Tuning(rates=(1e-2,), epochs=8))
    assert found.measures["accuracy"].low > 0.6
    assert all(torch.equal(before[name], weight) for name, weight in weights(made).items())
