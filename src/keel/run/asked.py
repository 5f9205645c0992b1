"""After training: every exported model of the plan is judged on the user's tasks, and the smallest that will do named.

Cheap evaluators judge every exported model. One that trains the whole model (fine-tune) judges the largest size and the
smallest, each trained longest, and the arms with the run that they are held against. What is judged is not judged again
until its eval file, its settings or its run's identity change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import Problem, StudyError
from keel.evaluate.choice import LEVEL, Judged, choose, longest
from keel.evaluate.uses.case import Case, cases, missing
from keel.evaluate.uses.material import prepared, sha256_of
from keel.evaluate.uses.table import EVALUATORS
from keel.files import digest, read_json, write_json
from keel.plan.verb import runs_of
from keel.progress import Progress
from keel.run import judging
from keel.run.pool import Pool, Task, interruptible
from keel.study import Study

SCHEMA = "keel.use_cases/1"
FILE = "use_cases.json"
COSTLY, OVERHEAD_PARAMS = 8.0, 1e6  # measured at 40k and 230k parameters; for progress alone
NOT_JUDGED = "only the largest and the smallest size, and the arms with their baseline, are fine-tuned"


class Exported(NamedTuple):
    """A run of the plan whose model is there; `beside`: it is an arm, or what an arm is held against."""

    run: str
    params: int
    tokens: int
    recipe: str
    spec_sha256: str
    beside: bool


def check(folder: Path, study: Study) -> list[Case]:
    """The cases of a study, everything about them checked, before anything is trained.

    Raises:
        StudyError: settings, fields, files, rows or libraries that cannot be used; all at once.
    """
    if not any(use.eval for use in study.use_case):
        return []
    try:
        found, problems = prepared(folder, study).cases, list[Problem]()
    except StudyError as error:
        found, problems = cases(folder, study)[0], list(error.problems)
    if problems := [*problems, *missing(found)]:
        raise StudyError.all(problems)
    return found


def ask(
    folder: Path, found: Sequence[Case], plan: Mapping[str, Any], lock_fd: int | None = None
) -> tuple[list[Problem], list[str]]:
    """Judge what is not judged yet, then write `use_cases.json`: problems, and files written.

    Raises:
        Preempted, Stopped: asked to end; the same command goes on.
        StudyError: a model cannot be opened, or a worker died.
    """
    models = exported(folder, runs_of(plan))
    if not found or not models:
        return [], []
    shas = {case.name: sha256_of(folder, case) for case in found}
    todo = {model: some for model in models if (some := _todo(folder, model, found, models, shas))}
    writes = []
    if todo:
        tasks = [_message(folder, model, some) for model, some in todo.items()]
        with Pool(min(plan["totals"]["side_by_side"], len(tasks)), 1, lock_fd) as pool, interruptible(pool):
            progress = _Progress(todo)
            try:
                pool.run(tasks, progress)
            finally:
                progress.close()
        writes = [f"runs/{model.run}/{judging.FILE}" for model in todo]
    _renew_acceptance(folder, found, models)
    chosen = [
        choose(case, _judged(folder, case, models, shas)) | {"eval": case.eval, "eval_sha256": shas[case.name]}
        for case in found
    ]
    write_json(folder / FILE, SCHEMA, {"level": LEVEL, "use_cases": chosen})
    return _problems(chosen), [*writes, FILE]


def exported(folder: Path, experiments: Sequence[Mapping[str, Any]]) -> list[Exported]:
    """Runs of the plan that have a model, smallest first."""
    by_id = {item["id"]: item for item in experiments}
    there = [item for item in experiments if _is_exported(folder / "runs" / item["id"])]
    arms = [item for item in there if item["kind"] == "single"]
    beside = {item[name] for item in arms for name in ("id", "baseline")}
    made = []
    for item in there:
        result = read_json(folder / "runs" / item["id"] / "result.json", "keel.result/1")
        made.append(Exported(item["id"], int(result["params"]["total"]), int(result["tokens"]), _recipe(item, by_id),
                             result["spec_sha256"], item["id"] in beside))  # fmt: skip
    return sorted(made, key=lambda model: (model.params, model.tokens))


def _is_exported(run: Path) -> bool:
    return (run / "model").is_dir() and (run / "result.json").is_file()


def _recipe(item: Mapping[str, Any], by_id: Mapping[str, Any]) -> str:
    """What trained a model, its size, length and seed apart: a branch by its trunk, an arm by its one change."""
    root = by_id.get(item["trunk"], item)
    spec, change = root["spec"], item["factors"] if item["kind"] == "single" else {}
    changed = {name: pair[-1] for name, pair in change.items()}
    return digest([spec["objective"], spec["options"], spec["family"], spec["start"], changed])


def _todo(
    folder: Path, model: Exported, found: Sequence[Case], models: Sequence[Exported], shas: Mapping[str, str]
) -> list[Case]:
    """Cases that this model is to be judged on and has no current entry of."""
    entries = judging.read(folder / "runs" / model.run)
    return [
        case for case in found
        if _wanted(case, model, models)
        and entries.get(case.name, {}).get("identity") != case.identity(shas[case.name], model.spec_sha256)
    ]  # fmt: skip


def _wanted(case: Case, model: Exported, models: Sequence[Exported]) -> bool:
    """All for what is cheap, both ends and the arms for what trains."""
    if model.beside or not EVALUATORS[case.how].costly:
        return True
    standing = longest([each for each in models if not each.beside] or models)
    return model in standing and model.params in (standing[0].params, standing[-1].params)


def _message(folder: Path, model: Exported, some: Sequence[Case]) -> Task:
    return Task(model.run, {
        "sort": "tasks", "id": model.run, "folder": str(folder / "runs" / model.run), "study": str(folder),
        "spec_sha256": model.spec_sha256, "threads": 1, "cases": [case._asdict() for case in some],
    })  # fmt: skip


def _renew_acceptance(folder: Path, found: Sequence[Case], models: Sequence[Exported]) -> None:
    """A new bar needs no new judging."""
    for model in models:
        run = folder / "runs" / model.run
        for case in found:
            entry = judging.read(run).get(case.name)
            if entry and entry["accept"] != (now := judging.acceptance(case, entry["result"])):
                judging.record(run, case, entry | {"accept": now}, model.spec_sha256)


def _judged(
    folder: Path, case: Case, models: Sequence[Exported], shas: Mapping[str, str]
) -> list[Judged]:  # fmt: skip
    made = []
    for model in models:
        entry = judging.read(folder / "runs" / model.run).get(case.name)
        current = entry and entry["identity"] == case.identity(shas[case.name], model.spec_sha256)
        problem = entry["problem"] if entry and current else None
        why_not = problem["what"] if problem else "" if current else NOT_JUDGED
        result = entry["result"] if entry and current else None
        made.append(Judged(model.run, model.params, model.tokens, model.recipe, result, why_not))
    return made


def _problems(found: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Models that could not serve a task, each reason once a use case."""
    problems = []
    for use in found:
        whys: dict[str, list[str]] = {}
        for row in use["models"]:
            if row["why_not"] and row["why_not"] != NOT_JUDGED:
                whys.setdefault(row["why_not"], []).append(row["run"])
        problems += [
            Problem(f"'{use['name']}' was not judged on {len(runs)} of {len(use['models'])} models", why,
                    "another loss or another way to judge it may serve: see `keel plan --why loss`", ", ".join(runs))
            for why, runs in whys.items()
        ]  # fmt: skip
    return problems


class _Progress:
    """One line: which model is judged on what, and the time left."""

    def __init__(self, todo: Mapping[Exported, Sequence[Case]]) -> None:
        self.costs = {
            model.run: [(model.params + OVERHEAD_PARAMS) * (COSTLY if EVALUATORS[case.how].costly else 1.0)
                        for case in some] for model, some in todo.items()
        }  # fmt: skip
        self.done = dict.fromkeys(self.costs, 0.0)
        self.bar = Progress("tasks", sum(map(sum, self.costs.values())))

    def __call__(self, task: Task, message: Mapping[str, Any]) -> None:
        if "progress" in message:
            at = message["progress"]
            self.done[task.name] = sum(self.costs[task.name][: at["done"]])
            self.bar.update(sum(self.done.values()), f"{task.name}: {at['case']}" if at["case"] else task.name)

    def close(self) -> None:
        """Leave the closing line."""
        self.bar.close(f"{sum(self.done.values()) / self.bar.total:.0%} judged")
