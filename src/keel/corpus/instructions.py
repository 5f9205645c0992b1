"""Tasks of instructions: records and the user's templates -> prompts and answers as pairs of token arrays on disk.

Each record is told in every template of its task. A record's pairs are all trained on or all held out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

from keel.corpus import formats, parallel
from keel.corpus.parallel import Bitext, Pair
from keel.errors import Problem, StudyError, nearest
from keel.files import canonical, read_json, write_json

SCHEMA = "keel.instructions/1"
SIDES = ("prompt", "answer")


class Template(NamedTuple):
    """Two texts with {fields} of a record in them; {{ and }} are braces."""

    prompt: str
    answer: str


class Task(NamedTuple):
    """A file of records (jsonl, csv, parquet, arrow) and how each is told."""

    path: Path
    templates: Sequence[Template]
    encoding: str = "utf-8"


def fields(text: str, where: str = "template") -> tuple[str, ...]:
    """The fields that a template's text names, in order.

    Raises:
        StudyError: a brace without its partner, or anything but a plain name between two.

    Example:
        >>> fields("Q: {question} {{sic}} A: {answer}")
        ('question', 'answer')
    """
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise StudyError("a template cannot be read", why=f"{error}: {text!r}"[:200], where=where,
                         fix="write {name} for a field, {{ and }} for braces") from error  # fmt: skip
    for _, name, form, conversion in parts:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise StudyError(f"'{name}' in a template is no plain name", why=f"found in {text!r}"[:200], where=where,
                             fix="write {name}, with letters, digits and _ alone")  # fmt: skip
    return tuple(name for _, name, _, _ in parts if name)


def render(template: Template, values: Mapping[str, Any], where: str = "template") -> tuple[str, str]:
    """Prompt and answer of one record.

    Raises:
        StudyError: a field that the record has not, or that is neither text nor a number.

    Example:
        >>> render(Template("Is it {a}?", "{b}"), {"a": "raining", "b": "yes", "c": None})
        ('Is it raining?', 'yes')
    """
    wanted = [*fields(template.prompt, where), *fields(template.answer, where)]
    problems = [
        Problem(f"a record has no '{name}'", "a template asks for it", nearest(name, values), where)
        if name not in values else
        Problem(f"'{name}' of a record is {values[name]!r}"[:120], "neither text nor a number",
                "make it text, or leave it out of the template", where)
        for name in wanted if not isinstance(values.get(name), (str, int, float)) or isinstance(values[name], bool)
    ]  # fmt: skip
    if problems:
        raise StudyError.all(problems)
    return template.prompt.format_map(values), template.answer.format_map(values)


def pairs(task: Task) -> Iterator[Pair]:
    """Every record in every template, record by record.

    Raises:
        StudyError: no template, one without an answer's field, or a record that does not fill it.
    """
    where = str(task.path)
    if not task.templates:
        raise StudyError("a task has no template", why="nothing says how its records are told", where=where,
                         fix='give templates, such as [{prompt = "{question}", answer = "{answer}"}]')  # fmt: skip
    for template in task.templates:
        if not fields(template.answer, where):
            raise StudyError("a template has one answer for all records", why=f"found {template.answer!r}", where=where,
                             fix="name a field of the record in it, such as {answer}")  # fmt: skip
    wanted = list(dict.fromkeys(name for each in task.templates for text in each for name in fields(text, where)))
    for record in formats.records(task.path, task.encoding, wanted):
        key = canonical({name: str(record.values.get(name)) for name in wanted}).decode()
        for template in task.templates:
            prompt, answer = render(template, record.values, f"{where}:{record.number}")
            yield Pair(record.number, prompt, answer, key)


class Instructions:
    """Tasks by name, each a Bitext of prompts and answers."""

    def __init__(self, folder: Path, tasks: Mapping[str, Bitext]) -> None:
        self.folder, self.tasks = folder, tasks
        first = next(iter(tasks.values()))
        self.tokenizer_path, self.vocabulary = first.tokenizer_path, first.vocabulary

    @property
    def problems(self) -> list[Problem]:
        """What was left out."""
        return [problem for task in self.tasks.values() for problem in task.problems]


def write(folder: Path, tasks: Mapping[str, Task], tokenizer_json: str, heldout_share: float = 0.02) -> None:
    """Tokenise every task into a folder of its own; the index comes last.

    Raises:
        StudyError: no task; a task that leaves nothing to train on, or nothing held out.
    """
    if not tasks:
        raise StudyError("there is no task", why="a mixture of instructions needs one", fix="name a file of records",
                         where=str(folder))  # fmt: skip
    if folder.exists():
        shutil.rmtree(folder)
    for name, task in tasks.items():
        parallel.write(folder / name, pairs(task), tokenizer_json, SIDES, heldout_share)
    write_json(folder / "index.json", SCHEMA, {"tasks": list(tasks)})


def open_instructions(folder: Path) -> Instructions:
    """Open what `write` left, each file held against its checksum.

    Raises:
        StudyError: a file is missing, truncated or edited; it is named.
    """
    index = read_json(folder / "index.json", SCHEMA)
    return Instructions(folder, {name: parallel.open_bitext(folder / name) for name in index["tasks"]})


def slots(counts: Sequence[int], cap: int = 0) -> list[int]:
    """Examples of each task in a round: all it has, `cap` at the most (0: no cap).

    Rates in proportion to min(examples, cap) keep large tasks from drowning small ones.
    Reference: Raffel et al. 2020, arXiv:1910.10683, section 3.5.2; Wei et al. 2021, arXiv:2109.01652, section 2.4.

    Example:
        >>> slots([30_000, 500, 4_000], cap=3_000)
        [3000, 500, 3000]
    """
    return [min(count, cap) if cap else count for count in counts]
