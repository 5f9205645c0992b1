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
from keel.choose.kinds import KINDS, best_of, cites, kind_of
from keel.choose.rank import Shortlist
from keel.choose.route import Route
from keel.choose.weights import Weighed
from keel.errors import Problem, Refusal, Refused, StudyError, nearest
from keel.plan import invest
from keel.plan.limits import LEAST_PARAMS, Most, most_params, served_tokens, training_of
from keel.plan.means import Means, means_of
from keel.plan.recipe import Choices
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
    Choices(study.overrides)  # a wrong [set] is told, also where no ladder is planned
    cases, held = weights.weigh(study.use_case), holdings.of_study(known, study, corpus)
    chosen = _category(known, study, category.choose(cases, held))
    means, fleet = _looked_up(folder, study, known, machine, as_of, chosen)
    surveyed = candidates.survey(known, cases, held, study.limits, chosen, training_of(study, means))
    listed = rank.shortlist(known, surveyed.candidates, cases, held, chosen.category)
    named = _named(known, study, surveyed, listed)
    listed = _first(listed, surveyed, named)
    most = most_params(known, study, cases, means)
    _possible(most, surveyed)
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
    problems = (*_unserved(chosen, cases), *_scratch(study, way), *_problems(study, held, means, fleet, sized),
                *invest.doubts(study, invested))  # fmt: skip
    return Decision(
        known, held, cases, chosen, surveyed, listed, base, way, ask, sized, means, cost, fresh, fleet, most,
        _binds(way, sized, surveyed, listed, cost, means), invested, (*_yours(study), *means.numbers, *sized.numbers, *cost.numbers()), problems,
    )  # fmt: skip


def _yours(study: Study) -> list[Number]:
    return [Number(name, str(study.overrides[name]), source="yours", yours=True)
            for name in ("route", "category") if name in study.overrides]  # fmt: skip


def _looked_up(
    folder: Path, study: Study, known: Catalogue, machine: Mapping[str, Any] | None, as_of: str, chosen: Chosen
) -> tuple[Means, Fleet | None]:
    """Everything that a study names, looked up; all that is not there is told at once."""
    wrong, means, fleet = _unknown_names(known, folder, study), None, None
    try:
        means = means_of(known, study, machine, as_of, masked=chosen.category == "encoder")
    except StudyError as error:
        wrong += error.problems
    try:
        fleet = deployed.trace(known, folder, study.limits.deployed) if study.limits.deployed else None
    except StudyError as error:
        wrong += error.problems
    if wrong or means is None:
        raise StudyError.all(wrong)
    return means, fleet


def _category(known: Catalogue, study: Study, chosen: Chosen) -> Chosen:
    """[set] category wins, then that of the base which [start] names; both are shown as yours."""
    base = model_of(known, study.start.start_from)
    named = KINDS.get(kind_of(base)) if base else None
    if "category" not in study.overrides and named is not None and named.category != chosen.category:
        return chosen._replace(category=named.category, tied=(), why=f"yours: [start] from = '{study.start.start_from}' is "
                               f"{named.category}; keel would choose {chosen.category}: {chosen.why}")  # fmt: skip
    yours = study.overrides.get("category")
    if yours is None or yours == chosen.category:
        return chosen
    if yours not in CATEGORIES:
        raise StudyError("'category' is wrong", why=f"found {yours!r}", fix=nearest(str(yours), CATEGORIES),
                         where="[set]")  # fmt: skip
    return chosen._replace(category=yours, why=f"yours ([set]); keel would choose {chosen.category}: {chosen.why}")


