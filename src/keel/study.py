"""The study: what the user wants, typed, read from `study.toml`. All mistakes are reported at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from keel.data import Data, Stated, Table, Wrong, wrong
from keel.errors import Problem, StudyError, nearest
from keel.files import digest
from keel.units import parse_count, parse_duration_s, parse_usd

# Task names of the Hugging Face Hub, then those of MTEB that the Hub lacks.
TASKS = (
    "text-generation", "text-classification", "token-classification", "question-answering", "summarization",
    "translation", "fill-mask", "sentence-similarity", "feature-extraction", "zero-shot-classification",
    "table-question-answering", "text-ranking", "image-classification", "image-text-to-text", "image-to-text",
    "text-to-image", "image-feature-extraction", "zero-shot-image-classification", "object-detection",
    "image-segmentation", "visual-question-answering", "document-question-answering",
    "retrieval", "reranking", "clustering", "pair-classification", "sts", "bitext-mining", "image-text-retrieval",
)  # fmt: skip
TWICE = "write each name once in a table: two languages have two names"


class Serve(Table):
    """How a use case is served; tokens are those of one query and of its answer."""

    accelerator: str | None = None
    latency_ms: float | None = Field(default=None, gt=0)
    queries_per_day: float | None = Field(default=None, gt=0)
    tokens_in: float | None = Field(default=None, gt=0)
    tokens_out: float | None = Field(default=None, ge=0)


class Fields(Table):
    """Which fields of an eval file hold what (default: found by their usual names, and shown)."""

    text: str | None = Field(default=None, description="text, query, source line, list of words, or path of an image")
    answer: str | None = Field(default=None, description="label, text to find, caption, summary, translation, or tags")
    group: str | None = Field(default=None, description="rows of one group are all learnt from or all judged by")


class UseCase(Table):
    """One thing the model is for; `eval` and what follows it say how it is judged."""

    name: str = Field(min_length=1)
    task: str
    weight: float = Field(default=1.0, gt=0)
    eval: str | None = Field(default=None, description="a file of rows, relative to study.toml")
    metric: str | None = None
    accept: float | None = None
    margin: float | None = Field(default=None, gt=0, lt=1, description="how much worse is still as good, in the metric")
    fields: Fields = Fields()
    how: str | None = Field(default=None, description="such as probe, fine-tune, few-shot, where a task allows several")
    prompt: str | None = Field(default=None, description="a template with {text} and {answer}, of images {answer}")
    shots: int | None = Field(default=None, ge=0, description="rows shown in the prompt, of each label or in all")
    languages: tuple[str, str] | None = Field(default=None, description="of a translation: source, target")
    serve: Serve | None = None
    value_usd: float | None = Field(default=None, ge=0)

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        if any(word in task for word in ("speech", "audio", "voice")):
            raise ValueError(f"'{task}': speech is out of scope: no loss, law or judge of keel is about sound")
        if task not in TASKS:
            raise ValueError(f"unknown task '{task}'; {nearest(task, TASKS)}")
        return task


class Budget(Table):
    """What may be spent."""

    compute_usd: float | None = Field(default=None, description="US dollars; 0 is no budget: leave it out")
    people_days: float | None = Field(default=None, ge=0)
    deadline: str | None = Field(default=None, description='"6 weeks" or an ISO date')
    value_usd: float | None = Field(default=None, ge=0, description="yearly value of the gain")
    share_of_value: float = Field(default=0.1, gt=0, le=1, description="most of the yearly value that may be spent")
    compute: float | None = Field(default=None, gt=0, description="FLOP; given in place of money")
    time_s: float | None = Field(default=None, gt=0, description="wall time for the ladder on this machine")

    @field_validator("compute_usd", "value_usd", mode="before")
    @classmethod
    def _money(cls, value: Any) -> Any:
        return _quantity(parse_usd, value)

    @field_validator("compute_usd")
    @classmethod
    def _some(cls, value: float | None) -> float | None:
        if value is not None and value <= 0:
            raise ValueError("a budget of nothing buys nothing: leave it out where it is unknown")
        return value

    @field_validator("deadline", mode="before")
    @classmethod
    def _when(cls, value: Any) -> Any:
        return _deadline(value)

    @field_validator("compute", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        return _quantity(parse_count, value)

    @field_validator("time_s", mode="before")
    @classmethod
    def _duration(cls, value: Any) -> Any:
        return _quantity(parse_duration_s, value)


class Limits(Table):
    """What must hold."""

    licence: Literal["permissive", "conditional", "any"] = "any"
    hardware: tuple[str, ...] = Field(default=(), description='"aws:p4d.24xlarge", or "here"')
    region: str = Field(default="", description="of the prices")
    nodes: int | None = Field(default=None, ge=1, description="most that can be had at once")
    memory_gb: float | None = Field(default=None, gt=0, description="of the device that serves")
    deployed: tuple[str, ...] | str = Field(default=(), description="models in production, or a CSV: name, base, count")

    @field_validator("hardware", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Start(Table):
    """Where the weights come from."""

    start_from: str = Field(default="auto", alias="from", description="auto | scratch | a model id | a folder | a run")


class Study(Table):
    """The whole of `study.toml`; `set` holds dotted overrides of inferred fields, shown as "yours"."""

    data: Data
    use_case: tuple[UseCase, ...] = ()
    budget: Budget = Budget()
    limits: Limits = Limits()
    start: Start = Start()
    set: dict[str, Any] = Field(default={})

    @property
    def overrides(self) -> dict[str, Any]:
        """`set`, flattened to dotted names.

        Example:
            >>> Study.model_validate({"data": {"train": "x"}, "set": {"train": {"seed": 1}}}).overrides
            {'train.seed': 1}
        """
        return flatten(self.set)

    def digest(self) -> str:
        """sha256 of what the study says: neither comments and order count, nor fields that are as if left out."""
        return digest(self.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def _deadline(value: Any) -> Any:
    """A duration with its unit, or an ISO date; a bare number is refused rather than read as seconds."""
    if value is None or isinstance(value, date):
        return value if value is None else value.isoformat()
    text = str(value)
    with suppress(ValueError):
        return date.fromisoformat(text).isoformat()
    try:
        if not isinstance(value, str) or not re.search("[a-zA-Z]", text):
            raise StudyError("the unit is missing", why="6 could be days or weeks", fix='write "6 weeks"')
        parse_duration_s(text)
    except StudyError as error:
        problem = error.problems[0]
        raise ValueError(f"{problem.what}: {problem.why}; {problem.fix}, or a date such as 2027-03-31") from error
    return text


def _quantity(read: Callable[[str], float], value: Any) -> Any:
    """A quantity from its text; a wrong one becomes one problem among the others, not the only one."""
    try:
        return read(value) if isinstance(value, str) else value
    except StudyError as error:
        problem = error.problems[0]
        raise ValueError(f"{problem.what}: {problem.why}; {problem.fix}") from error


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def load(folder: Path, overrides: tuple[str, ...] = ()) -> Study:
    """Read `folder/study.toml`; `overrides` are "a.b=value" strings that act like `[set]`.

    Raises:
        StudyError: no file, not TOML, unknown or wrong fields; every problem in one error.
    """
    path = folder / "study.toml"
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError(
            "no study here", why="study.toml is missing", where=str(folder),
            fix="make one with `keel new DIR`, or name its folder with --study",
        ) from error  # fmt: skip
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        fix = TWICE if any(word in str(error).lower() for word in ("overwrite", "duplicate")) else "mend that line"
        raise StudyError("study.toml cannot be read", why=str(error), fix=fix, where=str(path)) from error
    settings = tree.get("set", {})
    if isinstance(settings, dict):
        tree["set"] = flatten(settings) | dict(parse_override(text) for text in overrides)
    return parse(tree, str(path))


def parse(tree: dict[str, Any], where: str = "study.toml") -> Study:
    """A Study from a tree of plain values; all problems at once."""
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        items = error.errors()
        found = [problem for item in items for problem in _problems(item, where)]
        data = tree.get("data")
        if isinstance(data, dict) and not any(_whole(item) for item in items):
            found += [problem._replace(where=where) for problem in wrong(data)]
        raise StudyError.all(found) from error


def _whole(item: Any) -> Wrong | None:
    """The problems of [data] as a whole, which are not looked for where one of its values is wrong."""
    error = item.get("ctx", {}).get("error")
    return error if isinstance(error, Wrong) else None


def _problems(item: Any, where: str) -> list[Problem]:
    whole = _whole(item)
    return whole.problems if whole else [_problem(item, where)]


def parse_override(text: str) -> tuple[str, Any]:
    """ "a.b=value" with the value read as TOML, else as text.

    Example:
        >>> parse_override("train.seed=3"), parse_override("model.family=llama")
        (('train.seed', 3), ('model.family', 'llama'))
    """
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise StudyError(f"--set {text!r} is not a setting", why="expected a.b=value", fix="write --set train.seed=3")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def _problem(item: Any, where: str) -> Problem:
    """One pydantic error in the words of the house."""
    steps = [str(step) for step in item["loc"]]
    name = ".".join(steps)
    if item["type"] == "extra_forbidden":
        fields = _fields_at(steps[:-1])
        return Problem(f"unknown field '{name}'", f"[{'.'.join(steps[:-1]) or 'study'}] has no such field",
                       nearest(steps[-1], fields), where)  # fmt: skip
    if item["type"] == "missing":
        return Problem(f"'{name}' is missing", "it has no default", f"add {steps[-1]} = ... there", where)
    found = item["input"]
    shown = f" (found {found!r})" if not isinstance(found, dict) else ""
    return Problem(f"'{name}' is wrong", f"{item['msg'].removeprefix('Value error, ')}{shown}", "mend the value", where)


def _fields_at(steps: list[str]) -> list[str]:
    """The field names of the table that `steps` lead to."""
    model: type[BaseModel] = Study
    tables: dict[str, type[BaseModel]] = {
        "data": Data, "use_case": UseCase, "budget": Budget, "limits": Limits, "start": Start,
        "serve": Serve, "stated": Stated, "fields": Fields,
    }  # fmt: skip
    for step in steps:
        model = tables.get(step, model)
    return [field.alias or name for name, field in model.model_fields.items()]
