"""The rows of a case, read and split, with everything checked that needs no model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import StudyError
from keel.evaluate.uses import pictures, rows, sentences
from keel.evaluate.uses.case import Case, cases
from keel.evaluate.uses.rows import Row, Split, check_classes
from keel.evaluate.uses.table import EVALUATORS
from keel.files import sha256_file
from keel.study import Study

BESIDE = 100  # a row whose image is read beside it takes so much longer than a row of text


class Material(NamedTuple):
    """What the evaluator is given, and how many rows (of words: words) are learnt from and judged by; `labels`: known.

    `given` is a Split of rows, Sentences, or all rows where none are learnt from.
    """

    given: Any
    train: int
    test: int
    labels: int


def material(folder: Path, case: Case, *, whole: bool = False) -> Material:
    """Read, split and check; `whole`: of images all that can be decoded is, not the header alone.

    Raises:
        StudyError: rows or images that cannot be used, a side left empty, one label only, labels that only test rows
            have.
    """
    evaluator, path = EVALUATORS[case.how], folder / case.eval
    names = case.fields["text"], case.fields["answer"], case.fields.get("group", "")
    if evaluator.reads == "sentences":
        made = sentences.split_sentences(sentences.read(path, *names))
        words = Split(*(list(sentences.word_rows(side)) for side in made))
        return Material(made, len(words.train), len(words.test), len(check_classes(words)))
    found = rows.read(path, *names)
    files = pictures.named(path, (row.text for row in found), whole=whole) if evaluator.sees == "images" else {}
    if not evaluator.splits:
        answers = len({row.answer for row in found})
        if answers < 2:
            raise StudyError("there is nothing to choose from", why=f"{len(found)} rows have one answer",
                             fix="bring rows with different answers", where=str(path))  # fmt: skip
        given: list[Row] = [pictures.placed(row, files) for row in found] if files else found
        return Material(given, 0, len(given), answers if evaluator.reads == "classes" else 0)
    parts = pictures.split(found, files) if files else rows.split(found)
    labels = len(check_classes(parts)) if evaluator.reads == "classes" else 0
    return Material(parts, len(parts.train), len(parts.test), labels)


def sha256_of(folder: Path, case: Case) -> str:
    """Digest of all that a case reads: its eval file, and the images that this names.

    Raises:
        StudyError: rows that cannot be used.
    """
    path = folder / case.eval
    if EVALUATORS[case.how].sees != "images":
        return sha256_file(path)
    found = rows.read(path, case.fields["text"], case.fields["answer"])
    return pictures.sha256_of(path, (row.text for row in found))


def most_bytes_of(case: Case, most_bytes: float) -> float:
    """How large the eval file may be to be read within the time that one of text of `most_bytes` takes."""
    return most_bytes / (BESIDE if EVALUATORS[case.how].sees == "images" else 1)


class Prepared(NamedTuple):
    """Cases, the material of each by its name, and those whose file was too large to be read now."""

    cases: list[Case]
    known: dict[str, Material]
    late: list[Case]


def prepared(folder: Path, study: Study, most_bytes: float = math.inf) -> Prepared:
    """Every use case with an eval file that an evaluator serves; files up to `most_bytes` are read and checked.

    Without such a bound images are decoded whole; with one their headers are looked at.

    Raises:
        StudyError: settings, fields, files or rows that cannot be used, of all use cases at once.
    """
    found, problems = cases(folder, study)
    late = [case for case in found if (folder / case.eval).stat().st_size > most_bytes_of(case, most_bytes)]
    known = dict[str, Material]()
    for case in found:
        try:
            known |= {} if case in late else {case.name: material(folder, case, whole=math.isinf(most_bytes))}
        except StudyError as error:
            problems += [each._replace(where=f"{case.name}: {each.where}") for each in error.problems]
    if problems:
        raise StudyError.all(problems)
    return Prepared(found, known, late)
