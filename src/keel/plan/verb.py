"""`keel plan`: read the study and its evidence, write plan.json, show it as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.answer import Answer, Number
from keel.choose import base
from keel.errors import Problem, StudyError
from keel.files import read_json, sha256_file, write_json
from keel.model.shapes import FEATURES
from keel.objective import own
from keel.objective.fact import Facts
from keel.objective.held import facts_of
from keel.plan.build import build
from keel.plan.frame import Inputs
from keel.plan.losses import show as show_losses
from keel.plan.losses import show_added
from keel.plan.notes import notes
from keel.plan.show import show_arms, show_runs
from keel.plan.tasks import asked
from keel.study import Study, flatten
from keel.units import show_bytes, show_count

SCHEMA = "keel.plan/1"
EVIDENCE = {"evidence/corpus.json": "keel.corpus/1", "evidence/machine.json": "keel.machine/1"}
TOPICS = {
    "route": (), "base": (), "loss": ("train.loss", "train.options"), "size": ("ladder.widths", "model", "data"),
    "ladder": ("ladder", "train", "target", "tokenizer", "heldout", "arms", "start"),
}  # fmt: skip


def plan(folder: Path, study: Study, as_of: str | None = None, why: str | None = None) -> Answer:
    """Make plan.json. Runs that exist keep their identity; what changed since the last plan is shown."""
    wanted = EVIDENCE | ({base.BASE: base.SCHEMA} if base.named(study) else {})
    evidence = {name: _read(folder, name, schema) for name, schema in wanted.items()}
    base.check(folder, study, evidence.get(base.BASE))
    own.find_in(folder)
    judged = asked(folder, study)
    made = build(Inputs(study, *evidence.values()), as_of or time.strftime("%Y-%m-%d", time.gmtime()))
    made["reads"] = {name: sha256_file(folder / name) for name in wanted}
    path = folder / "plan.json"
    changes = _changes(path, made, folder)
    write_json(path, SCHEMA, made)
    shown = ("route", "family", "objective", "tokenizer", "experiments", "arms", "targets", "totals")
    return Answer(
        result={name: made[name] for name in shown} | {"tasks": judged.result},
        text="\n".join([*judged.lines, show(made, why)]), numbers=[Number(**number) for number in made["numbers"]], 
        problems=[*changes, *judged.problems, *notes(study, made["objective"], _facts(made)),
                  *(Problem(**item) for item in made["arms"]["problems"])],
        reads=["study.toml", *wanted], writes=["plan.json"],
    )  # fmt: skip


def _facts(made: Mapping[str, Any]) -> Facts:
    return facts_of(made["objective"], made["experiments"][0]["spec"]["options"])


def read_plan(folder: Path) -> dict[str, Any]:
    """plan.json, or what to do where there is none."""
    if not (folder / "plan.json").exists():
        raise StudyError("there is no plan yet", why="plan.json is missing", fix="run `keel plan`", where=str(folder))
    return read_json(folder / "plan.json", SCHEMA)


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


def _read(folder: Path, name: str, schema: str) -> dict[str, Any]:
    if not (folder / name).exists():
        raise StudyError(f"{name} is missing", why="a plan needs evidence", fix="run `keel look`", where=str(folder))
    return read_json(folder / name, schema)


def _changes(path: Path, made: Mapping[str, Any], folder: Path) -> list[Problem]:
    """Finished runs that the new plan no longer names."""
    planned = {item["id"] for item in made["experiments"]}
    runs = {result.parent.name for result in (folder / "runs").glob("*/result.json")}
    left = sorted(runs - planned)
    if not left:
        return []
    return [Problem(f"{len(left)} finished runs are not in this plan",
                    "the study or its evidence changed: " + ", ".join(left),
                    "they are kept as they are; `keel fit runs` still reads them", str(folder / "runs"))]  # fmt: skip


def show(made: Mapping[str, Any], why: str | None = None) -> str:
    """The plan as a table for people; `why` adds the numbers of one topic with formula, source and range."""
    lines = [
        f"route   {made['route']['value']}: {made['route']['why']}",
        f"model   {made['family']} {FEATURES[made['family']].kind}, loss {made['objective']}, "
        f"vocabulary {made['tokenizer']['vocabulary']}",
        *_added(made),
        *show_losses(made["losses"], made["objective"], why == "loss"),
        f"total   {made['totals']['text']} ({show_count(made['totals']['flop'])} FLOP, "
        f"memory {show_bytes(made['totals']['memory_bytes'])}; money: {made['totals']['usd_why']})",
        "",
        *show_runs(made["experiments"]),
    ]  # fmt: skip
    lines += show_arms(made.get("arms", {}), made["experiments"])
    target = made["targets"][0]
    warning = f"; {target['warning']}" if target["warning"] else ""
    lines += ["", f"then    forecast {show_count(target['params'])} params on {show_count(target['tokens'])} tokens "
                  f"({target['flop']:.2g} FLOP){warning}", ""]  # fmt: skip
    wanted = TOPICS[why] if why else tuple({name for names in TOPICS.values() for name in names})
    return "\n".join(lines + _numbers(made["numbers"], wanted))


def _added(made: Mapping[str, Any]) -> list[str]:
    spec = made["experiments"][0]["spec"]
    return show_added(spec["objective"], spec["options"], spec["size"]["context"])


def _numbers(numbers: list[dict[str, Any]], prefixes: tuple[str, ...]) -> list[str]:
    lines = []
    for number in numbers:
        if not number["name"].startswith(prefixes):
            continue
        inputs = ", ".join(f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}"
                           for name, value in number["inputs"].items())  # fmt: skip
        head = f"{number['name']} = {number['value']}{' ' + number['unit'] if number['unit'] else ''}"
        if number["yours"]:
            lines.append(f"{head}  (yours)")
            continue
        lines.append(head)
        for label, text in (("formula", number["formula"]), ("inputs", inputs), ("source", number["source"]),
                            ("valid", number["valid"]), ("outside", number["outside"])):  # fmt: skip
            if text:
                lines.append(f"    {label:<8}{text}")
    return lines
