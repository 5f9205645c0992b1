"""What the user decides: where to start from, the route, the category; and whether that contradicts the limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from keel.answer import Number
from keel.catalog.store import Catalogue
from keel.choose import category, rank, route
from keel.choose.base import model_of
from keel.choose.candidates import Survey
from keel.choose.category import Chosen
from keel.choose.holdings import Holdings
from keel.choose.kind import CATEGORIES, Category
from keel.choose.kinds import KINDS, kind_of
from keel.choose.rank import Shortlist
from keel.choose.route import Route
from keel.choose.weights import Weighed
from keel.errors import Problem, Refusal, Refused, StudyError, nearest
from keel.model.shapes import FEATURES
from keel.plan.basis import Basis, of_folder, of_model
from keel.study import Study

AUTO = ("auto", "scratch")
# Facts that a wish cannot overrule, and what would have to be relaxed.
RELAX = {
    "licence": 'relax [limits] licence (to "conditional" or "any")', "latency": "raise latency_ms to its low end",
    "memory": "raise the limit of memory, or take a larger chip or more nodes",
}  # fmt: skip


def unknown_names(known: Catalogue, folder: Path, study: Study) -> list[Problem]:
    """Accelerators that use cases are served on, and the model to start from."""
    name, wrong = study.start.start_from, list[Problem]()
    if name not in AUTO and model_of(known, name) is None and not (folder / Path(name).expanduser()).exists():
        wrong.append(Problem(f"[start] from = '{name}' is no model of the catalogue and no folder here",
                             "nothing is downloaded unasked", nearest(name, known.models), "[start] from"))  # fmt: skip
    wrong += [
        Problem(f"unknown accelerator '{case.serve.accelerator}'", "the catalogue has no such chip",
                nearest(case.serve.accelerator, known.accelerators), f"[[use_case]] {case.name}: serve")
        for case in study.use_case
        if case.serve and case.serve.accelerator and case.serve.accelerator not in known.accelerators
    ]  # fmt: skip
    return wrong


def chosen_category(
    known: Catalogue, study: Study, released: Mapping[str, Any] | None, cases: tuple[Weighed, ...], held: Holdings
) -> Chosen:
    """[set] category wins, then that of the base which [start] names; both are shown as yours.

    Raises:
        StudyError: no such category.
    """
    found, yours = category.choose(cases, held), study.overrides.get("category")
    if yours is not None and yours not in CATEGORIES:
        raise StudyError("'category' is wrong", why=f"found {yours!r}", fix=nearest(str(yours), CATEGORIES),
                         where="[set]")  # fmt: skip
    name = study.start.start_from
    wish, whose = (yours, "[set]") if yours else (_category_of(known, name, released), f"[start] from = '{name}'")
    if wish is None or wish == found.category:
        return found
    return category.forced(found, cast(Category, wish), whose, cases, held)


def _category_of(known: Catalogue, name: str, released: Mapping[str, Any] | None) -> str | None:
    """The category of the base that is named; None where none is, or where it is not known."""
    model = model_of(known, name)
    if model is not None:
        kind = KINDS.get(kind_of(model))
        return kind.category if kind else None
    return FEATURES[released["family"]].kind if released is not None and released["family"] in FEATURES else None


def chosen_route(study: Study, way: Route) -> Route:
    """[set] route wins, with what keel would do.

    Raises:
        StudyError: no such route.
    """
    yours = study.overrides.get("route")
    if yours is None or yours == way.value:
        return way
    if yours not in route.ORDER:
        raise StudyError("'route' is wrong", why=f"found {yours!r}", fix=nearest(str(yours), route.ORDER),
                         where="[set]")  # fmt: skip
    return route.forced(way, cast(route.Value, yours))


def base_of(
    known: Catalogue, study: Study, released: Mapping[str, Any] | None, surveyed: Survey, listed: Shortlist
) -> tuple[Basis | None, Shortlist]:
    """The base, and the shortlist with one that the user names at its head.

    Raises:
        Refused: the named model does not meet the limits.
    """
    name = study.start.start_from
    if name in AUTO:
        return (of_model(listed.ranked[0].candidate.model) if listed.ranked else None), listed
    model = model_of(known, name)
    if model is None:
        return of_folder(name, released), listed
    fact = next((item for item in surveyed.dropped if item.id == model.id and item.fact in RELAX), None)
    if fact is not None:
        other = f", or start from another: {listed.ranked[0].candidate.model.id} meets them" if listed.ranked else ""
        raise Refused(Refusal(f"[start] from = '{name}' contradicts the limits", fact.why,
                              f"{RELAX[fact.fact]}{other}"))  # fmt: skip
    return of_model(model), _first(listed, surveyed, model.id)


def _first(listed: Shortlist, surveyed: Survey, name: str) -> Shortlist:
    """The base that the user names stands first, where it is a candidate at all."""
    own = next((item for item in surveyed.candidates if item.model.id == name), None)
    if own is None:
        return listed
    seen = next((item for item in listed.ranked if item.candidate.model.id == name), rank.Ranked(own, None, ""))
    first = seen._replace(why=f"yours ([start] from); {seen.why or rank.plainly(own)}")
    others = tuple(item for item in listed.ranked if item.candidate.model.id != name)
    kept, beyond = others[: rank.LONGEST - 1], others[rank.LONGEST - 1 :]
    left = (*(item for item in listed.dropped if item.id != name),
            *(rank.beyond(item, rank.LONGEST + 1, len(others) + 1) for item in beyond))  # fmt: skip
    return listed._replace(ranked=(first, *kept), dropped=left, grown=rank.grown(surveyed.candidates, own))


def against(study: Study, surveyed: Survey, base: Basis | None) -> list[Problem]:
    """What speaks against a base that the user names and no limit forbids."""
    if base is None or study.start.start_from in AUTO:
        return []
    where, name = "[start] from", base.name
    if base.model is None:
        return [Problem(f"what '{name}' may be used for is not known",
                        "it is a folder of yours: its licence and languages are in no row of the catalogue",
                        "add it to catalog/models.csv", where)]  # fmt: skip
    return [Problem(f"'{name}' is no candidate by the facts, and is kept as yours", item.why,
                    'from = "auto" leaves it to the facts', where)
            for item in surveyed.dropped if item.id == name]  # fmt: skip


def scratch(study: Study, way: Route) -> list[Problem]:
    """Fresh weights by the user's wish, where keel would not."""
    if study.start.start_from != "scratch" or way.value != "scratch" or way.keel == "scratch":
        return []
    return [Problem("fresh weights from scratch are yours", way.why, 'from = "auto" leaves it to the facts', "[start]")]


def numbers(study: Study) -> list[Number]:
    """Settings of the decision that are yours."""
    return [Number(name, str(study.overrides[name]), source="yours", yours=True)
            for name in ("route", "category") if name in study.overrides]  # fmt: skip
