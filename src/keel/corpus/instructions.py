"""Tasks of instructions: records and the user's templates -> prompts and answers as pairs of token arrays on disk.

Each record is told in every template of its task. A record's pairs are all trained on or all held out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar, NamedTuple

import numpy as np

from keel.corpus import formats, parallel
from keel.corpus.pair_writer import PARTS, SHOWN, Kept, Rule, Writer, by_share, check_parts
from keel.corpus.parallel import Bitext, Pair, named
from keel.corpus.tokenizer import load
from keel.corpus.vocabulary import vocabulary_of
from keel.errors import Problem, StudyError, nearest
from keel.files import canonical, digest, read_json, sha256_file, write_json, write_text

SCHEMA = "keel.instructions/2"
BATCH_PAIRS = 4096
SIDES = ("prompt", "answer")


class Template(NamedTuple):
    """Two texts with {fields} of a record in them; {{ and }} are braces."""

    prompt: str
    answer: str


class Task(NamedTuple):
    """A file of records (jsonl, csv, parquet, arrow) and how each is told.

    `field` names the field that holds the name of a record's task, `group` that of records that are never split.
    """

    path: Path
    templates: Sequence[Template]
    encoding: str = "utf-8"
    field: str = ""
    group: str = ""


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
    """Every record in every template, record by record; equal prompts have one key, whatever their answers are.

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
    asked = list(dict.fromkeys(name for each in task.templates for name in fields(each.prompt, where)))
    beside = [name for each in task.templates for name in fields(each.answer, where)]
    beside += [name for name in (task.field, task.group) if name]
    for record in formats.records(task.path, task.encoding, list(dict.fromkeys([*asked, *beside]))):
        place = f"{where}:{record.number}"
        key = canonical({name: str(record.values.get(name)) for name in asked}).decode()
        key = named(record.values, task.group, place) if task.group else key
        name = named(record.values, task.field, place) if task.field else ""
        for template in task.templates:
            prompt, answer = render(template, record.values, place)
            yield Pair(record.number, prompt, answer, key, name)


class Instructions:
    """Tasks by name, each a Bitext of prompts and answers; `without` are those that leave nothing to train on."""

    kind: ClassVar[str] = "instructions"

    def __init__(self, folder: Path, tasks: Mapping[str, Bitext], index: Mapping[str, Any]) -> None:
        self.folder, self.tasks, self.tokenizer_path = folder, tasks, folder / "tokenizer.json"
        self.vocabulary, self.without = int(index["vocabulary"]), tuple(index["without"])
        self.heldout_bytes = sum(task.heldout_bytes for task in tasks.values())
        self.heldout_sha256 = digest([task.heldout_sha256 for task in tasks.values()])

    def heldout_tokens(self) -> np.ndarray:
        """All held-out tokens, prompts and answers, task by task."""
        return np.concatenate([task.heldout_tokens() for task in self.tasks.values()])

    def token_counts(self) -> np.ndarray:
        """How often each token stands in the pairs to train on, shape (vocabulary,)."""
        return np.asarray(sum(task.token_counts() for task in self.tasks.values()))

    @property
    def problems(self) -> list[Problem]:
        """What was left out."""
        found = [problem for task in self.tasks.values() for problem in task.problems]
        if self.without:
            shown = ", ".join(self.without[:SHOWN]) + (" ..." if len(self.without) > SHOWN else "")
            found.append(Problem(f"{len(self.without)} tasks are left out", f"all their pairs are held out: {shown}",
                                 "bring more records of them", str(self.folder)))  # fmt: skip
        return found


def write(folder: Path, tasks: Mapping[str, Task], tokenizer_json: str, heldout_share: float = 0.02) -> None:
    """Tokenise every task; the index comes last.

    Raises:
        StudyError: no task; nothing is left to train on, or nothing is held out.
    """
    if not tasks:
        raise StudyError("there is no task", why="a mixture of instructions needs one", fix="name a file of records",
                         where=str(folder))  # fmt: skip
    every = (pair._replace(task=name) for name, task in tasks.items() for pair in pairs(task))
    write_pairs(folder, every, tokenizer_json, Rule(vocabulary_of(tokenizer_json).size, by_share(heldout_share)))


def write_pairs(
    folder: Path, every: Iterable[Pair], tokenizer_json: str, rule: Rule, identity: Mapping[str, Any] | None = None
) -> None:
    """Tokenise pairs into a folder for each `task` of theirs; the index comes last.

    Raises:
        StudyError: nothing is left to train on, or nothing is held out.
    """
    if folder.exists():
        shutil.rmtree(folder)
    tokenizer, kept = load(tokenizer_json), Kept()
    writers = dict[str, Writer]()
    left = iter(every)
    while batch := list(islice(left, BATCH_PAIRS)):
        for name in dict.fromkeys(pair.task for pair in batch):
            if name not in writers:
                writers[name] = Writer(folder / f"{len(writers):05d}", tokenizer, SIDES, rule, kept)
            writers[name].add([pair for pair in batch if pair.task == name])
    counts = [writer.close() for writer in writers.values()]
    check_parts({part: sum(count[part] for count in counts) for part in PARTS}, folder)
    write_text(folder / "tokenizer.json", tokenizer_json)
    full = {name: writer.folder.name for (name, writer), count in zip(writers.items(), counts) if count["train"]}
    write_json(folder / "index.json", SCHEMA, {
        "identity": dict(identity or {}), "tasks": full, "without": sorted(writers.keys() - full.keys()),
        "vocabulary": rule.vocabulary, "tokenizer_sha256": sha256_file(folder / "tokenizer.json"),
    })  # fmt: skip


def open_instructions(folder: Path) -> Instructions:
    """Open what `write` left, each file held against its checksum.

    Raises:
        StudyError: a file is missing, truncated or edited; it is named.
    """
    index = read_json(folder / "index.json", SCHEMA)
    parallel.check_file(folder, "tokenizer.json", index["tokenizer_sha256"])
    tasks = {name: parallel.open_bitext(folder / place) for name, place in index["tasks"].items()}
    return Instructions(folder, tasks, index)


def slots(counts: Sequence[int], cap: int = 0) -> list[int]:
    """Examples of each task in a round: all it has, `cap` at the most (0: no cap).

    Rates in proportion to min(examples, cap) keep large tasks from drowning small ones.
    Reference: Raffel et al. 2020, arXiv:1910.10683, section 3.5.2; Wei et al. 2021, arXiv:2109.01652, section 2.4.

    Example:
        >>> slots([30_000, 500, 4_000], cap=3_000)
        [3000, 500, 3000]
    """
    return [min(count, cap) if cap else count for count in counts]
