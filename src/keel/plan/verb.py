"""`keel plan`: read the study and its evidence, decide, write plan.json, show it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.answer import Answer, Number
from keel.catalog import store
from keel.choose import base
from keel.data import OF_IMAGES
from keel.errors import Problem, Refusal, Refused, StudyError
from keel.files import read_json, sha256_file, write_json
from keel.objective import own
from keel.objective.fact import Facts
from keel.objective.held import facts_of
from keel.plan.answer import decision_json
from keel.plan.build import build
from keel.plan.decide import Decision, Evidence, decide
from keel.plan.frame import Inputs
from keel.plan.notes import notes
from keel.plan.show import TOPICS, show
from keel.plan.tasks import asked
from keel.study import Study, flatten

__all__ = ["TOPICS", "plan", "read_ladder", "read_plan", "runs_of", "show", "stale"]
SCHEMA = "keel.plan/1"
MACHINE, CORPUS, IMAGES = "evidence/machine.json", "evidence/corpus.json", "evidence/images.json"
SCHEMAS = {MACHINE: "keel.machine/1", CORPUS: "keel.corpus/1", IMAGES: "keel.images/1"}
LADDER = ("family", "objective", "tokenizer", "arms", "targets", "totals")


def plan(folder: Path, study: Study, as_of: str | None = None, why: str | None = None) -> Answer:
    """Make plan.json. Runs that exist keep their identity; what changed since the last plan is shown."""
    as_of = as_of or time.strftime("%Y-%m-%d", time.gmtime())
    known = store.of_study(folder)
    known.check()
    seen = _evidence(folder, study, known)
    own.find_in(folder)
    judged = asked(folder, study)
    seen = seen._replace(rows={item["name"]: item.get("train") for item in judged.result})
    decision = decide(folder, study, known, seen, as_of)
    made, refusal = _ladder(study, seen, decision, as_of)
    made |= {"decision": decision_json(decision), "route": {"value": decision.route.value, "why": decision.route.why}}
    used = {_measured(study): seen.corpus, MACHINE: seen.machine, base.BASE: seen.released}
    read = [name for name, found in used.items() if found is not None]
    made["reads"] = {name: sha256_file(folder / name) for name in (*read, *known.overlays)}
    made["numbers"] = [_plain(number) for number in decision.numbers] + made["numbers"]
    changes = _changes(folder / "plan.json", made, folder)
    write_json(folder / "plan.json", SCHEMA, made)
    said = notes(study, _facts(made), decision.listed.recorded)
    problems = [*refusal, *changes, *decision.problems, *judged.problems, *said,
                *(Problem(**item) for item in [*made["problems"], *made["arms"]["problems"]])]  # fmt: skip
    return Answer(
        result=_result(made) | {"tasks": judged.result},
        text="\n".join([*judged.lines, show(made, why)]),
        numbers=[Number(**number) for number in made["numbers"]], problems=problems,
        reads=["study.toml", *made["reads"]], writes=["plan.json"],
        status="refused" if refusal and seen.corpus is not None else "ok",
    )  # fmt: skip


def _evidence(folder: Path, study: Study, known: store.Catalogue) -> Evidence:
    """corpus.json (or images.json), machine.json and base.json; any may be missing where the data are stated."""
    name, images = _measured(study), study.data.kind in OF_IMAGES
    needed = study.data.stated is None or (folder / name).exists()
    corpus, machine = (_read(folder, each, SCHEMAS[each], needed) for each in (name, MACHINE))
    if images and corpus is not None and corpus["kind"] != study.data.kind:
        raise StudyError("the evidence is of other data", why=f"[data] is {study.data.kind}, and images.json is of "
                         f"{corpus['kind']}", fix="run `keel look` again", where=IMAGES)  # fmt: skip
    if images:
        return Evidence(corpus, machine)
    released = _read(folder, base.BASE, base.SCHEMA, needed) if base.named(study, known) else None
    base.check(folder, study, released)
    return Evidence(corpus, machine, released)


def _measured(study: Study) -> str:
    """Where `keel look` writes what the data are."""
    return IMAGES if study.data.kind in OF_IMAGES else CORPUS


def _ladder(study: Study, seen: Evidence, decision: Decision, as_of: str) -> tuple[dict[str, Any], list[Problem]]:
    """The ladder and its arms; without data at hand, or with too little, none and the reason."""
    if seen.corpus is None or seen.machine is None:
        return _no_ladder(study, as_of), [Problem("no ladder yet", "the data are stated and not at hand",
                                                  "bring the files and run `keel look`", "[data]")]  # fmt: skip
    try:
        return build(Inputs(study, seen.corpus, seen.machine, seen.released, decision.chosen.category), as_of), []
    except Refused as error:
        return _no_ladder(study, as_of), [Problem(*error.refusal)]


def _no_ladder(study: Study, as_of: str) -> dict[str, Any]:
    return {
        "as_of": as_of, "study": study.model_dump(mode="json", by_alias=True), "study_sha256": study.digest(),
        "family": None, "objective": None, "losses": [], "judge": None, "tokenizer": None, "unique_tokens": None,
        "experiments": [], "problems": [], "arms": {"runs": [], "totals": {}, "problems": []}, "targets": [],
        "totals": None, "numbers": [],
    }  # fmt: skip


def _result(made: Mapping[str, Any]) -> dict[str, Any]:
    """What a program reads first: the decision, then the runs that would teach most."""
    decided = made["decision"]
    names = ("base", "shortlist", "dropped", "losses", "losses_left", "size", "cost", "binds", "from_scratch", "data",
             "budget", "deployed", "use_cases", "smaller", "catalogue", "investments", "binds_why")  # fmt: skip
    return {
        "route": decided["route"]["value"], "category": decided["category"]["value"],
        "why": {"route": decided["route"], "category": decided["category"]},
        **{name: decided[name] for name in names}, "experiments": [*runs_of(made), *decided["proposed"]],
        **{name: made[name] for name in LADDER},
    }  # fmt: skip


def _plain(number: Number) -> dict[str, Any]:
    return number._asdict() | {"inputs": dict(number.inputs)}


def _facts(made: Mapping[str, Any]) -> tuple[str, Facts] | None:
    """The ladder's loss and its facts."""
    if not made["experiments"]:
        return None
    return made["objective"], facts_of(made["objective"], made["experiments"][0]["spec"]["options"])


