"""Sentences whose words have tags, from jsonl, parquet or arrow, and their split by hash. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keel.corpus import formats
from keel.errors import Problem, StudyError, nearest
from keel.evaluate.uses.rows import SHOWN, Row, split


class Sentence(NamedTuple):
    """Words and a tag for each; `group` as in `Row`."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    group: str = ""


class Sentences(NamedTuple):
    """Sentences to learn from, and sentences to be judged by."""

    train: list[Sentence]
    test: list[Sentence]


def read(
    path: Path, words: str = "tokens", tags: str = "tags", group: str = "", encoding: str = "utf-8"
) -> list[Sentence]:
    """Sentences of a jsonl, parquet or arrow file, whose fields are two lists of equal length, and a group if named.

    Raises:
        StudyError: no sentences, or some whose fields are missing, no lists of text, empty or of unequal length, or
            without their group (all counted, the first five shown).
    """
    made, problems = list[Sentence](), list[Problem]()
    for record in formats.records(path, encoding, [words, tags, *([group] if group else [])]):
        found = [record.values.get(name) for name in (words, tags)]
        own = str(record.values.get(group) or "").strip() if group else ""
        if problem := _problem(record, words, tags, found, path):
            problems.append(problem)
        elif group and not own:
            problems.append(Problem(f"a sentence has no '{group}'", "its group keeps it from being split",
                                    "fill it in, or name no group", f"{path}:{record.number}"))  # fmt: skip
        else:
            sides = [tuple(str(each) for each in side or ()) for side in found]
            made.append(Sentence(sides[0], sides[1], own))
    if problems:
        wrong = len(problems)
        whole = [Problem(f"{wrong} sentences in all cannot be used", "see those before", "mend or remove them",
                         str(path))]  # fmt: skip
        raise StudyError.all([*problems[:SHOWN], *(whole if wrong > SHOWN else [])])
    if not made:
        raise StudyError("there are no sentences", why="the file is empty", where=str(path),
                         fix=f'write one {{"{words}": [...], "{tags}": [...]}} a line')  # fmt: skip
    return made


def _problem(record: formats.Record, words: str, tags: str, found: Sequence[Any], path: Path) -> Problem | None:
    where = f"{path}:{record.number}"
    for name, value in zip((words, tags), found):
        if not isinstance(value, list) or not value or not all(str(each).strip() for each in value):
            keys = record.keys or tuple(record.values)
            fix = "write a list of words" if name in keys else f"name the field; {nearest(name, keys)}"
            return Problem(f"a sentence has no list '{name}'", f"found {value!r}"[:120], fix, where)
    if len(found[0]) != len(found[1]):
        return Problem("a sentence has unequal numbers of words and tags", f"{len(found[0])} and {len(found[1])}",
                       "give each word one tag", where)  # fmt: skip
    return None


def split_sentences(given: Sequence[Sentence]) -> Sentences:
    """As `rows.split`, by the hash of group or words."""
    made = split([Row(" ".join(each.words), "", each.group, number) for number, each in enumerate(given)])
    return Sentences(*([given[row.number] for row in side] for side in made))


def word_rows(sentences: Sequence[Sentence]) -> Iterator[Row]:
    """Words as rows, those of a sentence in one group."""
    for number, each in enumerate(sentences):
        for word, tag in zip(each.words, each.tags):
            yield Row(word, tag, each.group or f"sentence {number}", number)
