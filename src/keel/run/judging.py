"""One trained model on the user's tasks, in a worker: runs/ID/model -> runs/ID/tasks.json, a case at a time.

Nothing is half done: the file is written whole after each case, and a case that was cut off is judged again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from keel.errors import Preempted, StudyError
from keel.evaluate.choice import accepted
from keel.evaluate.tasks import SUBJECTS, TASKS, Unfit
from keel.evaluate.uses.case import Case
from keel.evaluate.uses.material import material, sha256_of
from keel.evaluate.uses.table import EVALUATORS
from keel.files import read_json, write_json

SCHEMA = "keel.tasks/1"
FILE = "tasks.json"


def judge(task: Mapping[str, Any], tell: Callable[[dict[str, Any]], None], stopped: Callable[[], bool]) -> None:
    """Judge the model in `task["folder"]` on every case of `task["cases"]`; `tell` hears of each before and after.

    Raises:
        Preempted: asked to end; what is written stays.
        StudyError: the model cannot be opened, or an eval file has changed under our hands.
    """
    folder, study = Path(task["folder"]), Path(task["study"])
    subjects = dict[str, Any]()
    with _at_once():
        for number, values in enumerate(task["cases"]):
            if stopped():
                raise Preempted
            case = Case(**values)
            tell({"progress": {"done": number, "case": case.name}})
            sees = EVALUATORS[case.how].sees
            if sees not in subjects:
                subjects[sees] = opened(folder, sees)
            record(folder, case, judged(subjects[sees], study, case, task["spec_sha256"]), task["spec_sha256"])
        tell({"progress": {"done": len(task["cases"]), "case": ""}})


def opened(folder: Path, sees: str) -> Any:
    """The run's model as evaluators ask it that see texts or images; or why it is none of that kind."""
    try:
        return _called(SUBJECTS[sees])(folder)
    except Unfit as error:
        return error


def _called(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def judged(subject: Any, study: Path, case: Case, spec_sha256: str) -> dict[str, Any]:
    """The entry of a case: its identity, and what was found or why this model cannot serve it."""
    eval_sha256 = sha256_of(study, case)
    given = material(study, case).given
    result, problem = None, None
    try:
        if isinstance(subject, Unfit):
            raise subject
        result = _called(TASKS[case.how])(subject, given, **case.settings).json()
    except StudyError as error:
        problem = error.problems[0]._asdict()
    return {
        "identity": case.identity(eval_sha256, spec_sha256), "task": case.task, "how": case.how, "eval": case.eval,
        "eval_sha256": eval_sha256, "fields": dict(case.fields), "settings": dict(case.settings), "metric": case.metric,
        "accept": acceptance(case, result), "result": result, "problem": problem,
    }  # fmt: skip


def acceptance(case: Case, result: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The bar, and whether it is met."""
    if case.accept is None or result is None:
        return None
    return {"value": case.accept, "answer": accepted(result["measures"][case.metric], case.accept)}


def read(folder: Path) -> dict[str, Any]:
    """The entries of a run by use case; none where it was never judged."""
    path = folder / FILE
    found: dict[str, Any] = read_json(path, SCHEMA)["use_cases"] if path.exists() else {}
    return found


def record(folder: Path, case: Case, entry: Mapping[str, Any], spec_sha256: str) -> None:
    """Put an entry into the run's file, beside those that are there."""
    values = {"id": folder.name, "spec_sha256": spec_sha256, "use_cases": read(folder) | {case.name: dict(entry)}}
    write_json(folder / FILE, SCHEMA, values)


@contextmanager
def _at_once() -> Iterator[None]:
    """A signal ends the work where it stands: a long case has nothing to save."""

    before: dict[int, Any] = {}

    def end(number: int, frame: Any) -> None:
        if callable(before[number]):
            before[number](number, frame)  # raised where nobody hears it (a destructor), it is still known
        raise Preempted

    for number in (int(signal.SIGTERM), int(signal.SIGINT)):
        before[number] = signal.getsignal(number)
        signal.signal(number, end)
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