def _route(study: Study, way: Route) -> Route:
    yours = study.overrides.get("route")
    if yours is None or yours == way.value:
        return way
    if yours not in route.ROUTES:
        raise StudyError("'route' is wrong", why=f"found {yours!r}", fix=nearest(str(yours), route.ROUTES),
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


def _unknown_names(known: Catalogue, folder: Path, study: Study) -> list[Problem]:
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


def _first(listed: Shortlist, surveyed: Survey, named: Model | None) -> Shortlist:
    """The base that the user names stands first."""
    if named is None:
        return listed
    others = tuple(item for item in listed.ranked if item.candidate.model.id != named.id)
    own = next((item for item in surveyed.candidates if item.model.id == named.id), None)
    if own is None:
        return listed
    return listed._replace(ranked=(rank.Ranked(own, None, f"yours ([start] from); {rank.plainly(own)}"), *others[: rank.LONGEST - 1]),
                           dropped=tuple(item for item in listed.dropped if item.id != named.id))  # fmt: skip


def _possible(most: Most | None, surveyed: Survey) -> None:
    """Limits that no model meets, released or new.

    Raises:
        Refused: with the smallest relaxation.
    """
    if most is None or most.params >= LEAST_PARAMS or surveyed.candidates:
        return
    late = [item.why for item in surveyed.dropped if item.fact == most.why]
    raise Refused(Refusal(
        f"no model meets the limit of {most.why}", most.note + (f"; {late[0]}" if late else ""),
        most.relax or f"raise the limit of {most.why}",
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


def _unserved(chosen: Chosen, cases: tuple[Weighed, ...]) -> list[Problem]:
    """Use cases that the main category cannot serve: told, and left to the user."""
    found = []
    for item in cases:
        task = item.case.task
        if partly := category.PARTLY.get((chosen.category, task)):
            found.append(Problem(f"'{item.case.name}' ({task}) is served in part by the category {chosen.category}",
                                 f"{partly.why} ({partly.source})", "say which is meant by its metric and eval file",
                                 "[[use_case]]"))  # fmt: skip
        if best_of(chosen.category, task) > 0:
            continue
        why = "; ".join(dict.fromkeys(f"{cite.why} ({cite.source})" for _, cite in cites(chosen.category, task)))
        others = [name for name in CATEGORIES if best_of(name, task) > 0]
        found.append(Problem(
            f"'{item.case.name}' ({task}) is precluded by the category {chosen.category}",
            why or "no source says that it serves",
            f"serve it by another model ({' or '.join(others) or 'none is known'}), or weigh it higher", "[[use_case]]",
        ))  # fmt: skip
    return found


def _scratch(study: Study, way: Route) -> list[Problem]:
    """Fresh weights by the user's wish, where keel would not."""
    if study.start.start_from != "scratch" or "keel would scratch" in way.why:
        return []
    return [Problem("fresh weights from scratch are yours", way.why, 'from = "auto" leaves it to the facts', "[start]")]


def binds_why(made: Decision) -> str:
    """What binds, in words."""
    left, budget = made.band.unspent_flop, made.means.flop
    if made.binds == "data" and left and budget is not None:
        return (
            f"data binds, not money: from scratch {100 * left / budget.value:.0f} % of the compute would stay unspent"
        )
    return {"data": "data binds", "nothing": "nothing binds"}.get(made.binds, f"{made.binds} binds")


def _problems(study: Study, held: Holdings, means: Means, fleet: Fleet | None, sized: Band) -> tuple[Problem, ...]:
    """What is asked of the user, and what stands in doubt."""
    found = list(means.problems)
    if not study.use_case:
        found.append(Problem("no use case is said", "route, base and loss hang on what the model is for",
                             "add [[use_case]] with name and task", "study.toml"))  # fmt: skip
    if held.stated:
        found.append(
            Problem(
                "the data are stated, not measured",
                "every number that rests on them inherits it",
                "bring the files and run `keel look`: it replaces the statement",
                "[data] stated",
            )
        )
    guessed = [row for row in fleet.rows if row.base is None or row.why.startswith("ambiguous")] if fleet else []
    if guessed:
        found.append(Problem(
            f"deployed models traced by guess or not at all: {', '.join(row.name for row in guessed)}",
            "; ".join(f"{row.name} -> {row.base.id if row.base else 'unknown'}: {row.why}" for row in guessed),
            "write a CSV with columns name, base", "[limits] deployed",
        ))  # fmt: skip
    return (*found, *sized.problems)


def first_fact(dropped: tuple[Dropped, ...], name: str) -> str:
    """Why a model was dropped; "" where it was not."""
    return next((item.why for item in dropped if item.id == name), "")
