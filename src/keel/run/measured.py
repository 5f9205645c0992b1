"""Bounded measures beside a judge's value, accuracy or recall: forecast with it, and held against what comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import Problem, Refusal, StudyError
from keel.laws.forecast import Forecast, forecast
from keel.laws.law import Target
from keel.laws.links import link_of
from keel.laws.read.runs import rows_of_runs
from keel.units import MEASURES, value_at

# In (0, 1), better when higher, and may come near 1: see laws/links.py, laws/priors.py and laws/seeds.py.
UNITS: Mapping[str, str] = {"accuracy": "share_right"}
RECALL = "recall"


class Beside(NamedTuple):
    """Forecasts by measure, and why some have none."""

    forecasts: dict[str, Forecast]
    problems: list[Problem]


def forecasts(runs: Path, seen: Iterable[str], judge: str, target: Target, level: float) -> Beside:
    """A forecast of each measure of a judge; where a run has reached 0 or 1 there is none, and it is said."""
    ids, found = list(seen), Beside({}, [])
    for name, place in MEASURES.get(judge, {}).items():
        try:
            rows = rows_of_runs(runs, ids, place).rows
        except StudyError as error:
            found.problems.append(error.problems[0]._replace(what=f"no forecast of {name}: {error.problems[0].what}"))
            continue
        unit = UNITS.get(name, RECALL)
        if ends := [row.id for row in rows if link_of(unit).valid(row.value)]:
            why = "a law of what lies between has no place for it"
            found.problems.append(Problem(f"no forecast of {name}: {ends[0]} has 0 or 1", why, "hold more out", "runs"))
            continue
        made = forecast(rows, target, level, unit=unit)
        if isinstance(made, Refusal):
            found.problems.append(Problem(f"no forecast of {name}: {made.what}", made.why, made.fix, "runs"))
        else:
            found.forecasts[name] = made
    return found


def values(result: Mapping[str, Any]) -> dict[str, float]:
    """The measures of a result, as far as they are there.

    Example:
        >>> values({"judge": "class_nats", "class_nats": 0.7, "accuracy": {"value": 0.75, "low": 0.7, "high": 0.8}})
        {'accuracy': 0.75}
    """
    places = MEASURES.get(str(result["judge"]), {})
    return {name: value_at(result, place) for name, place in places.items() if result.get(place[0])}
