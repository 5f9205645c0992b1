"""The bag of words: finds what is there, chance where nothing is, and says when a task has no head-room."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from helpers import study_error

from keel.evaluate.tasks import linear
from keel.evaluate.tasks.linear import bag_of_words, classify, words
from keel.evaluate.tasks.result import compared


def texts(number: int, rng: np.random.Generator, told: bool) -> tuple[list[str], list[str]]:
    """Words at random, one of them the label's own where it is `told`."""
    labels = rng.choice(["left", "right"], number)
    made = [" ".join(f"w{word}" for word in rng.integers(0, 30, 8)) for _ in range(number)]
    return [f"{text} {label.upper()}" if told else text for text, label in zip(made, labels)], labels.tolist()


@pytest.mark.parametrize(("told", "low", "high"), [(True, 0.99, 1.0), (False, 0.3, 0.7)])
def test_it_learns_the_word_that_tells_and_falls_to_chance_without(told: bool, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    train, labels = texts(60, rng, told)
    test, truth = texts(60, rng, told)
    found = bag_of_words(train, labels, test)
    right = (found.labels == np.array(truth)).astype(float)
    assert low <= right.mean() <= high
    assert compared("any", {"accuracy": right}, {"accuracy": right}, baseline="words", train=60).headroom != told


def test_the_penalty_is_chosen_by_rows_left_out() -> None:
    """Many features of noise beside one that tells: held back weights do best, and no test row is asked."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    states = rng.normal(size=(60, 80))
    states[:, 0] += 2.0 * labels
    names = [str(label) for label in labels]
    first = classify(states, names, rng.normal(size=(5, 80)), scale=True)
    assert first.penalty < 1
    assert classify(states, names, rng.normal(size=(5, 80)), scale=True).penalty == first.penalty


def test_classes_of_one_row_take_the_librarys_own_penalty() -> None:
    assert bag_of_words(["a", "b", "c"], ["x", "y", "z"], ["b"]).penalty == 1.0


def test_words_of_scripts_without_spaces_and_marks_alone() -> None:
    assert words("\u3042\u4e2d, caf\u00e9_x?") == ["\u3042", "\u4e2d", ",", "caf\u00e9_x", "?"]
    assert bag_of_words(["!", "?"] * 5, ["a", "b"] * 5, ["?"]).labels.tolist() == ["b"]


def test_a_fit_that_was_stopped_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "MOST_STEPS", 1)
    rng = np.random.default_rng(0)
    found = classify(rng.normal(size=(40, 5)), ["a", "b"] * 20, rng.normal(size=(2, 5)))
    assert "stopped after 1 steps" in found.notes[0]


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with study_error("scikit-learn is not installed", "keel[eval]"):
        bag_of_words(["a", "b"], ["x", "y"], ["b"])


def test_a_result_is_paired_with_its_baseline() -> None:
    model, beside = np.array([1.0] * 90 + [0.0] * 10), np.array([1.0] * 80 + [0.0] * 20)
    found = compared("any", {"accuracy": model}, {"accuracy": beside}, baseline="words", train=5, notes=["n"])
    assert (found.measures["accuracy"].value, found.beside["accuracy"].value) == (0.9, 0.8)
    assert found.over.value == pytest.approx(0.1)
    assert found.over.low > 0.03, "pairing takes the common rows out"
    assert found.json()["test"] == 100
    assert "n" in str(found).splitlines()[-1]