def read_plan(folder: Path) -> dict[str, Any]:
    """plan.json, or what to do where there is none."""
    if not (folder / "plan.json").exists():
        raise StudyError("there is no plan yet", why="plan.json is missing", fix="run `keel plan`", where=str(folder))
    return read_json(folder / "plan.json", SCHEMA)


def read_ladder(folder: Path) -> dict[str, Any]:
    """plan.json of a plan that has runs.

    Raises:
        Refused: the plan decided without a ladder.
    """
    made = read_plan(folder)
    if not made["experiments"]:
        raise Refused(Refusal("the plan has no runs", "its data are stated and not at hand, or too small for a "
                              "ladder", "bring more files, run `keel look`, then "
                              "`keel plan`"))  # fmt: skip
    return made


def runs_of(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every run that a plan names: the ladder's, then the arms'."""
    return [*made["experiments"], *made.get("arms", {}).get("runs", ())]


def stale(folder: Path, study: Study, made: Mapping[str, Any]) -> list[Problem]:
    """What has changed since the plan was made, each with its difference."""
    found = []
    if study.digest() != made["study_sha256"]:
        before, now = flatten(made["study"]), flatten(study.model_dump(mode="json", by_alias=True))
        changed = [f"{name}: {before.get(name)!r} -> {now.get(name)!r}"
                   for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]  # fmt: skip
        why = "; ".join(changed) or "another keel made the plan, and reads the study otherwise"
        found.append(Problem("the study has changed since the plan", why,
                             "run `keel plan` again: finished runs keep their identity", "study.toml"))  # fmt: skip
    for name, known in made["reads"].items():
        path = folder / name
        if not path.exists() or sha256_file(path) != known:
            found.append(Problem(f"{name} is not the one that was planned with",
                                 "it was made again or edited" if path.exists() else "it is missing",
                                 "run `keel plan` again: finished runs keep their identity", name))  # fmt: skip
    return found


def _read(folder: Path, name: str, schema: str, needed: bool) -> dict[str, Any] | None:
    if not (folder / name).exists():
        if not needed:
            return None
        raise StudyError(f"{name} is missing", why="a plan needs evidence, or data that are stated",
                         fix="run `keel look`, or write [data] stated = { ... }", where=str(folder))  # fmt: skip
    return read_json(folder / name, schema)


def _changes(path: Path, made: Mapping[str, Any], folder: Path) -> list[Problem]:
    """Finished runs that the new plan no longer names."""
    planned = {item["id"] for item in runs_of(made)}
    runs = {result.parent.name for result in (folder / "runs").glob("*/result.json")}
    left = sorted(runs - planned)
    if not left:
        return []
    return [Problem(f"{len(left)} finished runs are not in this plan",
                    "the study or its evidence changed: " + ", ".join(left),
                    "they are kept as they are; `keel fit runs` still reads them", str(folder / "runs"))]  # fmt: skip
