"""The models that an organisation runs, each traced to its open base; what cannot be traced stays unknown."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from keel.catalog.rows import Model
from keel.catalog.store import Catalogue
from keel.errors import Problem, StudyError, nearest
from keel.units import show_count

COLUMNS = ("name", "base", "count")


class Deployed(NamedTuple):
    """A model in production: as it is called, its open base or None, why, and how many of it run."""

    name: str
    base: Model | None
    why: str
    number: int = 1


class Fleet(NamedTuple):
    """All of them; `params`: from the smallest to the largest traced base, None where no base has a known size."""

    rows: tuple[Deployed, ...]
    params: tuple[float, float] | None

    @property
    def summary(self) -> str:
        """One line: how many, of which bases, of what size."""
        number = sum(row.number for row in self.rows)
        bases: dict[str, int] = {}
        for row in self.rows:
            name = row.base.id if row.base else "unknown"
            bases[name] = bases.get(name, 0) + row.number
        said = ", ".join(f"{count} x {name}" for name, count in bases.items())
        size = (
            f"{show_count(self.params[0])} to {show_count(self.params[1])} parameters"
            if self.params
            else "of unknown size"
        )
        return f"{number} models in production: {said}; {size}" if number else "no models in production were named"


def trace(known: Catalogue, folder: Path, given: tuple[str, ...] | str) -> Fleet:
    """Trace names, ids, hub ids, or a CSV (name, and where known base and count) to bases of the catalogue.

    Raises:
        StudyError: the CSV is not there, has other columns, or counts that are none; all of them.

    Example:
        >>> fleet = trace(Catalogue(), Path("."), ("our-roberta-base-v3", "gpt-2", "inhouse"))
        >>> [row.base and row.base.id for row in fleet.rows], fleet.params
        (['roberta-base', 'gpt2', None], (124000000.0, 125000000.0))
    """
    listed = isinstance(given, str) and given.lower().endswith((".csv", ".tsv"))
    asked = _read(folder / str(given)) if listed else [(name, "", 1) for name in _names(given)]
    index = _index(known.models.values())
    rows = tuple(_row(known, index, *entry) for entry in asked)
    sizes = [row.base.params for row in rows if row.base and row.base.params]
    return Fleet(rows, (min(sizes), max(sizes)) if sizes else None)


def _names(given: tuple[str, ...] | str) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given


def _row(known: Catalogue, index: Mapping[str, tuple[str, ...]], name: str, base: str, number: int) -> Deployed:
    found, why = _find(known, index, base or name)
    return Deployed(name, found, f"its base is given as '{base}': {why}" if base else why, number)


def _squash(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _index(models: Iterable[Model]) -> Mapping[str, tuple[str, ...]]:
    """Every way to name a model, without separators -> ids; families name all their members."""
    found: dict[str, list[str]] = {}
    for model in models:
        names = {_squash(model.id), _squash(model.name), _squash(model.hub_id), _squash(model.hub_id.split("/")[-1])}
        for name in names - {""}:
            found.setdefault(name, []).append(model.id)
    own = set(found)
    for model in models:
        if (name := _squash(model.family)) not in own:
            found.setdefault(name, []).append(model.id)
    return {name: tuple(ids) for name, ids in found.items()}


def _find(known: Catalogue, index: Mapping[str, tuple[str, ...]], name: str) -> tuple[Model | None, str]:
    """The longest run of the name's parts that names a model, a family, or begins the names of several."""
    parts = [part for part in re.split(r"[^a-z0-9.]+", name.lower()) if part]
    spans = ["".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)]
    for span in sorted({_squash(span) for span in spans} - {""}, key=lambda span: (-len(span), span)):
        ids = index.get(span) or _begun(index, span)
        if len(ids) == 1:
            model = known.models[ids[0]]
            return model, ("is in the catalogue" if span == _squash(name) else f"the name contains '{model.id}'")
        if ids:
            return _default(known, ids, span)
    return None, "no model or family of the catalogue is in its name: say the base in a CSV (name, base)"


def _begun(index: Mapping[str, tuple[str, ...]], span: str) -> tuple[str, ...]:
    """Ids whose names begin so: "bert-base" begins two; too short a beginning names nothing."""
    if len(span) < 6:
        return ()
    return tuple(dict.fromkeys(id_ for name, ids in index.items() if name.startswith(span) for id_ in ids))


def _default(known: Catalogue, ids: tuple[str, ...], span: str) -> tuple[Model, str]:
    """Of several: the one with the best recorded adaptation, else the smallest; the choice is said."""
    members = [known.models[id_] for id_ in ids]
    adapted = [model for model in members if model.best_adapted_mteb is not None]
    chosen = (max(adapted, key=lambda model: model.best_adapted_mteb or 0.0) if adapted
              else min(members, key=lambda model: model.params or float("inf")))  # fmt: skip
    sizes = [model.params for model in members if model.params]
    between = f" of {show_count(min(sizes))} to {show_count(max(sizes))} parameters" if sizes else ""
    rule = "the one with the best published adaptation" if adapted else "the smallest"
    return chosen, (f"ambiguous: '{span}' names {len(members)} models{between}; {chosen.id} is taken, {rule}; "
                    "say the base in a CSV (name, base)")  # fmt: skip


def _read(path: Path) -> list[tuple[str, str, int]]:
    if not path.is_file():
        raise StudyError(f"{path.name} is not there", why="the list of deployed models is a file that does not exist",
                         fix="write a CSV with the columns name, base, count, or name the models in study.toml",
                         where="[limits] deployed")  # fmt: skip
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        problems = _columns(lines.fieldnames or (), path)
        rows = [] if problems else [_line(line, lines.line_num, path, problems) for line in lines]
    if problems:
        raise StudyError.all(problems)
    return [row for row in rows if row]


def _columns(found: Iterable[str], path: Path) -> list[Problem]:
    names = list(found)
    wrong = [Problem(f"unknown column '{name}'", "a list of deployed models has name, base, count",
                     nearest(str(name), COLUMNS), str(path)) for name in names if name not in COLUMNS]  # fmt: skip
    if "name" not in names:
        wrong.append(Problem("the column 'name' is missing", "it names the model in production", "add it", str(path)))
    return wrong


def _line(line: Mapping[str, str | None], number: int, path: Path, problems: list[Problem]) -> tuple[str, str, int]:
    name, base, count = ((line.get(column) or "").strip() for column in COLUMNS)
    if not name:
        problems.append(Problem(f"line {number} names no model", "the cell 'name' is empty", "fill it", str(path)))
    if count and not re.fullmatch(r"\d+", count):
        problems.append(Problem(f"line {number}: count is {count!r}", "it says how many of the model run",
                                "write a whole number, or leave it empty for 1", str(path)))  # fmt: skip
    return name, base, int(count) if re.fullmatch(r"\d+", count) else 1
