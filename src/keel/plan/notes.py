"""What a study asks for that this plan does not weigh: said, never dropped in silence."""

from __future__ import annotations

from keel.errors import Problem
from keel.objective.fact import Facts
from keel.objective.facts import FACTS
from keel.study import Study


def notes(study: Study, objective: str, facts: Facts) -> list[Problem]:
    """Use cases that the loss precludes or does not unlock, and fields that are recorded but not weighed."""
    found = []
    for case in study.use_case:
        if case.task in facts.precludes:
            cite = facts.precludes[case.task]
            what, why = (
                f"'{case.name}' ({case.task}) is precluded by the loss {objective}",
                f"{cite.why} ({cite.source})",
            )
            found.append(Problem(what, why, "the ladder still measures what text gives", "[[use_case]]"))
        elif case.task not in facts.unlocks:
            what = f"nothing is known of {objective} for '{case.name}' ({case.task})"
            found.append(Problem(what, "no source says it serves", "judge it before you pay", "[[use_case]]"))
    return found + _other_data(study) + _not_weighed(study)


def _other_data(study: Study) -> list[Problem]:
    """Losses of plain text that would serve a use case, where the data is pairs: a side alone is not read as a text."""
    tasks = {case.task for case in study.use_case}
    left = [name for name, facts in FACTS.items() if facts.needs == {"text"} and tasks & facts.unlocks.keys()]
    if study.data.kind == "text" or not left:
        return []
    return [Problem(f"not weighed, for they read plain text: {', '.join(left)}",
                    f"[data] is {study.data.kind}, and neither side alone is read as a text",
                    "for these, make a study of the same files with [data] train alone", "[data]")]  # fmt: skip


def _not_weighed(study: Study) -> list[Problem]:
    given = {
        "budget.compute_usd": study.budget.compute_usd, "budget.people_days": study.budget.people_days,
        "budget.deadline": study.budget.deadline, "budget.value_usd": study.budget.value_usd,
        "budget.compute": study.budget.compute, "limits.hardware": study.limits.hardware,
        "limits.deployed": study.limits.deployed, "data.stated": study.data.stated,
        "use_case.metric": [case.name for case in study.use_case if case.metric is not None and not case.eval],
        "use_case.accept": [case.name for case in study.use_case if case.accept is not None and not case.eval],
        "use_case.serve": [case.serve for case in study.use_case if case.serve is not None],
    }  # fmt: skip
    names = [name for name, value in given.items() if value]
    if not names:
        return []
    why = "prices, deadlines and released models are not in it yet"
    fix = "they are kept in the study; for time, set budget.time_s"
    return [Problem(f"not weighed by this plan: {', '.join(names)}", why, fix, "study.toml")]
