"""Known cases: a study as a user writes it, and what `keel plan --json` must say of it. See test_cases.py.

A case is a file of cases/, named by what it is about:

    [case]
    why    = "why this is the answer"
    source = "the requirement (R.., W..), the row of the catalogue or the paper that says so"
    study  = '''the whole of study.toml'''
    as_of  = "2026-11-24"     the date of the plan (default: the day the catalogue was collected)
    verb   = "plan"           or "look", where it is the corpus that is wrong
    corpus = { documents = 40, copies = 2 }    real text in corpus/, measured before the plan; every document so often

    [files]                   other files of the study's folder: path = text

    [expect]                  facts, each by a function of case_facts.FACTS
"""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers import FAKE_MACHINE, write_texts
from typer.main import get_command

from keel import cli
from keel.catalog.tables import FOLDER
from keel.corpus.look import measure_corpus, source_of
from keel.files import write_json, write_text
from keel.study import load

CASES = Path(__file__).parent / "cases"
COLLECTED = "2026-11-24"
WRITTEN = {"study", "id", "hub_id", "name"}  # keys whose texts are names, not sentences


class Case(NamedTuple):
    """A file of cases/."""

    name: str
    study: str
    why: str
    source: str
    verb: str
    as_of: str
    corpus: Mapping[str, int]
    files: Mapping[str, str]
    expect: Mapping[str, Any]


class Found(NamedTuple):
    """What the command gave back."""

    exit: int
    tree: Mapping[str, Any]
    output: str

    @property
    def result(self) -> Mapping[str, Any]:
        return self.tree["result"]

    def listed(self, name: str) -> list[Mapping[str, Any]]:
        return list(self.result.get(name) or ())

    def ids(self, name: str) -> list[str]:
        return [str(item["id"]) for item in self.listed(name)]

    def at(self, dotted: str) -> Any:
        found: Any = self.result
        for key in dotted.split("."):
            found = (found or {}).get(key)
        return found

    @property
    def problems(self) -> str:
        return "\n".join(text for problem in self.tree["problems"] for text in map(str, problem.values()))

    @property
    def said(self) -> str:
        """Every sentence: problems, reasons, the numbers' formulae and sources."""
        return "\n".join([self.problems, *_texts(self.result), *_texts(self.tree["numbers"])])


def read(path: Path) -> Case:
    """A case from its file; what it does not know is a mistake of the case."""
    tree = tomllib.loads(path.read_text(encoding="utf-8"))
    case = {"verb": "plan", "as_of": COLLECTED, "corpus": {}} | tree["case"]
    assert tree.keys() <= {"case", "files", "expect"}, path.name
    assert len(case["why"]) > 20, path.name
    assert case["source"], path.name
    assert tree["expect"], path.name
    return Case(path.stem, **case, files=tree.get("files", {}), expect=tree["expect"])


def ask(case: Case, folder: Path) -> Found:
    """Write the study, run the verb in this process, read its one JSON object."""
    write_text(folder / "study.toml", case.study)
    for name, text in case.files.items():
        write_text(folder / name, text)
    if case.corpus:
        _measure(folder, **case.corpus)
    dated = ["--as-of", case.as_of] if case.verb == "plan" else []
    out, told = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(told), pytest.raises(SystemExit) as ended:
        command().main([case.verb, "--study", str(folder), *dated, "--json"], prog_name="keel")
    return Found(int(ended.value.code or 0), json.loads(out.getvalue()), out.getvalue() + told.getvalue())


@cache
def command() -> Any:
    """The command as typer makes it of the verbs, made once: that takes as long as a small plan."""
    return get_command(cli.app)


def _measure(folder: Path, documents: int, copies: int = 1) -> None:
    """Real text and its evidence, on a stated machine: what `keel look` writes."""
    write_texts(folder / "corpus", documents)
    for path in sorted((folder / "corpus").iterdir()):
        for copy in range(1, copies):
            path.with_name(f"{path.stem}-{copy}{path.suffix}").write_bytes(path.read_bytes())
    asked = load(folder)
    corpus, tokenizer_json = measure_corpus(source_of(folder, asked), asked)
    write_text(folder / "evidence" / "tokenizer.json", tokenizer_json)
    write_json(folder / "evidence" / "corpus.json", "keel.corpus/1", corpus)
    write_json(folder / "evidence" / "machine.json", "keel.machine/1", FAKE_MACHINE)


@cache
def shipped() -> Mapping[str, Mapping[str, str]]:
    """Rows of the shipped models.csv as they stand, with `kind`: the test's own reading, not the product's."""
    with (FOLDER / "models.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: {**row, "kind": _kind(row)} for row in csv.DictReader(file)}


def _kind(row: Mapping[str, str]) -> str:
    first = re.split(r"[ (]", row["architecture"])[0]
    return {"text": first, "image-generation": "diffusion"}.get(row["modality"], row["modality"])


def _texts(tree: Any, key: str = "") -> Iterator[str]:
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _texts(value, name)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _texts(value, key)
    elif isinstance(tree, str) and key not in WRITTEN:
        yield tree
