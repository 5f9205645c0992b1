"""keel's own runs as rows: branches with a good result, of one loss, in the unit of its judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import StudyError
from keel.files import read_json
from keel.laws.law import Row
from keel.laws.priors import BITS_PER_BYTE
from keel.laws.read.seen import Seen, Table
from keel.units import value_at, value_field

RESULT, PLAN = "keel.result/1", "keel.plan/1"
Left = dict[str, str]


class Recipe(NamedTuple):
    """What runs of one law share: a loss, its judge, a family. Values of other judges are other quantities."""

    loss: str
    judge: str
    family: str

    def __str__(self) -> str:
        return f"{self.loss} on {self.family}, {self.judge.replace('_', ' ')}"


class Found(NamedTuple):
    """Rows, what was left out with the reason, and the unit of the values."""

    rows: tuple[Row, ...]
    excluded: tuple[Left, ...]
    unit: str


def rows_of_runs(runs: Path, ids: Iterable[str] | None = None, measure: Sequence[str] = ()) -> Found:
    """Branches with a good result under `runs` (or those of `ids`), and what was left out with the reason.

    `measure`: where another value than the judge's stands in a result, such as ("accuracy", "value").

    Raises:
        StudyError: a result that cannot be used; runs of several losses where no plan says which.
    """
    names = sorted(p.parent.name for p in runs.glob("*/result.json")) if ids is None else sorted(ids)
    good, excluded = list[tuple[Recipe, Row]](), list[Left]()
    for name in names:
        path = runs / name / "result.json"
        if not path.exists():
            excluded.append({"id": name, "why": "no result yet"})
            continue
        result = read_json(path, RESULT)
        if result.get("kind") != "branch":
            continue
        if not result.get("ok"):
            gate = result.get("gate") or {}
            excluded.append({"id": name, "why": f"failed its gate: {gate.get('name')}: {gate.get('why')}"})
            continue
        good.append((_recipe(result), _row(name, result, path, tuple(measure) or (_field(result),))))
    wanted = _wanted({recipe for recipe, _ in good}, runs)
    excluded += [{"id": row.id, "why": f"another recipe: {recipe}"} for recipe, row in good if recipe != wanted]
    rows = tuple(row for recipe, row in good if recipe == wanted)
    return Found(rows, tuple(excluded), wanted.judge)


def runs_table(path: Path) -> Table:
    """A folder of keel's runs, or a study's folder that holds runs/."""
    runs = path / "runs" if (path / "runs").is_dir() else path
    rows, excluded, unit = rows_of_runs(runs)
    if not rows:
        why = "; ".join(f"{item['id']} {item['why']}" for item in excluded) or "no branch has a result.json here"
        raise StudyError("no run to fit", why=why, fix="run the ladder first: keel run", where=str(runs))
    sealed = frozenset(row.id for row in rows if (runs / row.id / "forecast.json").exists())
    return Table(rows, unit, "total", "counted per layer by keel", excluded, (), sealed, _own(rows, unit), str(runs))


def _recipe(result: Mapping[str, Any]) -> Recipe:
    """Results of the first version name no judge: theirs is bits per byte."""
    return Recipe(str(result.get("objective", "clm")), str(result.get("judge", BITS_PER_BYTE)),
                  str(result.get("family", "llama")))  # fmt: skip


def _wanted(found: set[Recipe], runs: Path) -> Recipe:
    """The one there is, else the plan's."""
    if len(found) < 2:
        return next(iter(found), Recipe("", BITS_PER_BYTE, ""))
    path = runs.parent / "plan.json"
    plan = read_json(path, PLAN) if path.exists() else {}
    planned = [one for one in found if (one.loss, one.family) == (plan.get("objective"), plan.get("family"))]
    if len(planned) != 1:
        raise StudyError("the runs are of several recipes", why="; ".join(sorted(map(str, found))), where=str(runs),
                         fix="put those of one law into a folder of their own, or plan with one of them")  # fmt: skip
    return planned[0]


def _row(name: str, result: Mapping[str, Any], path: Path, place: Sequence[str]) -> Row:
    try:
        places = (("params", "total"), ("tokens",), ("flop",), place)
        params, tokens, flop, value = (value_at(result, each) for each in places)
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"{name} has no usable result", why=f"{type(error).__name__}: {error}",
            fix="delete result.json and run it again", where=str(path),
        ) from error  # fmt: skip
    return Row(name, params, tokens, flop, value)


def _field(result: Mapping[str, Any]) -> str:
    return value_field(str(result.get("judge", BITS_PER_BYTE)))


def _own(rows: Sequence[Row], unit: str) -> tuple[Seen, ...]:
    """The columns of keel's own result.json."""
    fields = (("params", "params.total", "ones", "total", "params"), ("tokens", "tokens", "ones", "", "tokens"),
              ("loss", value_field(unit), unit, "", "value"), ("flop", "flop", "ones", "", "flop"))  # fmt: skip
    found = []
    for role, column, ones, count, field in fields:
        numbers = [float(getattr(row, field)) for row in rows]
        found.append(Seen(role, column, ones, count, min(numbers), max(numbers), len(numbers)))
    return tuple(found)
