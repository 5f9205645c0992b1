"""Workers side by side: order, problems, ends; with a stand-in for the worker, and once with the real one."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import study_error

from keel.corpus.shards import Shards
from keel.errors import Preempted, StudyError
from keel.files import read_json, write_json
from keel.plan.spec import Spec
from keel.run.pool import Pool, Task

pytestmark = pytest.mark.tensor

STAND_IN = """#!{python}
import json, os, signal, sys, time
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
def say(**message):
    sys.stdout.write(json.dumps(message) + "\\n")
    sys.stdout.flush()
for line in sys.stdin:
    task = json.loads(line)
    act, name = task["act"], task["id"]
    with open({log!r}, "a") as log:
        log.write(f"begin {{name}}\\n")
    say(progress={{"step": 1}}, id=name)
    if act == "exit": os._exit(7)
    if act == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if act == "problem": say(problems=[{{"what": "w", "why": "y", "fix": "f", "where": name}}], id=name); continue
    if act == "bug": say(bug="Traceback: x", id=name); continue
    if act == "wait":
        while not stop: time.sleep(0.02)
        say(preempted=True, id=name); continue
    time.sleep(0.05)
    with open({log!r}, "a") as log:
        log.write(f"end {{name}}\\n")
    gate = {{"name": act, "why": "x"}} if act in ("diverged", "stalled") else None
    say(done=None if act == "stretch" else {{"id": name, "gate": gate}}, id=name)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Workers are stand-ins that write what they do into this file."""
    path, script = tmp_path / "log", tmp_path / "worker"
    script.write_text(STAND_IN.format(python=sys.executable, log=str(path)))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))
    return path


def task(name: str, act: str = "done", needs: tuple[str, ...] = ()) -> Task:
    return Task(name, {"id": name, "act": act}, needs)


def run(tasks: list[Task], size: int = 2) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    with Pool(size, 1) as pool:
        return pool.run(tasks, lambda done, message: heard.append((done.name, message))), heard


def test_everything_is_done_and_heard(log: Path) -> None:
    results, heard = run([task(name) for name in "abcde"])
    assert results == {name: {"id": name, "gate": None} for name in "abcde"}
    assert sorted(name for name, message in heard if "done" in message) == list("abcde")
    assert sorted(name for name, message in heard if "progress" in message) == list("abcde")


def test_what_is_needed_is_done_before(log: Path) -> None:
    run([task("c", needs=("a", "b")), task("b", needs=("a",)), task("a"), task("d")], size=3)
    seen = log.read_text().split("\n")
    assert seen.index("end a") < seen.index("begin b") < seen.index("end b") < seen.index("begin c")


def test_one_worker_keeps_the_order(log: Path) -> None:
    run([task(name) for name in "edcba"], size=1)
    assert [line[-1] for line in log.read_text().split("\n") if line.startswith("begin")] == list("edcba")


@pytest.mark.parametrize(("act", "words"), [("exit", "ended with code 7"), ("kill", "out of memory?")])
def test_a_worker_that_dies_is_reported(log: Path, act: str, words: str) -> None:
    with study_error("work on b stopped", words, "run the same command again"):
        run([task("a"), task("b", act), task("c")])


def test_a_workers_problem_is_the_users(log: Path) -> None:
    with study_error("a: w"):
        run([task("a", "problem"), task("b")])


def test_a_workers_bug_is_ours(log: Path) -> None:
    with pytest.raises(RuntimeError, match="Traceback: x"):
        run([task("a", "bug")])


def test_stopping_waits_until_all_have_saved(log: Path) -> None:
    with Pool(2, 1) as pool:
        begun = threading.Event()

        def stop() -> None:
            begun.wait(20)
            pool.stop()

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(Preempted):
            pool.run([task("a", "wait"), task("b", "wait"), task("c")], lambda *_: _both(log) and begun.set())
        stopper.join()
    assert "begin c" not in log.read_text()


def _both(log: Path) -> bool:
    """Both stand-ins have begun; called after a message of either, so the other may need a moment."""
    give_up_s = time.monotonic() + 10
    while time.monotonic() < give_up_s:
        if log.exists() and log.read_text().count("begin") >= 2:
            return True
        time.sleep(0.02)
    return False


def test_leaving_the_pool_ends_the_workers(log: Path) -> None:
    with Pool(2, 1) as pool:
        pids = [worker.process.pid for worker in pool.workers]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_hangs_on_a_diverged_trunk_is_left_out_and_the_rest_is_done(log: Path) -> None:
    tasks = [task("a", "diverged"), task("b", needs=("a",)), task("c", needs=("b",)), task("d")]
    results, _ = run(tasks)
    assert set(results) == {"a", "d"}
    assert "begin b" not in log.read_text()


def test_a_stalled_trunk_still_has_branches(log: Path) -> None:
    results, _ = run([task("a", "stretch"), task("b", "stalled", needs=("a",)), task("c", needs=("b",))])
    assert list(results) == ["a", "b", "c"]
    assert results["a"] is None


def test_the_real_worker_trains_and_notes_its_execution(
    tiny_spec: Callable[..., Spec], shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    spec, folder = tiny_spec(), tmp_path / "run"
    write_json(folder / "spec.json", "keel.spec/1", spec.json())
    message = {
        "id": "x", "folder": str(folder), "parent": None, "shards": str(shards.folder), "until": 20, "keep": [],
        "finish": True, "threads": 1, "forecast_sha256": None, "peak_flop_per_s": 1e9,
    }  # fmt: skip
    with Pool(1, 1) as pool:
        results = pool.run([Task("x", message)], lambda *_: None)
        assert results["x"] == {
            name: value
            for name, value in read_json(folder / "result.json", "keel.result/1").items()
            if name != "schema"
        }
        execution = read_json(folder / "execution.json", "keel.execution/1")
        assert (execution["threads"], execution["device"], execution["ranks"]) == (1, "cpu", 1)
        with pytest.raises(StudyError, match=r"spec\.json is not there"):
            pool.run([Task("y", message | {"folder": str(tmp_path / "nowhere")})], lambda *_: None)
