"""[data] of study.toml: where the data is, what its fields hold, and so which kind it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from keel.errors import Problem

Kind = Literal["text", "parallel", "instructions", "images", "image-text"]
OF_IMAGES: tuple[Kind, ...] = ("images", "image-text")
LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
WHERE = "study.toml: [data]"
OF_TEXT = ("text", "time")
COLOUR = re.compile(r"white|black|grey|#[0-9a-fA-F]{6}")


class Table(BaseModel):
    """A TOML table: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Stated(Table):
    """Facts about data that is not at hand yet; every number that rests on them says "stated, not measured".

    `documents` are texts, or images; `pairs` are image-text pairs, or pairs of translations beside the text.
    """

    modality: Literal["text", "image", "image-text"] = "text"
    bytes: float | None = Field(default=None, gt=0)
    tokens: float | None = Field(default=None, gt=0)
    documents: float | None = Field(default=None, gt=0)
    languages: tuple[str, ...] = ()
    domain: str = ""
    labels: int | None = Field(default=None, ge=0)
    pairs: int | None = Field(default=None, ge=0)
    duplicates: float | None = Field(default=None, ge=0, lt=1, description="share of documents that repeat others")


class Wrong(ValueError):
    """What is wrong with [data] as a whole, all of it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.what}: {problem.why}" for problem in problems))
        self.problems = problems


class Data(Table):
    """Where the data is and which fields hold what.

    `parallel` names two languages, the source first: two files of lines (and no `train`), or two fields of the records
    in `train`. `prompt` and `answer` name fields, or are templates with {fields} in them; several templates are a list
    each, or one answer for all. `image` = "file": the files are the images (`text` = "twin": captions beside them).
    """

    train: str | tuple[str, ...] = Field(default=(), description="a folder, a file or a glob, relative to study.toml")
    text: str | None = Field(default=None, description="the field that holds the text (default: found, and shown)")
    parallel: dict[str, str] | None = Field(default=None, description="language -> file of lines, or field of `train`")
    prompt: str | tuple[str, ...] | None = Field(default=None, description="a field, or a template of fields")
    answer: str | tuple[str, ...] | None = Field(default=None, description="a field, or a template of fields")
    task: str | None = Field(default=None, description="the field that names a record's task")
    image: str | None = Field(default=None, description='"file", or the field, column or tar ending that holds it')
    label: str | None = Field(default=None, description='"folder", or the field that holds an image\'s class')
    background: str = Field(default="white", description="what shows through transparent images: white, #rrggbb")
    group: str | None = Field(default=None, description="never split across held-out")
    time: str | None = Field(default=None, description="a time split instead: the latest documents are held out")
    encoding: str = "utf-8"
    stated: Stated | None = None

    @model_validator(mode="after")
    def _whole(self) -> Data:
        if problems := wrong(self.__dict__):
            raise Wrong(problems)
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """The `train` patterns, always a tuple; of two parallel files these."""
        return (self.train,) if isinstance(self.train, str) else self.train or tuple((self.parallel or {}).values())

    @property
    def kind(self) -> Kind:
        """What a sample of it is: a text, a pair of lines, a prompt with its answer, an image, one with its caption."""
        if self.image is not None:
            return "image-text" if self.text is not None else "images"
        return "parallel" if self.parallel else "instructions" if self.prompt or self.answer else "text"

    @property
    def sides(self) -> tuple[str, ...]:
        """The names of a pair's two sides; none of plain text."""
        return tuple(self.parallel) if self.parallel else ("prompt", "answer") if self.kind == "instructions" else ()

    @property
    def templates(self) -> tuple[tuple[str, str], ...]:
        """(prompt, answer) of each template; a field's name stands for {name}."""
        prompts, answers = (tuple(_template(text) for text in several(given)) for given in (self.prompt, self.answer))
        return tuple(zip(prompts, answers * len(prompts) if len(answers) == 1 else answers))


def several(given: Any) -> tuple[str, ...]:
    """One text or a list of them, as a tuple.

    Example:
        >>> several("a"), several(["a", "b"]), several(None)
        (('a',), ('a', 'b'), ())
    """
    if isinstance(given, str):
        return (given,)
    return tuple(each for each in given if isinstance(each, str)) if isinstance(given, (list, tuple)) else ()


