"""The peers of the forecast benchmark: an environment of their own, two children, and a memory of their answers.

The peers need Python 3.12 or newer: named by KEEL_PEER_PYTHON, else python3.14, 3.13 or 3.12 on the PATH. They are
installed once into a folder beside .venv (KEEL_PEER_VENV overrides), where their answers are kept too: both are
deterministic, so an answer made earlier from the same rows by the same versions stands, its CPU seconds included.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forecast_task import LEVELS, Guess, Task

from keel.files import write_bytes
from keel.laws import Row

HERE = Path(__file__).parent
CHILD = HERE / "peers" / "child.py"
PINNED = ("chinchilla==0.2.0", "simple-scaling-laws==0.2.0")
PEERS = ("chinchilla", "simple-scaling-laws separable-power", "simple-scaling-laws skaling-joint-power")
WITH_INTERVAL = PEERS[1:]
CAP_CPU_S = 120.0
GRID_POINTS = 4
WORKERS = 2
Job = dict[str, Any]


def find_python() -> str | None:
    """A Python of 3.12 or newer that runs, or None."""
    named = os.environ.get("KEEL_PEER_PYTHON")
    for name in [named] if named else ["python3.14", "python3.13", "python3.12", "python3"]:
        path = shutil.which(name)
        if path is None:
            continue
        check = [path, "-c", "import sys; sys.exit(sys.version_info < (3, 12))"]
        if subprocess.run(check, capture_output=True, check=False).returncode == 0:
            return path
    return None


def environment() -> tuple[Path | None, str]:
    """The peers' own Python, installed if need be; or None with the reason."""
    folder = Path(os.environ.get("KEEL_PEER_VENV") or HERE.parent / ".venv-peers")
    own, done = folder / "bin" / "python", folder / "installed"
    if done.exists() and done.read_text() == " ".join(PINNED):
        return own, ""
    python = find_python()
    if python is None:
        return None, "no Python of 3.12 or newer found; name one with KEEL_PEER_PYTHON"
    install = [str(own), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINNED]
    for command in ([python, "-m", "venv", str(folder)], install):
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            return None, f"{' '.join(command[1:4])} failed: {ran.stderr.strip().splitlines()[-1]}"
    done.write_text(" ".join(PINNED))
    return own, ""


def job_of(task: Task, peer: str, cap_cpu_s: float, grid_points: int) -> Job:
    """What the child is told: no held-out loss is in it."""

    def place(run: Row) -> tuple[float, float, float]:
        return float(run.params), float(run.tokens), float(run.flop)

    rows = [(*place(run), float(run.value)) for run in task.seen]
    made = {"peer": peer, "rows": rows, "points": [place(run) for run in task.held]}
    grid = grid_points if peer == "chinchilla" else 0
    return made | {"levels": LEVELS, "cap_cpu_s": cap_cpu_s, "grid_points": grid}


def guesses(tasks: Sequence[Task], cap_cpu_s: float = CAP_CPU_S, grid_points: int = GRID_POINTS, fresh: bool = False,
            say: Callable[[str], None] = print) -> tuple[list[Guess], str]:  # fmt: skip
    """Every peer's answer to every task, task by task; and how they were come by. Empty with the reason if skipped."""
    python, why = environment()
    if python is None:
        return [], f"PEER ROWS SKIPPED: {why}"
    jobs = [job_of(task, peer, cap_cpu_s, grid_points) for task in tasks for peer in PEERS]
    kept = python.parents[1] / "answers"
    kept.mkdir(exist_ok=True)
    places = [kept / f"{_digest(job)}.json" for job in jobs]
    wanted = [(job, place) for job, place in zip(jobs, places) if fresh or not place.exists()]
    say(f"peers: {len(wanted)} of {len(jobs)} answers to make, at most {cap_cpu_s:g} CPU s each")
    _work(python, wanted, say)
    found = [_guess(job["peer"], json.loads(place.read_text())) for job, place in zip(jobs, places)]
    starts = f"{grid_points}^5 = {grid_points**5} starts over its README's ranges (README: 5^5 = 3125)"
    used = f"chinchilla with {starts} and its default loss; simple-scaling-laws at its defaults, one fit a law"
    again = (
        f"{len(jobs) - len(wanted)} of {len(jobs)} answers kept from an earlier call (--fresh-peers makes them anew)"
    )
    return found, f"peers: {', '.join(PINNED)}; {used}; cap {cap_cpu_s:g} CPU s a set; {again}"


def _digest(job: Job) -> str:
    known = json.dumps([PINNED, CHILD.read_text(encoding="utf-8"), job], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:24]


def _work(python: Path, wanted: Sequence[tuple[Job, Path]], say: Callable[[str], None]) -> None:
    """Two children take jobs from one queue."""
    left: queue.Queue[tuple[Job, Path]] = queue.Queue()
    for pair in wanted:
        left.put(pair)

    def serve() -> None:
        child: subprocess.Popen[str] | None = None
        while True:
            try:
                job, place = left.get_nowait()
            except queue.Empty:
                break
            child = child if child is not None and child.poll() is None else _start(python)
            reply = _ask(child, job)
            write_bytes(place, reply.encode())
            said = json.loads(reply)
            say(f"  {job['peer']}, {len(job['rows'])} rows: {said['status']} {said['message']} {said['cpu_s']:.1f} s")
        if child is not None:
            child.communicate()

    threads = [threading.Thread(target=serve) for _ in range(min(WORKERS, len(wanted)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _start(python: Path) -> subprocess.Popen[str]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    quiet = subprocess.PIPE, subprocess.DEVNULL
    command = [str(python), str(CHILD)]
    return subprocess.Popen(command, stdin=quiet[0], stdout=quiet[0], stderr=quiet[1], text=True, env=os.environ | one)


def _ask(child: subprocess.Popen[str], job: Job) -> str:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(job) + "\n")
    child.stdin.flush()
    line = child.stdout.readline()
    crashed = {"status": "failed", "message": f"the process ended with code {child.poll()}", "cpu_s": 0.0}
    return line or json.dumps(crashed)


def _guess(peer: str, said: dict[str, Any]) -> Guess:
    if said["status"] != "ok":
        return Guess(peer, said["status"], said["message"], cpu_s=said["cpu_s"])
    sides = ({float(level): tuple(ends) for level, ends in said[side].items()} for side in ("low", "high"))
    low, high = (ends or None for ends in sides)
    return Guess(peer, value=tuple(said["value"]), low=low, high=high, cpu_s=said["cpu_s"])
