"""What a distillation refuses: losses without rows, teachers that cannot answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.corpus.vocabulary import Vocabulary, vocabulary_of
from keel.errors import Problem, StudyError
from keel.files import sha256_file
from keel.model.shapes import FEATURES, Size
from keel.objective.base import Objective
from keel.objective.checks import known

LEAST_COVERAGE = 0.9


def tokenizer(given: Mapping[str, Any]) -> Vocabulary:
    """The teacher's vocabulary, from the file that the spec names.

    Raises:
        StudyError: no such file, or another than the spec names.
    """
    known(given, {"tokenizer": "", "sha256": "", "least": LEAST_COVERAGE}, "distil, map")
    path = Path(str(given.get("tokenizer", "")))
    if not path.is_file():
        raise StudyError("the teacher's tokenizer.json is not there", why="no such file", where=str(path),
                         fix="give its path as options.map.tokenizer")  # fmt: skip
    if (there := sha256_file(path)) != given.get("sha256"):
        raise StudyError("the teacher's tokenizer.json is another than the spec names", where=str(path),
                         why=f"its sha256 is {there}", fix="bring that file back, or name this one")  # fmt: skip
    return vocabulary_of(path.read_text(encoding="utf-8"))


def unfit(held: Objective, name: str) -> list[Problem]:
    """Why a loss has nothing to distil."""
    problems = []
    if type(held).rows is Objective.rows:
        problems.append(Problem(f"the loss '{name}' has no rows to distil",
                                "it does not say which states predict which tokens", "hold another loss",
                                "options.of.loss"))  # fmt: skip
    if not held.terms:
        problems.append(Problem(f"the loss '{name}' does not say its terms", "each gets one of the teacher's beside it",
                                'give it an attribute terms = ("name",)', "options.of.loss"))  # fmt: skip
    return problems


def misfits(theirs: str, of: Size, family: str, size: Size, *, mapped: bool, cosine: bool) -> list[Problem]:
    """Why a teacher of this family and size cannot answer this student's questions."""
    where, problems = "options.teacher", []
    kinds = FEATURES[theirs].kind, FEATURES[family].kind
    if kinds[0] != kinds[1]:
        problems.append(Problem(f"the teacher, a {theirs}, is of kind {kinds[0]}",
                                f"the student, a {family}, is of kind {kinds[1]}: they cannot be asked alike",
                                "choose a teacher of the student's kind", where))  # fmt: skip
    if not mapped and of.vocabulary < size.vocabulary:
        problems.append(Problem(f"the teacher knows {of.vocabulary:,} tokens, the student {size.vocabulary:,}",
                                "without a map their ids must be the same",
                                "give options.map with the teacher's tokenizer, or encode the data with it",
                                where))  # fmt: skip
    if FEATURES[theirs].position_offset is not None and of.context < size.context:
        problems.append(Problem(f"the teacher has {of.context} positions", f"the student's context is {size.context}",
                                f"set model.context to {of.context} or less", where))  # fmt: skip
    if cosine and of.width != size.width:
        problems.append(
            Problem(f"the teacher's width is {of.width}, the student's {size.width}",
                    "the cosine of states needs one width", "set cosine = 0", "options.cosine")
        )  # fmt: skip
    return problems
