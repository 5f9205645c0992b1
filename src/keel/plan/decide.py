"""The decision: route, category, base, size, cost and what binds, joined from the rooms that know each part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keel.answer import Number
from keel.catalog import deployed
from keel.catalog.deployed import Fleet
from keel.catalog.rows import Model
from keel.catalog.store import Catalogue
from keel.choose import candidates, category, holdings, rank, route, weights
from keel.choose.base import model_of
from keel.choose.candidates import Dropped, Survey
from keel.choose.category import Chosen
from keel.choose.holdings import Holdings
from keel.choose.kind import CATEGORIES
from keel.choose.rank import Shortlist
from keel.choose.route import Route
from keel.choose.weights import Weighed
from keel.errors import Problem, Refusal, Refused, StudyError, nearest
from keel.plan import invest
from keel.plan.limits import Most, most_params, served_tokens
from keel.plan.means import Means, means_of
from keel.plan.spending import Spending, spend, unit_tokens
from keel.size.band import Ask, Band, band
from keel.study import Study

AUTO = ("auto", "scratch")


class Decision(NamedTuple):
    """All that was decided, with what it was decided from."""

    known: Catalogue
    held: Holdings
    cases: tuple[Weighed, ...]
    chosen: Chosen
    surveyed: Survey
    listed: Shortlist
    base: Model | None
    route: Route
    ask: Ask
    band: Band
    means: Means
    cost: Spending
    fresh: Spending
    fleet: Fleet | None
    most: Most | None
    binds: str
    invested: Mapping[str, Any]
    numbers: tuple[Number, ...]
    problems: tuple[Problem, ...]


def decide(
    folder: Path, study: Study, known: Catalogue, corpus: Mapping[str, Any] | None, machine: Mapping[str, Any] | None,
    as_of: str,
) -> Decision:  # fmt: skip
    """Facts in, decision out.

    Raises:
        StudyError: unknown hardware, accelerators or models.
        Refused: limits that nothing meets, with the smallest relaxation.
    """
    cases, held = weights.weigh(study.use_case), holdings.of_study(known, study, corpus)
    chosen = _category(study, category.choose(cases, held))
    _check_names(known, folder, study)
    means = means_of(known, study, machine, as_of, masked=chosen.category == "encoder")
    fleet = deployed.trace(known, folder, study.limits.deployed) if study.limits.deployed else None
    surveyed = candidates.survey(known, cases, held, study.limits, chosen)
    listed = rank.shortlist(known, surveyed.candidates, cases, held)
    named = _named(known, study, surveyed, listed)
    most = most_params(known, study, cases, means)
    base = named or (listed.ranked[0].candidate.model if listed.ranked else None)
    ask = _ask(chosen, held, means, listed, most, fleet, study)
    sized = band(ask)
    way = route.decide(listed, cases, held, route.Means(ask.flop.value if ask.flop else None, sized.params, sized.binds),
                       study.start.start_from)  # fmt: skip
    way = _route(study, way)
    if way.value in ("scratch", "collect") and named is None:
        base = None if way.value == "scratch" else base
    fresh = spend("scratch", None, held, sized, means)
    cost = spend(way.value, base, held, sized, means)
    invested = invest.invest(study, means, cost, as_of)
    problems = (*_problems(study, held, means, fleet, sized), *invest.doubts(study, invested))
    return Decision(
        known, held, cases, chosen, surveyed, listed, base, way, ask, sized, means, cost, fresh, fleet, most,
        _binds(way, sized, surveyed, listed, cost, means), invested, (*means.numbers, *sized.numbers), problems,
    )  # fmt: skip


def _category(study: Study, chosen: Chosen) -> Chosen:
    """[set] choose.category wins, and is shown as yours."""
    yours = study.overrides.get("choose.category")
    if yours is None or yours == chosen.category:
        return chosen
    if yours not in CATEGORIES:
        raise StudyError("'choose.category' is wrong", why=f"found {yours!r}", fix=nearest(str(yours), CATEGORIES),
                         where="[set]")  # fmt: skip
    return chosen._replace(category=yours, why=f"yours ([set]); keel would choose {chosen.category}: {chosen.why}")


def _route(study: Study, way: Route) -> Route:
    yours = study.overrides.get("choose.route")
    if yours is None or yours == way.value:
        return way
    if yours not in route.ROUTES:
        raise StudyError("'choose.route' is wrong", why=f"found {yours!r}", fix=nearest(str(yours), route.ROUTES),
                         where="[set]")  # fmt: skip
    return Route(yours, f"yours ([set]); keel would {way.value}: {way.why}", {**way.others, way.value: way.why})


def _ask(
    chosen: Chosen, held: Holdings, means: Means, listed: Shortlist, most: Most | None, fleet: Fleet | None,
    study: Study,
) -> Ask:  # fmt: skip
    sized = [item.candidate.model for item in listed.ranked if item.candidate.model.params]
    least = min(sized, key=lambda model: model.params or 0.0, default=None)
    return Ask(
        category=chosen.category, flop=means.flop, unique=held.unique, unit=held.unit, stated=held.stated,
        smallest_params=least.params if least else None, smallest_id=least.id if least else "",
        most_params=most.params if most else None, most_why=most.why if most else "", most_note=most.note if most else "",
        serving_tokens=served_tokens(study, held), deployed_params=fleet.params if fleet else None,
        unit_tokens=unit_tokens(held),
    )  # fmt: skip


def _check_names(known: Catalogue, folder: Path, study: Study) -> None:
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
    if wrong:
        raise StudyError.all(wrong)


def _named(known: Catalogue, study: Study, surveyed: Survey, listed: Shortlist) -> Model | None:
    """The model that [start] from names by id; limits that it does not meet contradict it."""
    name = study.start.start_from
    found = model_of(known, name)
    if name in AUTO or found is None:
        return None
    fact = next((item for item in surveyed.dropped if item.id == found.id and item.fact in HARD), None)
    if fact is None:
        return found
    first = listed.ranked[0].candidate.model.id if listed.ranked else "none"
    raise Refused(Refusal(
        f"[start] from = '{name}' contradicts the limits", fact.why,
        f"{RELAX[fact.fact]}, or start from another: {first} is the first that meets them",
    ))  # fmt: skip


HARD = ("licence", "latency", "memory")
RELAX = {
    "licence": 'relax [limits] licence (to "conditional" or "any")', "latency": "raise latency_ms to its low end",
    "memory": "raise the limit of memory, or serve it on a larger chip",
}  # fmt: skip


def _binds(way: Route, sized: Band, surveyed: Survey, listed: Shortlist, cost: Spending, means: Means) -> str:
    """What keeps the answer from being better."""
    facts = {item.fact for item in surveyed.dropped}
    if not listed.ranked and "licence" in facts:
        return "licence"
    if sized.binds in ("latency", "memory") or (not listed.ranked and facts & {"latency", "memory"}):
        return sized.binds if sized.binds in ("latency", "memory") else "latency" if "latency" in facts else "memory"
    if way.value == "scratch":
        return sized.binds
    if way.value == "use":
        return "nothing"
    if way.value == "collect":
        return "data"
    if cost.usd is not None and means.usd is not None and cost.usd.low > means.usd:
        return "compute"
    return "data"


def _problems(study: Study, held: Holdings, means: Means, fleet: Fleet | None, sized: Band) -> tuple[Problem, ...]:
    """What is asked of the user, and what stands in doubt."""
    found = list(means.problems)
    if not study.use_case:
        found.append(Problem("no use case is said", "route, base and loss hang on what the model is for",
                             "add [[use_case]] with name and task", "study.toml"))  # fmt: skip
    if means.usd is None and study.budget.compute is None:
        found.append(
            Problem(
                "no budget is said",
                "no size or date can be promised, and none is invented",
                "[budget] compute_usd = ...: until then sizes are those that the data support",
                "[budget]",
            )
        )
    if held.unique is None:
        found.append(Problem("how much data there is, is unknown", "nothing says tokens, bytes or documents",
                             "run `keel look`, or state it: [data] stated", "[data]"))  # fmt: skip
    if held.stated:
        found.append(
            Problem(
                "the data are stated, not measured",
                "every number that rests on them inherits it",
                "bring the files and run `keel look`: it replaces the statement",
                "[data] stated",
            )
        )
    unknown = [row.name for row in fleet.rows if row.base is None] if fleet else []
    if unknown:
        found.append(Problem(f"deployed models whose base is unknown: {', '.join(unknown)}", "no id or family matches",
                             "write a CSV with columns name, base", "[limits] deployed"))  # fmt: skip
    return (*found, *sized.problems)


def first_fact(dropped: tuple[Dropped, ...], name: str) -> str:
    """Why a model was dropped; "" where it was not."""
    return next((item.why for item in dropped if item.id == name), "")
