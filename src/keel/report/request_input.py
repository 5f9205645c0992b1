"""A plan's decision as the request sees it: what is asked and what it buys. None is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keel.report.words import clean, number
from keel.study import Study

Tree = Mapping[str, Any]


class Other(NamedTuple):
    """What a `share` of the allowed sum buys of fresh weights, by the plan: `params` that see `tokens`."""

    usd: float
    share: float
    params: float | None
    tokens: float | None


class Served(NamedTuple):
    """A use case: how well the base serves it (yes, weak, no), why, and what it is worth a year."""

    name: str
    task: str
    weight: float
    serves: str
    why: str
    value_usd: float | None


class Request(NamedTuple):
    """Everything on the page. Sums are USD; `tokens` are those seen in training, with both ends of the plan.

    `usd_low`, `usd_high`: the ask, the plan's cost with its reserves; `kept`: their share of it. `allowed_usd`: what
    the study would spend at most; `share`: the most of the yearly value that may be spent.
    """

    as_of: str
    route: str
    route_why: str
    category: str
    base: Tree | None
    usd_low: float | None
    usd_high: float | None
    kept: float
    hours: float | None
    hours_low: float | None
    hours_high: float | None
    flop: float | None
    nodes: float
    node: str
    how: str
    tokens: float | None
    tokens_low: float | None
    tokens_high: float | None
    allowed_usd: float | None
    people_days: float | None
    deadline: str
    value_usd: float | None
    share: float
    binds: str
    params: float | None
    params_low: float | None
    params_high: float | None
    low_set_by: str
    high_set_by: str
    unit: str
    unique: float | None
    unique_high: float | None
    stated: bool
    served: tuple[Served, ...]
    others: tuple[Other, ...]
    risks: tuple[str, ...]
    prices: tuple[Tree, ...]
    reserves: tuple[Tree, ...]


def request_of(plan: Tree, study: Study) -> Request:
    """From plan.json and its study; `plan["decision"]` is what `plan.answer.decision_json` writes."""
    made = _tree(plan.get("decision"))
    cost, size, data = (_tree(made.get(name)) for name in ("cost", "size", "data"))
    route, budget = _tree(made.get("route")), study.budget
    reserves = tuple(_trees(_tree(made.get("budget")).get("reserves")))
    kept = sum(number(item, "share") or 0.0 for item in reserves)
    return Request(
        as_of=clean(plan.get("as_of") or ""), route=clean(route.get("value") or ""),
        route_why=clean(route.get("why") or ""), category=_value(made.get("category")),
        base=_tree(made.get("base")) or None, usd_low=_whole(number(cost, "usd_low"), kept, budget.compute_usd),
        usd_high=_whole(number(cost, "usd_high"), kept, budget.compute_usd), kept=kept, hours=number(cost, "hours"),
        hours_low=number(cost, "hours_low"), hours_high=number(cost, "hours_high"),
        flop=number(cost, "flop"), nodes=number(cost, "nodes") or 1.0, node=clean(cost.get("hardware") or ""),
        how=clean(cost.get("how") or ""),
        tokens=number(cost, "tokens"), tokens_low=number(cost, "tokens_low"), tokens_high=number(cost, "tokens_high"),
        allowed_usd=budget.compute_usd, people_days=budget.people_days, deadline=clean(budget.deadline or ""),
        value_usd=_worth(study), share=budget.share_of_value, binds=clean(made.get("binds") or ""),
        params=number(size, "params"), params_low=number(size, "params_low"), params_high=number(size, "params_high"),
        low_set_by=clean(size.get("low_set_by") or ""), high_set_by=clean(size.get("high_set_by") or ""),
        unit=clean(data.get("unit") or "tokens"), unique=number(data, "unique"), unique_high=number(data, "high"),
        stated=bool(data.get("stated")),
        served=_served(made, study), others=tuple(_other(item) for item in _trees(made.get("smaller"))),
        risks=tuple(_risks(plan, made)), prices=tuple(_named(plan, "price.")),
        reserves=reserves,
    )  # fmt: skip


def _whole(usd: float | None, kept: float, allowed: float | None) -> float | None:
    """ask = cost / (1 - reserves), as the plan turns money into FLOP; what the budget ends is not above the budget."""
    if usd is None:
        return None
    whole = usd / (1.0 - kept)
    return whole if allowed is None or usd > allowed else min(whole, allowed)


def _tree(found: Any) -> Tree:
    return found if isinstance(found, Mapping) else {}


def _trees(found: Any) -> list[Tree]:
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, Sequence) else []


def _value(found: Any) -> str:
    return clean(_tree(found).get("value") or "") if isinstance(found, Mapping) else clean(found or "")


def _named(plan: Tree, lead: str) -> list[Tree]:
    return [item for item in _trees(plan.get("numbers")) if str(item.get("name") or "").startswith(lead)]


def _worth(study: Study) -> float | None:
    """USD a year: the budget's own, else what the use cases say together."""
    said = [use.value_usd for use in study.use_case if use.value_usd is not None]
    return study.budget.value_usd if study.budget.value_usd is not None else sum(said) if said else None


def _served(made: Tree, study: Study) -> tuple[Served, ...]:
    """By the base that is asked for, else by the first of the shortlist."""
    listed = _trees(made.get("shortlist"))
    wanted = _tree(made.get("base")).get("id")
    first = next((item for item in listed if item.get("id") == wanted), listed[0] if listed else {})
    cells = {str(cell.get("use_case")): cell for cell in _trees(first.get("matrix"))}
    return tuple(
        Served(clean(use.name), use.task, use.weight, clean(cells.get(use.name, {}).get("serves") or "unknown"),
               clean(cells.get(use.name, {}).get("why") or ""), use.value_usd)
        for use in study.use_case
    )  # fmt: skip


def _other(item: Tree) -> Other:
    return Other(number(item, "usd") or 0.0, number(item, "share") or 0.0, number(item, "params"),
                 number(item, "tokens"))  # fmt: skip


def _risks(plan: Tree, made: Tree) -> list[str]:
    """What the plan itself doubts: its problems, and the laws that answer outside their range."""
    found = [": ".join(clean(item[key]) for key in ("what", "why") if item.get(key))
             for item in _trees(made.get("problems") or plan.get("problems"))]  # fmt: skip
    if _value(made.get("route")) != "scratch":
        return found
    laws = [law for law in _trees(_tree(made.get("size")).get("laws")) if law.get("outside") and law.get("in_band")]
    far = ", ".join(f"{clean(law.get('law'))} ({clean(law['outside'])})" for law in laws)
    return found + ([f"the size rests on laws outside their range: {far}"] if far else [])
