"""What is asked of the user, and what stands in doubt: told as problems beside the answer."""

from __future__ import annotations

from keel.catalog.deployed import Fleet
from keel.choose import category
from keel.choose.category import Chosen
from keel.choose.holdings import STATED, Holdings
from keel.choose.kind import CATEGORIES
from keel.choose.kinds import best_of, cites
from keel.choose.rank import Shortlist
from keel.choose.weights import Weighed
from keel.errors import Problem
from keel.study import Study

USE_CASE = "[[use_case]]"


def unserved(chosen: Chosen, cases: tuple[Weighed, ...]) -> list[Problem]:
    """Use cases that the main category cannot serve, or serves in part: told, and left to the user."""
    found = []
    for item in cases:
        task, said = item.case.task, f"'{item.case.name}' ({item.case.task})"
        if partly := category.PARTLY.get((chosen.category, task)):
            found.append(Problem(f"{said} is served in part by the category {chosen.category}",
                                 f"{partly.why} ({partly.source})", "say which is meant by its metric and eval file",
                                 USE_CASE))  # fmt: skip
        if best_of(chosen.category, task) > 0:
            continue
        why = "; ".join(dict.fromkeys(f"{cite.why} ({cite.source})" for _, cite in cites(chosen.category, task)))
        others = [name for name in CATEGORIES if best_of(name, task) > 0]
        fix = f"serve it by another model ({' or '.join(others)}), or weigh it higher" if others else "leave it out"
        found.append(Problem(f"{said} is precluded by the category {chosen.category}",
                             why or "no source says that it serves", fix, USE_CASE))  # fmt: skip
    return found


def data(study: Study, held: Holdings, chosen: Chosen) -> list[Problem]:
    """What is not said of use cases and data, or stated and not measured."""
    found = []
    if not study.use_case:
        found.append(Problem("no use case is said", "route, base and loss hang on what the model is for",
                             "add [[use_case]] with name and task", "study.toml"))  # fmt: skip
    if held.stated:
        found.append(Problem(f"the data are {STATED}", "every number that rests on them inherits it",
                             "bring the files and run `keel look`: it replaces the statement",
                             "[data] stated"))  # fmt: skip
    if not category.trains(held, chosen.category):
        found.append(Problem(f"{held.modality} data cannot train a {chosen.category} model",
                             "the size is what the compute alone would allow",
                             f"gather {category.UNIT[chosen.category]}, or use a release as it is",
                             "[data]"))  # fmt: skip
    elif held.unique is None:
        found.append(Problem(f"how many {held.unit} there are is unknown", "size and cost rest on it",
                             "state them, or bring the files and run `keel look`", "[data]"))  # fmt: skip
    if held.text and not held.languages:
        found.append(Problem("the languages are not said", "so no base is dropped for not knowing one",
                             'languages = ["en"]', "[data] stated"))  # fmt: skip
    return found


def records(listed: Shortlist) -> list[Problem]:
    """Recorded scores that rank nothing."""
    return [Problem("a recorded score is not weighed", text, "one metric and setting for each use case, of candidates",
                    "catalog/model_results.csv") for text in listed.left]  # fmt: skip


def traced(fleet: Fleet | None) -> list[Problem]:
    """Deployed models whose base is guessed or unknown."""
    rows = fleet.rows if fleet else ()
    guessed = [row for row in rows if row.base is None or row.why.startswith("ambiguous")]
    if not guessed:
        return []
    return [Problem(
        f"deployed models traced by guess or not at all: {', '.join(row.name for row in guessed)}",
        "; ".join(f"{row.name} -> {row.base.id if row.base else 'unknown'}: {row.why}" for row in guessed),
        "write a CSV with columns name, base", "[limits] deployed",
    )]  # fmt: skip
