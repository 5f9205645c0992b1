"""Which runs of a plan are carried out: the ladder, its arms with their baseline, or one by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.errors import Problem, StudyError, nearest

Item = dict[str, Any]


def chosen(plan: Mapping[str, Any], skip: tuple[str, ...], only: str | None, arms: bool = False) -> list[Item]:
    """The ladder; with `arms` the arms and the branch that they are held against; with `only` one run and its trunk.

    Raises:
        StudyError: a run that the plan does not name; arms where it has none.

    Example:
        >>> ladder = [{"id": "a", "trunk": None}, {"id": "b", "trunk": "a"}, {"id": "c", "trunk": "a"}]
        >>> plan = {"experiments": ladder, "arms": {"runs": [{"id": "d", "trunk": None, "baseline": "b"}]}}
        >>> [[item["id"] for item in chosen(plan, (), None, arms)] for arms in (False, True)]
        [['a', 'b', 'c'], ['a', 'b', 'd']]
    """
    ladder, beside = list(plan["experiments"]), list(plan.get("arms", {}).get("runs", ()))
    known = {item["id"]: item for item in [*ladder, *beside]}
    wrong = [name for name in (*skip, *((only,) if only else ())) if name not in known]
    if wrong:
        raise StudyError.all(Problem(f"no run is called '{name}'", "plan.json does not name it", nearest(name, known))
                             for name in wrong)  # fmt: skip
    if arms and not beside:
        raise StudyError("the plan has no arms", why="no other loss serves a use case, and no base is named",
                         fix="write [[use_case]] or [start] from, then plan", where="plan.json")  # fmt: skip
    bases = {item["baseline"] for item in beside}
    named = {only} if only else {item["id"] for item in beside} | bases if arms else {item["id"] for item in ladder}
    wanted = named | {known[name]["trunk"] for name in named}
    return [item for item in known.values()
            if item["id"] in wanted and item["id"] not in skip and item["trunk"] not in skip]  # fmt: skip
