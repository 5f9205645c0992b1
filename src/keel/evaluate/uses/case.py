"""A use case with an eval file -> a case: evaluator, fields, metric and settings, all settled before any training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from keel.corpus import formats
from keel.errors import Problem, StudyError, nearest
from keel.evaluate.uses.table import EVALUATORS, USES, depths, metric_of
from keel.evaluate.uses.template import CHECKS
from keel.files import digest
from keel.study import Study, UseCase

MARGIN = 0.02
MARGIN_SOURCE = "convention: two items in a hundred; none of the study's own was given"
YOURS = "yours"
GROUPS = ("group",)
WHERE = "[[use_case]]"
# By module: its package, and the extra that brings it.
PACKAGES: Mapping[str, tuple[str, str]] = {
    "sklearn": ("scikit-learn", "eval"), "rouge_score": ("rouge-score", "eval"), "sacrebleu": ("sacrebleu", "eval"),
    "PIL": ("pillow", "images"),
}  # fmt: skip


class Case(NamedTuple):
    """`fields`: what each field is called in the file. `settings`: arguments of the evaluator `how`.

    `margin` and `accept` are in the metric's unit; `share` is that of the rows that are judged by.
    """

    name: str
    task: str
    how: str
    eval: str
    fields: Mapping[str, str]
    metric: str
    settings: Mapping[str, Any]
    margin: float
    margin_source: str
    accept: float | None

    def identity(self, eval_sha256: str, spec_sha256: str) -> str:
        """sha256 of all that a score hangs on: margin and acceptance do not."""
        asked = [self.task, self.how, dict(self.fields), self.metric, dict(self.settings)]
        return digest({"asked": asked, "eval": eval_sha256, "spec": spec_sha256})


def cases(folder: Path, study: Study) -> tuple[list[Case], list[Problem]]:
    """A case for each use case that has an eval file and whose task an evaluator serves; what cannot be one."""
    made, problems = list[Case](), list[Problem]()
    for number, use in enumerate(study.use_case):
        if use.eval is None or use.task not in USES:
            continue
        try:
            made.append(_case(folder, use))
        except StudyError as error:
            where = f"use_case.{number} ({use.name})"
            problems += [each._replace(where=f"{where}: {each.where}") for each in error.problems]
    if len({case.name for case in made}) < len(made):
        names = [case.name for case in made]
        twice = next(name for name in names if names.count(name) > 1)
        problems.append(Problem(f"two use cases are called '{twice}'", "their scores could not be told apart",
                                "name them apart", WHERE))  # fmt: skip
    return made, problems


def unserved(study: Study) -> list[Problem]:
    """Use cases with an eval file that no evaluator can judge yet."""
    return [
        Problem(f"'{use.name}' ({use.task}) is not judged on {use.eval}", "no evaluator serves this task yet",
                f"judge the exported models yourself; served: {', '.join(USES)}", WHERE)
        for use in study.use_case if use.eval is not None and use.task not in USES
    ]  # fmt: skip


def missing(found: Sequence[Case]) -> list[Problem]:
    """Libraries that the evaluators of these cases need and that are not installed, each once."""
    needs: dict[str, list[str]] = {}
    for case in found:
        for module in EVALUATORS[case.how].modules:
            needs.setdefault(module, []).append(case.name)
    return [
        Problem(f"{package} is not installed", f"needed to judge: {', '.join(names)}",
                f"pip install 'keel[{extra}]'", "environment")
        for module, names in needs.items() if find_spec(module) is None
        for package, extra in [PACKAGES[module]]
    ]  # fmt: skip


def _case(folder: Path, use: UseCase) -> Case:
    assert use.eval is not None, "a use case without an eval file"
    ways, problems = USES[use.task], list[Problem]()
    how = use.how or next(iter(ways))
    if how not in ways:
        raise StudyError(f"'{use.task}' is not judged by '{how}'", why=f"it is by: {', '.join(ways)}",
                         fix=nearest(how, ways), where="how")  # fmt: skip
    metric = ""
    try:
        metric = metric_of(how, use.metric)
    except StudyError as error:
        problems += error.problems
    problems += _setting_problems(use, how)
    fields: dict[str, str] = {}
    try:
        fields = _fields(folder / use.eval, use, how)
    except StudyError as error:
        problems += error.problems
    if problems:
        raise StudyError.all(problems)
    margin, source = (MARGIN, MARGIN_SOURCE) if use.margin is None else (use.margin, YOURS)
    return Case(use.name, use.task, how, use.eval, fields, metric, _settings(use, how, metric), margin, source,
                use.accept)  # fmt: skip


def _settings(use: UseCase, how: str, metric: str) -> dict[str, Any]:
    """Arguments that the evaluator takes, with what the task says where the study does not."""
    given = {
        "shots": use.shots or 0, "prompt": use.prompt or USES[use.task][how], "ks": list(depths(metric)),
        "languages": list(use.languages or ()),
    }  # fmt: skip
    return {argument: given[setting] for setting, argument in EVALUATORS[how].takes.items()}


def _setting_problems(use: UseCase, how: str) -> Iterator[Problem]:
    takes = EVALUATORS[how].takes
    for name, value in (("prompt", use.prompt), ("shots", use.shots), ("languages", use.languages)):
        if value is not None and name not in takes:
            takers = ", ".join(other for other, each in EVALUATORS.items() if name in each.takes)
            yield Problem(f"'{how}' takes no '{name}'", f"it belongs to: {takers}", "leave it out", name)
    if "languages" in takes and use.languages is None:
        yield Problem("a translation needs its two languages", "they say what is asked of the model",
                      'write languages = ["en", "de"], the source first', "languages")  # fmt: skip
    if use.prompt is not None and "prompt" in takes:
        try:
            CHECKS[EVALUATORS[how].prompts](use.prompt)
        except StudyError as error:
            yield from error.problems
    if use.accept is not None and not 0 <= use.accept <= 1:
        yield Problem(f"accept = {use.accept:g} can never be met", "every metric lies within 0 and 1",
                      "write .62 for 62 %", "accept")  # fmt: skip


def _fields(path: Path, use: UseCase, how: str) -> dict[str, str]:
    """The names of the file's fields: as the study says, else the first usual name that its first record has."""
    if not path.is_file():
        raise StudyError("the eval file is not there", why="no such file", where=str(path),
                         fix="name it relative to study.toml, or leave `eval` out")  # fmt: skip
    kind = formats.name_of(path)
    if not kind or kind in formats.PLAIN:
        raise StudyError("the eval file has no fields", why=f"{path.name} is of no kind that has rows", where=str(path),
                         fix="bring jsonl, csv, parquet or arrow")  # fmt: skip
    first = next(iter(formats.records(path, "utf-8", None)), None)
    if first is None:
        raise StudyError("there are no rows", why="the file is empty", where=str(path), fix="bring labelled rows")
    keys, found, problems = tuple(first.keys or first.values), dict[str, str](), list[Problem]()
    evaluator = EVALUATORS[how]
    holds = f"the file's fields are {', '.join(keys)}"[:300]
    for name, usual in (("text", evaluator.text), ("answer", evaluator.answer), ("group", GROUPS)):
        said, where = getattr(use.fields, name), f"{path}: fields.{name}"
        if said is not None and said not in keys:
            problems.append(Problem(f"no field '{said}'", holds, nearest(said, keys), where))
        at = said if said is not None else next((key for key in usual if key in keys), None)
        if at is not None:
            found[name] = at
        elif name != "group":
            fix = f"write fields.{name} = ...; usual names are {', '.join(usual)}"
            problems.append(Problem(f"no field for the {name} was found", holds, fix, where))
    if found.get("text") == found.get("answer") and "text" in found:
        problems.append(Problem(f"'{found['text']}' is both text and answer", "one field cannot be learnt from itself",
                                "name two fields", f"{path}: fields"))  # fmt: skip
    if problems:
        raise StudyError.all(problems)
    return found
