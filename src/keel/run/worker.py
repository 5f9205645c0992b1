"""A training process: takes tasks as JSON lines on stdin, answers with JSON lines on stdout.

{"id", "folder", "parent", "shards", "until", "keep", "threads", "finish", "forecast_sha256", "peak_flop_per_s"}, or
{"sort": "tasks", "id", "folder", "study", "spec_sha256", "threads", "cases"} to judge a trained model (run/judging.py)
-> {"progress": ...}*, then one of {"done": result or null}, {"preempted": true}, {"problems": [...]}, {"bug": text}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

PARENT_LOST = 3


class Flag:
    """Set by SIGTERM or SIGINT; a worker whose parent is gone ends at once, so that nobody else's run is disturbed."""

    def __init__(self) -> None:
        self.stop = False
        self.parent = os.getppid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._raise)

    def _raise(self, number: int, frame: Any) -> None:
        self.stop = True

    def __call__(self) -> bool:
        if os.getppid() != self.parent:
            os._exit(PARENT_LOST)
        return self.stop


def main() -> None:
    """Serve tasks until stdin ends."""
    flag, out = Flag(), sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        task = json.loads(line)
        say(out, _answer(task, out, flag) | {"id": task["id"]})


def say(out: TextIO, message: dict[str, Any]) -> None:
    """One line to the parent."""
    out.write(json.dumps(message) + "\n")
    out.flush()


def _answer(task: dict[str, Any], out: TextIO, flag: Flag) -> dict[str, Any]:
    from keel.errors import Preempted, StudyError
    from keel.files import place_error

    try:
        return {"done": SORTS[task.get("sort", "train")](task, out, flag)}
    except Preempted:
        return {"preempted": True}
    except StudyError as error:
        return {"problems": [problem._asdict() for problem in error.problems]}
    except OSError as error:
        problems = place_error(error, Path(error.filename or task["folder"])).problems
        return {"problems": [problem._asdict() for problem in problems]}
    except Exception:
        return {"bug": traceback.format_exc()}


def _work(task: dict[str, Any], out: TextIO, flag: Flag) -> dict[str, Any] | None:
    """Train until a step; finish the run where the task says so or a gate fails."""
    import torch
    import transformers

    from keel.corpus.store import open_corpus
    from keel.files import read_json
    from keel.plan.spec import SCHEMA, from_json
    from keel.run.finish import finish
    from keel.run.train import Place, train

    torch.set_num_threads(task["threads"])
    transformers.utils.logging.disable_progress_bar()
    folder = Path(task["folder"])
    spec = from_json(read_json(folder / "spec.json", SCHEMA), str(folder))
    corpus = open_corpus(Path(task["shards"]))
    place = Place(
        folder=folder, parent=Path(task["parent"]) if task["parent"] else None,
        peak_flop_per_s=task["peak_flop_per_s"], forecast_sha256=task["forecast_sha256"], workers=task["threads"],
    )  # fmt: skip
    started_s = time.monotonic()
    trained = train(
        spec, place, corpus, task["until"], set(task["keep"]), lambda seen: say(out, seen | {"id": task["id"]}), flag
    )
    result = finish(spec, folder, corpus, trained) if task["finish"] or trained.failed else None
    began: dict[str, Any] = {name: part.json() for name, part in trained.began.items()}
    began |= {"notes": list(trained.objective.notes)} if trained.objective.notes else {}
    _note_execution(folder, task, time.monotonic() - started_s, began)
    return result


def _judge(task: dict[str, Any], out: TextIO, flag: Flag) -> None:
    """A trained model on the user's tasks."""
    import torch

    from keel.run.judging import judge

    torch.set_num_threads(task["threads"])
    judge(task, lambda seen: say(out, seen | {"id": task["id"]}), flag)


SORTS: Mapping[str, Callable[[dict[str, Any], TextIO, Flag], Any]] = {"train": _work, "tasks": _judge}


def _note_execution(folder: Path, task: dict[str, Any], seconds: float, began: dict[str, Any]) -> None:
    """Add this stretch of work to execution.json."""
    import platform

    import torch
    import transformers

    from keel import __version__
    from keel.files import read_json, utc_now, write_json

    path, schema = folder / "execution.json", "keel.execution/1"
    before: dict[str, Any] = read_json(path, schema) if path.exists() else {"seconds": 0.0, "started_utc": utc_now()}
    values = {
        "threads": task["threads"], "device": "cpu", "micro_samples": None, "ranks": 1,
        "seconds": before["seconds"] + seconds, "started_utc": before["started_utc"], "ended_utc": utc_now(),
        "versions": {"keel": __version__, "torch": torch.__version__, "transformers": transformers.__version__,
                     "python": platform.python_version()},
        "began": began, "platform": platform.platform(), "processor": platform.processor() or platform.machine(),
    }  # fmt: skip
    write_json(path, schema, values)


if __name__ == "__main__":
    main()
