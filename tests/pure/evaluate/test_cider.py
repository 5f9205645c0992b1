"""CIDEr-D by closed forms."""

from __future__ import annotations

import math

import pytest

from keel.evaluate.cider import cider_d

WANTED = ["one red dot lies here", "two blue bars stand there", "no green line is seen", "some old cat sleeps now"]


def test_what_is_the_same_is_worth_ten() -> None:
    assert cider_d(WANTED, WANTED).tolist() == pytest.approx([10.0] * 4, abs=1e-12)


def test_what_has_no_word_of_it_is_worth_nothing() -> None:
    assert cider_d([WANTED[1], WANTED[0], "", "x y z"], WANTED).tolist() == [0.0] * 4


def test_a_short_reference_has_no_longer_grams() -> None:
    """One word: unigrams alone of four lengths; two words: two of four."""
    assert cider_d(["red", "blue bar", "x", "y"], ["red", "blue bar", "lime", "pink"])[:2] == pytest.approx([2.5, 5.0])


def test_one_word_of_five_that_is_another() -> None:
    """All n-grams have one weight ln 4: of n = 1 to 4 there are 5, 4, 3, 2, of which 4, 3, 2, 1 are met."""
    found = cider_d(["one red dot lies there-not", *WANTED[1:]], WANTED)[0]
    words = cider_d(["one red dot lies xx", *WANTED[1:]], WANTED)[0]
    assert words == pytest.approx(10 / 4 * (4 / 5 + 3 / 4 + 2 / 3 + 1 / 2))
    assert found < words  # more words than the reference has: the length counts too


def test_length_is_paid_for() -> None:
    """Two words more than the reference: e^(-4 / 72), and longer vectors."""
    found = cider_d([f"{WANTED[0]} xx yy", *WANTED[1:]], WANTED)[0]
    met = [(5 - n + 1) / math.sqrt((5 - n + 1) * (7 - n + 1)) for n in range(1, 5)]
    assert found == pytest.approx(10 / 4 * sum(met) * math.exp(-4 / 72))


def test_a_word_that_is_repeated_counts_as_often_as_it_should() -> None:
    """Clipped: min(5, 1) of five, against a vector of length 5."""
    found = cider_d(["red red red red red", *WANTED[1:]], WANTED)[0]
    assert found == pytest.approx(10 / 4 * 1 / (5 * math.sqrt(5)))


def test_what_every_reference_says_is_worth_nothing() -> None:
    wanted = [f"a photo of {text}" for text in ("red", "blue", "green")]
    assert cider_d(["a photo of", *wanted[1:]], wanted)[0] == 0.0
    assert cider_d(wanted[:1], wanted[:1]).tolist() == [0.0]  # of one image nothing tells it from others


def test_rare_words_are_worth_more() -> None:
    wanted = ["red dot", "red bar", "blue bar", "green line"]
    rare, common = (cider_d([said, *wanted[1:]], wanted)[0] for said in ("xx dot", "red xx"))
    weights = math.log(4), math.log(2)  # of "dot", in one reference of four, and of "red", in two
    both = math.sqrt(weights[0] ** 2 + weights[1] ** 2)
    other = math.log(4)  # a word that no reference has
    assert rare == pytest.approx(10 / 4 * weights[0] ** 2 / (both * math.sqrt(weights[0] ** 2 + other**2)))
    assert common == pytest.approx(10 / 4 * weights[1] ** 2 / (both * math.sqrt(weights[1] ** 2 + other**2)))
    assert rare > common


def test_case_does_not_count() -> None:
    assert cider_d([WANTED[0].upper(), *WANTED[1:]], WANTED)[0] == pytest.approx(10.0)
