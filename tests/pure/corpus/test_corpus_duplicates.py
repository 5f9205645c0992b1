"""Repeats are found, and only they; languages are named."""

from __future__ import annotations

from keel.corpus import duplicates, languages


def test_exact_and_near_repeats(prose):
    first, second, third = (prose(400, seed) for seed in (1, 2, 3))
    near = first.replace("\n", " and\n", 1)
    found = duplicates.find([first, second, first.upper(), third, near, "  " + second + "\n"])
    assert sorted(map(sorted, found.near)) == [[0, 2, 4], [1, 5]]
    assert (found.exact_documents, found.near_documents) == (2, 1)


def test_unlike_documents_are_left_alone(prose):
    assert duplicates.find([prose(300, seed) for seed in range(60)]).near == []


def test_scripts_without_spaces():
    signs = [chr(0x4E00 + number * 7 % 3000) for number in range(3000)]
    one = "".join(signs)
    other = "".join(chr(0x4E00 + number * 13 % 5000) for number in range(3000))
    found = duplicates.find([one, one[:1500] + "\u4e01" + one[1500:], other])
    assert found.near == [[0, 1]]


def test_short_and_empty_documents():
    found = duplicates.find(["", "a", "a b", "", "a"])
    assert found.exact_documents == 2


def test_long_documents_are_compared_by_a_fair_sample(prose, monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_SHINGLES", 200)
    first, other = prose(4000, 1), prose(4000, 2)
    assert duplicates.find([first, first + " and more", other]).near == [[0, 1]]


def test_languages_by_share_of_text():
    english = "The committee will meet again on Thursday to discuss the report and its recommendations. " * 6
    german = "Der Ausschuss wird am Donnerstag erneut zusammentreten, um den Bericht zu besprechen. " * 3
    found = languages.shares([english, german])
    assert [item["code"] for item in found] == ["en", "de"]
    assert sum(float(item["share"]) for item in found) == 1.0


def test_short_lines_that_differ_in_their_last_word_are_not_alike() -> None:
    """The upper half of a hash once knew nothing of a shingle's last word: all texts of one word were one."""
    words = ["solid", "dotted", "colour value", "colour name", "a b c d e", "a b c d f"]
    assert duplicates.find(words).near == []
    assert duplicates.find([*words, "Dotted ", "a b c d f"]).near == [[1, 6], [5, 7]]
