"""What the plan says of the user's tasks: how each will be judged, and what stands in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import Problem
from keel.evaluate.uses.case import YOURS, Case, missing, unserved
from keel.evaluate.uses.material import Material, most_bytes_of, prepared
from keel.study import Study
from keel.units import show_bytes

PLAN_BYTES = 10_000_000  # what is larger is checked when the run starts, so that a plan stays under a second


class Asked(NamedTuple):
    """Lines for people, plain values for programs, and notes."""

    lines: list[str]
    result: list[dict[str, Any]]
    problems: list[Problem]


def asked(folder: Path, study: Study) -> Asked:
    """Every use case that has an eval file.

    Raises:
        StudyError: settings, files or rows that cannot be used; all of them at once.
    """
    if not any(use.eval for use in study.use_case):
        return Asked([], [], [])
    found, known, late = prepared(folder, study, PLAN_BYTES)
    later = [
        Problem(f"the rows of {case.eval} are not read yet", f"it is over {show_bytes(most)}",
                "`keel run` checks them before it trains", case.name)
        for case in late for most in [most_bytes_of(case, PLAN_BYTES)]
    ]  # fmt: skip
    lines = [line for case in found for line in _lines(case, known.get(case.name))]
    result = [_values(case, known.get(case.name)) for case in found]
    return Asked(lines, result, [*unserved(study), *missing(found), *later])


def _lines(case: Case, known: Material | None) -> list[str]:
    fields = ", ".join(f"{name} = {field}" for name, field in case.fields.items())
    said = [f"task    {case.name}: {case.task} by {case.how}, {case.eval} ({fields})"]
    if known:
        learnt = f"{known.train:,} to learn from, " if known.train else ""
        labels = f", {known.labels} labels" if known.labels else ""
        said[0] += f": {learnt}{known.test:,} to be judged by{labels}"
    whose = "yours" if case.margin_source == YOURS else "convention"
    accept = f", accept {case.accept:g}" if case.accept is not None else ""
    said.append(f"        {case.metric}{accept}; a smaller model may be worse by {case.margin:g} ({whose})")
    if shown := ", ".join(f"{name} {value!r}" for name, value in case.settings.items() if value):
        said.append(f"        {shown}")
    return said


def _values(case: Case, known: Material | None) -> dict[str, Any]:
    sizes = {"train": known.train, "test": known.test, "labels": known.labels} if known else {}
    return {**case._asdict(), "fields": dict(case.fields), "settings": dict(case.settings), **sizes}
