"""The rows of a case, read and split, with everything checked that needs no model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import StudyError
from keel.evaluate.uses import rows, sentences
from keel.evaluate.uses.case import Case, cases
from keel.evaluate.uses.rows import Split, check_classes
from keel.evaluate.uses.table import EVALUATORS
from keel.study import Study


class Material(NamedTuple):
    """What the evaluator is given, and how many rows (of words: words) are learnt from and judged by; `labels`: known.

    `given` is a Split of rows, Sentences, or all rows where none are learnt from.
    """

    given: Any
    train: int
    test: int
    labels: int


def material(folder: Path, case: Case) -> Material:
    """Read, split and check.

    Raises:
        StudyError: rows that cannot be used, a side left empty, one label only, labels that only test rows have.
    """
    evaluator, path = EVALUATORS[case.how], folder / case.eval
    names = case.fields["text"], case.fields["answer"], case.fields.get("group", "")
    if evaluator.reads == "sentences":
        made = sentences.split_sentences(sentences.read(path, *names))
        words = Split(*(list(sentences.word_rows(side)) for side in made))
        return Material(made, len(words.train), len(words.test), len(check_classes(words)))
    found = rows.read(path, *names)
    if not evaluator.splits:
        if len({row.answer for row in found}) < 2:
            raise StudyError("there is nothing to choose from", why=f"{len(found)} rows name one text to find",
                             fix="bring rows with different answers", where=str(path))  # fmt: skip
        return Material(found, 0, len(found), 0)
    parts = rows.split(found)
    labels = len(check_classes(parts)) if evaluator.reads == "classes" else 0
    return Material(parts, len(parts.train), len(parts.test), labels)


class Prepared(NamedTuple):
    """Cases, the material of each by its name, and those whose file was too large to be read now."""

    cases: list[Case]
    known: dict[str, Material]
    late: list[Case]


def prepared(folder: Path, study: Study, most_bytes: float = math.inf) -> Prepared:
    """Every use case with an eval file that an evaluator serves; files up to `most_bytes` are read and checked.

    Raises:
        StudyError: settings, fields, files or rows that cannot be used, of all use cases at once.
    """
    found, problems = cases(folder, study)
    late = [case for case in found if (folder / case.eval).stat().st_size > most_bytes]
    known = dict[str, Material]()
    for case in found:
        try:
            known |= {} if case in late else {case.name: material(folder, case)}
        except StudyError as error:
            problems += [each._replace(where=f"{case.name}: {each.where}") for each in error.problems]
    if problems:
        raise StudyError.all(problems)
    return Prepared(found, known, late)
