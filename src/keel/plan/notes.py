"""What a study asks for that this plan does not weigh: said, never dropped in silence."""

from __future__ import annotations

from collections.abc import Collection

from keel.errors import Problem
from keel.objective.fact import Facts
from keel.objective.facts import FACTS
from keel.study import Study


def notes(study: Study, loss: tuple[str, Facts] | None, recorded: Collection[str] = ()) -> list[Problem]:
    """Use cases that the ladder's loss precludes or does not unlock, and fields that are recorded but not weighed.

    `recorded`: use cases whose recorded scores the plan has weighed.
    """
    if loss is None:
        return _not_weighed(study, recorded)
    found, (objective, facts) = list[Problem](), loss
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
    return found + _other_data(study) + _not_weighed(study, recorded)


def _other_data(study: Study) -> list[Problem]:
    """Losses of plain text that would serve a use case, where the data is pairs: a side alone is not read as a text."""
    tasks = {case.task for case in study.use_case}
    left = [name for name, facts in FACTS.items() if facts.needs == {"text"} and tasks & facts.unlocks.keys()]
    if study.data.kind == "text" or not left:
        return []
    return [Problem(f"not weighed, for they read plain text: {', '.join(left)}",
                    f"[data] is {study.data.kind}, and neither side alone is read as a text",
                    "for these, make a study of the same files with [data] train alone", "[data]")]  # fmt: skip


def _not_weighed(study: Study, recorded: Collection[str]) -> list[Problem]:
    left = [case for case in study.use_case if not case.eval and case.name not in recorded]
    given = {
        "use_case.metric": [case.name for case in left if case.metric is not None],
        "use_case.accept": [case.name for case in left if case.accept is not None],
    }
    names = [name for name, value in given.items() if value]
    if not names:
        return []
    why = "a metric is weighed where there is an eval file to judge by"
    fix = 'name it: eval = "FILE"; a recorded score may stand in catalog/model_results.csv'
    return [Problem(f"not weighed by this plan: {', '.join(names)}", why, fix, "study.toml")]
