"""The decision: route, category, base, size, cost and what binds, joined from the rooms that know each part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keel.answer import Number
from keel.catalog import deployed
from keel.catalog.deployed import Fleet
from keel.catalog.store import Catalogue
from keel.choose import category, holdings, rank, route, weights
from keel.choose.candidates import Survey, Wanted, survey
from keel.choose.category import Chosen
from keel.choose.holdings import Holdings
from keel.choose.rank import Shortlist
from keel.choose.reasons import Fresh, Known
from keel.choose.route import Route
from keel.choose.weights import Weighed
from keel.errors import Problem, StudyError
from keel.plan import binding, doubts, invest, limits, wishes
from keel.plan.basis import Basis
from keel.plan.limits import Most
from keel.plan.means import Means, means_of
from keel.plan.recipe import Choices
from keel.plan.spending import Spending, spend, unit_tokens
from keel.size.band import Ask, Band, band
from keel.study import Study

Tree = Mapping[str, Any]


class Evidence(NamedTuple):
    """What was measured: corpus.json, machine.json and base.json; None where it is not there. `rows`: see Holdings."""

    corpus: Tree | None = None
    machine: Tree | None = None
    released: Tree | None = None
    rows: Mapping[str, int | None] = {}


class Decision(NamedTuple):
    """All that was decided, with what it was decided from. `fresh`: what weights from scratch would cost."""

    known: Catalogue
    held: Holdings
    cases: tuple[Weighed, ...]
    chosen: Chosen
    surveyed: Survey
    listed: Shortlist
    base: Basis | None
    route: Route
    ask: Ask
    band: Band
    means: Means
    cost: Spending
    fresh: Spending
    fleet: Fleet | None
    binds: str
    binds_why: str
    invested: Tree
    numbers: tuple[Number, ...]
    problems: tuple[Problem, ...]


def decide(folder: Path, study: Study, known: Catalogue, seen: Evidence, as_of: str) -> Decision:
    """Facts in, decision out.

    Raises:
        StudyError: unknown hardware, accelerators or models; a wrong [set].
        Refused: limits that nothing meets, with the smallest relaxation.
    """
    Choices(study.overrides)  # a wrong [set] is told, also where no ladder is planned
    cases, held = weights.weigh(study.use_case), holdings.of_study(known, study, seen.corpus, seen.rows)
    chosen = wishes.chosen_category(known, study, seen.released, cases, held)
    means, fleet = _looked_up(folder, study, known, seen.machine, as_of, chosen)
    wanted = Wanted(cases, held, study.limits, chosen, limits.training_of(study, means))
    surveyed = survey(known, wanted)
    most = limits.most_params(known, study, cases, means)
    limits.possible(most, surveyed)
    listed = rank.shortlist(known, surveyed.candidates, cases, held, chosen.category)
    base, listed = wishes.base_of(known, study, seen.released, surveyed, listed)
    ask = _ask(study, chosen, held, means, listed, most, fleet)
    sized, lost = band(ask), binding.lost_of(known, wanted, surveyed, listed)
    fresh = Fresh(means.flop.value if means.flop else None, sized.params, sized.binds)
    facts = Known(listed, cases, held, chosen.category, fresh, base.name if base else "", lost.why)
    way = wishes.chosen_route(study, route.decide(facts, study.start.start_from))
    cost = spend(way.value, base, held, sized, means, chosen.category)
    binds = binding.binds(way, sized, lost, cost)
    invested = invest.invest(study, means, cost, as_of)
    return Decision(
        known, held, cases, chosen, surveyed, listed, None if way.value == "scratch" else base, way, ask, sized, means,
        cost, spend("scratch", None, held, sized, means, chosen.category), fleet, binds,
        binding.said(binds, sized, means, held, lost), invested,
        (*wishes.numbers(study), *means.numbers, *limits.served_number(study, held), *sized.numbers, *cost.numbers()),
        (*doubts.unserved(chosen, cases), *wishes.scratch(study, way), *wishes.against(study, surveyed, base),
         *means.problems, *doubts.data(study, held, chosen), *doubts.records(listed), *doubts.traced(fleet),
         *limits.not_weighed(known, study, held), *sized.problems, *invest.doubts(invested, cost)),
    )  # fmt: skip


def _looked_up(
    folder: Path, study: Study, known: Catalogue, machine: Tree | None, as_of: str, chosen: Chosen
) -> tuple[Means, Fleet | None]:
    """Everything that a study names, looked up; all that is not there is told at once."""
    wrong, means, fleet = wishes.unknown_names(known, folder, study), None, None
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


def _ask(
    study: Study, chosen: Chosen, held: Holdings, means: Means, listed: Shortlist, most: Most | None,
    fleet: Fleet | None,
) -> Ask:  # fmt: skip
    """The question of size; data that cannot train the category are none of it."""
    fits = category.trains(held, chosen.category)
    sized = [item.candidate.model for item in listed.ranked if item.candidate.model.params]
    least = min(sized, key=lambda model: model.params or 0.0, default=None)
    return Ask(
        category=chosen.category, flop=means.flop, unique=held.unique if fits else None,
        unit=held.unit if fits else category.UNIT[chosen.category], stated=held.stated,
        smallest_params=least.params if least else None, smallest_id=least.id if least else "",
        most_params=most.params if most else None, most_why=most.why if most else "",
        most_note=most.note if most else "",
        serving_tokens=limits.served_tokens(study, held), deployed_params=fleet.params if fleet else None,
        unit_tokens=unit_tokens(held, chosen.category) if fits else None,
    )  # fmt: skip
