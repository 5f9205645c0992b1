"""What keeps the answer from being better: a licence, latency, memory, the data, the money, or nothing."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from keel.catalog.store import Catalogue
from keel.choose.candidates import Survey, Wanted, survey
from keel.choose.holdings import Holdings
from keel.choose.rank import Shortlist
from keel.choose.route import Route
from keel.plan.means import Means
from keel.plan.spending import Spending
from keel.size.band import Band

NOTHING_LEFT = "no released model is left"


class Lost(NamedTuple):
    """Why no released model is left: what binds ("" where it is no limit), and in words; both "" where one is left."""

    binds: str = ""
    why: str = ""


def lost_of(known: Catalogue, wanted: Wanted, surveyed: Survey, listed: Shortlist) -> Lost:
    """What leaves no released model: the licence where models would serve without it, else the last hurdle."""
    if listed.ranked:
        return Lost()
    if surveyed.candidates:
        return Lost("", f"{NOTHING_LEFT}: every one misses what you accept, by your own recorded scores")
    free = wanted._replace(limits=wanted.limits.model_copy(update={"licence": "any"}))
    if number := len(survey(known, free).candidates):
        return Lost("licence", f"{NOTHING_LEFT}: the limit '{wanted.limits.licence}' of licences drops all {number} "
                               "that would serve")  # fmt: skip
    facts = Counter(item.fact for item in surveyed.dropped)
    for fact in ("latency", "memory"):
        if facts[fact]:
            return Lost(fact, f"{NOTHING_LEFT}: {fact} drops all {facts[fact]} that would serve")
    if facts["language"]:
        return Lost("", f"{NOTHING_LEFT}: none knows all of {', '.join(wanted.held.languages)}")
    return Lost("", f"{NOTHING_LEFT}: none of the category {wanted.chosen.category} serves a use case")


def binds(way: Route, sized: Band, lost: Lost, cost: Spending) -> str:
    """Limits first, then what the route is short of."""
    if lost.binds:
        return lost.binds
    if sized.binds in ("latency", "memory") or way.value == "scratch":
        return sized.binds
    if way.value == "use":
        return "nothing"
    return "compute" if cost.share < 1 else "data"


def said(binding: str, sized: Band, means: Means, held: Holdings, lost: Lost) -> str:
    """What binds, in words."""
    left, flop = sized.unspent_flop, means.flop
    if binding == lost.binds and lost.why:
        return f"{binding} binds: {lost.why}"
    if binding == "nothing":
        return "nothing binds"
    if binding != "data":
        return f"{binding} binds"
    if flop is None:
        return "data binds, as far as is known: the budget in FLOP is unknown"
    if left and sized.binds == "data":
        return f"data binds, not money: from scratch {100 * left / flop.value:.3g} % of the compute would stay unspent"
    return "data binds"