def is_template(text: str) -> bool:
    """Whether a text names fields in braces rather than being a field's name."""
    return "{" in text or "}" in text


def _template(text: str) -> str:
    return text if is_template(text) else f"{{{text}}}"


def wrong(data: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with [data] beyond single values; values of a wrong type are passed over, for they are told apart.

    Example:
        >>> [problem.what for problem in wrong({"train": "a", "prompt": "q"})]
        ["'data.answer' is missing"]
    """
    parallel, pairs = data.get("parallel"), isinstance(data.get("parallel"), dict)
    asked = [name for name in ("prompt", "answer") if data.get(name) is not None]
    found = []
    stated = data.get("stated")
    if not data.get("train") and not pairs and not stated:
        found.append(Problem("'data.train' is missing", "it has no default", "add train = ... there", WHERE))
    if stated:
        found += _stated(stated if isinstance(stated, dict) else stated.__dict__)
    if pairs and asked:
        found.append(Problem(f"parallel and {asked[0]} are both named", "data is pairs of lines or instructions",
                             "remove one, or make a study of each", WHERE))  # fmt: skip
    if isinstance(parallel, dict):
        found += _parallel(parallel)
    if asked:
        found += _instructions(data)
    found += _images(data)
    if (pairs or asked) and (odd := [name for name in OF_TEXT if data.get(name) is not None]):
        found.append(Problem(f"{', '.join(odd)} with {'parallel' if pairs else asked[0]}", "it is of plain text alone",
                             f"remove {odd[0]}", WHERE))  # fmt: skip
    files = pairs and not data.get("train")
    if data.get("task") is not None and not asked:
        found.append(Problem("task without prompt", "it names the task of an instruction", "remove task", WHERE))
    if files and data.get("group") is not None:
        found.append(Problem("group with two files of lines", "lines have no fields",
                             "remove group, or bring records: train = ..., parallel = { en = field, ... }",
                             WHERE))  # fmt: skip
    return found


def _images(data: Mapping[str, Any]) -> list[Problem]:
    """What is said of images: alone, of a known colour, from a field that there is."""
    image, back = data.get("image"), data.get("background", "white")
    if image is None:
        odd = [name for name in ("label", "background") if data.get(name, "white") not in (None, "white")]
        return [
            Problem(f"{name} without image", "it is of images alone", f'add image = "file", or remove {name}', WHERE)
            for name in odd
        ]
    others = [name for name in ("parallel", "prompt", "answer", "task", "time") if data.get(name) is not None]
    found = [
        Problem(f"image and {name} are both named", "a sample is an image, or an image with its caption",
                f"remove {name}, or make a study of each", WHERE) for name in others
    ]  # fmt: skip
    found += [
        Problem(f"'data.{name}' is empty", "nothing would be read", "name a field, or remove it", WHERE)
        for name in ("image", "label", "text", "group") if isinstance(data.get(name), str) and not data[name].strip()
    ]  # fmt: skip
    if isinstance(back, str) and not COLOUR.fullmatch(back):
        found.append(Problem(f"background '{back}' is no colour that is known", "transparent images are laid on it",
                             "write white, black, grey, or such as #e0e0e0", WHERE))  # fmt: skip
    if data.get("label") is not None and data.get("label") == data.get("group"):
        found.append(Problem("label and group are one field", "a class held out whole is never learnt",
                             "remove group, or name another", WHERE))  # fmt: skip
    return found


# The web's largest crawl holds fewer tokens, images or bytes than this (catalogue: dclm-pool, 3e14 tokens).
MOST = {"tokens": 1e16, "bytes": 1e17, "documents": 1e13, "pairs": 1e13}
BYTES_A_TOKEN = (0.5, 40.0)


def _stated(stated: Mapping[str, Any]) -> list[Problem]:
    """A statement that cannot be true, or says nothing."""
    where = f"{WHERE} stated"
    said = {name: value for name, value in stated.items() if isinstance(value, (int, float)) and value}
    found = [
        Problem(f"stated.{name} = {said[name]:.3g} is more than there is", f"no corpus known holds {most:.0e}",
                "check its power of ten", where)
        for name, most in MOST.items() if said.get(name, 0) > most
    ]  # fmt: skip
    text = stated.get("modality", "text") == "text"
    needs = ("bytes", "tokens", "documents") if text else ("documents", "pairs", "bytes")
    if not any(name in said for name in needs):
        found.append(Problem("the corpus is stated to be empty", f"none of {', '.join(needs)} is given",
                             "state one of them, or name files: [data] train", where))  # fmt: skip
    if "bytes" in said and "tokens" in said and text and not found:
        ratio = said["bytes"] / said["tokens"]
        if not BYTES_A_TOKEN[0] <= ratio <= BYTES_A_TOKEN[1]:
            found.append(Problem(f"stated: {ratio:.3g} bytes a token", "text has between .5 and 40",
                                 "check the powers of ten of bytes and tokens", where))  # fmt: skip
    found += [
        Problem(f"'{name}' is no language code", "languages are ISO 639 codes", "write such as en or pt-BR", where)
        for name in stated.get("languages") or () if not LANGUAGE.fullmatch(str(name))
    ]  # fmt: skip
    return found


def _parallel(parallel: Mapping[Any, Any]) -> list[Problem]:
    where, fix = f"{WHERE} parallel", 'write parallel = { en = "help.en", de = "help.de" }, the source first'
    names, values = [str(name) for name in parallel], [value for value in parallel.values() if isinstance(value, str)]
    found = []
    if len(names) != 2:
        why = f"found {len(names)}: {', '.join(names)}" if names else "found none"
        found.append(Problem("parallel needs two languages", why, fix, where))
    found += [
        Problem(f"'{name}' is no language code", "a token is named after it", "write such as en or pt-BR", where)
        for name in names if not LANGUAGE.fullmatch(name)
    ]  # fmt: skip
    if len({name.casefold() for name in names}) < len(names):
        found.append(Problem("one language is on both sides", f"found {' and '.join(names)}", fix, where))
    if len(values) == 2 and values[0] == values[1]:
        found.append(Problem("both languages have one file or field", f"found {values[0]!r} twice", fix, where))
    if not all(value.strip() for value in values):
        found.append(Problem("a language has no file or field", "its value is empty", fix, where))
    return found


def _instructions(data: Mapping[str, Any]) -> list[Problem]:
    prompts, answers = several(data.get("prompt")), several(data.get("answer"))
    found = [
        Problem(f"'data.{name}' is missing", "an instruction is a prompt and its answer",
                f'add {name} = "the field\'s name", or a template such as "{{question}}"', WHERE)
        for name, given in (("prompt", prompts), ("answer", answers)) if not given
    ]  # fmt: skip
    if prompts and len(answers) not in (0, 1, len(prompts)):
        found.append(Problem(f"{len(prompts)} prompts and {len(answers)} answers", "each prompt has one answer",
                             "write one answer for all, or one for each", WHERE))  # fmt: skip
    for name, texts in (("prompt", prompts), ("answer", answers)):
        for text in texts:
            found += _readable(name, text)
    return found


def _readable(name: str, text: str) -> list[Problem]:
    """A template is plain names in braces; an answer's has one at least."""
    where = f"{WHERE} {name}"
    if not text.strip():
        return [Problem(f"'data.{name}' is empty", "nothing would be read", "name a field", where)]
    if not is_template(text):
        return []
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        return [Problem(f"{name} is no template", f"{error}: {text!r}"[:200],
                        "write {name} for a field, {{ and }} for braces", where)]  # fmt: skip
    fields = [(field, form, conversion) for _, field, form, conversion in parts if field is not None]
    found = [
        Problem(f"'{field}' in {name} is no plain name", f"found in {text!r}"[:200],
                "write {name}, with letters, digits and _ alone", where)
        for field, form, conversion in fields if not field.isidentifier() or form or conversion
    ]  # fmt: skip
    if not fields:
        found.append(Problem(f"{name} names no field", f"found {text!r}"[:200], "name one, such as {question}", where))
    return found
