"""The two investments, people's time and compute, against the deadline and the value: nodes, share, what is short."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

from keel.errors import Problem, Refusal, Refused
from keel.plan.means import Means
from keel.plan.spending import Spending
from keel.study import Study
from keel.units import parse_duration_s, show_duration, show_usd

DAY_S = 86400.0
# Of the time until a deadline, the part that training may take: the rest is for data, trials and what goes wrong.
TRAINING_SHARE = 0.8
MOST_DEVICES = 16_384
MOST_SOURCE = "no published run used more: Llama 3.1 405B, arXiv:2407.21783"
TRAINING_SOURCE = "convention: a fifth of the time until the deadline is for trials, evaluation and what goes wrong"


def time_left_s(study: Study, as_of: str) -> float | None:
    """Seconds until the deadline, from the day that the plan is made for; None without one.

    Raises:
        Refused: it is past.
    """
    said = study.budget.deadline
    if said is None:
        return None
    try:
        left = (date.fromisoformat(said) - date.fromisoformat(as_of)).days * DAY_S
    except ValueError:
        left = parse_duration_s(said)
    if left <= 0:
        raise Refused(Refusal("the deadline is past", f"[budget] deadline = {said}, and the plan is made for {as_of}",
                              "set one that lies ahead"))  # fmt: skip
    return left


def invest(study: Study, means: Means, cost: Spending, as_of: str) -> Mapping[str, Any]:
    """Nodes = hours on one node / (four fifths of the time left); money as a share of what the gain is worth a year.

    Raises:
        Refused: the deadline is past, or needs more nodes than may be had; with the smallest relaxation.
    """
    left = time_left_s(study, as_of)
    nodes, value = _nodes(study, cost, left), value_of(study)
    spent = cost.usd.value if cost.usd else None
    return {
        "why": _said(study, cost, value), "people_days": study.budget.people_days, "compute_usd": spent,
        "compute_usd_low": cost.usd.low if cost.usd else None, "compute_usd_high": cost.usd.high if cost.usd else None,
        "budget_usd": means.usd, "value_usd": value,
        "share_of_value": spent / value if spent is not None and value else None,
        "share_allowed": study.budget.share_of_value, "time_left_s": left, "training_share": TRAINING_SHARE,
        "nodes": nodes, "hours_on_them": cost.hours.value / nodes if cost.hours and nodes else None,
        "runs_a_week": _runs(cost, nodes),
    }  # fmt: skip


def value_of(study: Study) -> float | None:
    """USD a year that the gain is worth: as the budget says, else the use cases together; None: not said."""
    said = [case.value_usd for case in study.use_case if case.value_usd is not None]
    return study.budget.value_usd if study.budget.value_usd is not None else sum(said) if said else None


def _said(study: Study, cost: Spending, value: float | None) -> str:
    """Both investments in a sentence."""
    days = study.budget.people_days
    people = f"{days:g} person-days" if days is not None else "people's time is not said ([budget] people_days)"
    usd = cost.usd
    spread = "" if usd is None or usd.low == usd.high else f" to {show_usd(usd.high)}"
    money = f"compute {show_usd(usd.low)}{spread}" if usd is not None else "compute without a price"
    worth = f"; the gain is worth {show_usd(value)} a year" if value is not None else ""
    return f"two investments: {people} and {money}{worth}"


def _nodes(study: Study, cost: Spending, left_s: float | None) -> int | None:
    """Nodes that the deadline asks for; one without a deadline; None where hours are unknown or none are needed."""
    if cost.hours is None or not cost.hours.value:
        return None
    if left_s is None:
        return 1
    hours = cost.hours.value
    nodes = max(1, math.ceil(hours / (TRAINING_SHARE * left_s / 3600)))
    most, where = study.limits.nodes, "[limits] nodes"
    if most is None:
        most, where = max(1, MOST_DEVICES // (cost.devices or 1)), MOST_SOURCE
    if nodes > most:
        need_s = hours / most / TRAINING_SHARE * 3600
        raise Refused(Refusal(
            f"the deadline is too short: training takes {show_duration(3600 * hours)} on one {cost.node}",
            f"{most} nodes ({where}) train for {show_duration(3600 * hours / most)}, and of {show_duration(left_s)} "
            f"{100 * TRAINING_SHARE:.0f} % may be spent so ({TRAINING_SOURCE})",
            f"the smallest relaxation: a deadline of {math.ceil(10 * need_s / DAY_S) / 10:g} days, or {nodes} nodes",
        ))  # fmt: skip
    return nodes


def _runs(cost: Spending, nodes: int | None) -> float | None:
    """How often such a run fits in a week on those nodes."""
    if cost.hours is None or not cost.hours.value or nodes is None:
        return None
    return 7 * 24 * nodes / cost.hours.value


def doubts(found: Mapping[str, Any], cost: Spending) -> list[Problem]:
    """A budget that ends the route, or is beyond its share of the value; a deadline that cannot be weighed."""
    problems = []
    if cost.share < 1:
        problems.append(Problem(f"the budget pays for {100 * cost.share:.3g} % of the route", cost.how,
                                "take part of the data, or raise the budget", "[budget]"))  # fmt: skip
    if found["time_left_s"] is not None and cost.hours is None:
        problems.append(Problem("the deadline is not weighed", "how long it takes is unknown: no hardware, size or "
                                "amount of data is known", 'name hardware: [limits] hardware = ["..."]',
                                "[budget] deadline"))  # fmt: skip
    value, usd = found["value_usd"], found["budget_usd"]
    if value is not None and usd is not None and usd > found["share_allowed"] * value:
        share = f"{100 * usd / value:.3g} % of a year's value" if value else "more than a year's value"
        problems.append(Problem(
            f"the budget is {share} ({show_usd(value)})",
            f"at most {100 * found['share_allowed']:g} % was to be spent (budget.share_of_value)",
            f"ask for {show_usd(found['share_allowed'] * value)}, or raise that share", "[budget]",
        ))  # fmt: skip
    return problems
