"""This machine, in the background: the job goes on when the terminal is closed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from keel.errors import Problem, StudyError
from keel.files import read_json, utc_now, write_json, write_text
from keel.launch.base import JobRef, State
from keel.run.lock import holder

SCHEMA = "keel.job/1"
ENDS: dict[int, State] = {0: "done", 75: "preempted", 130: "stopped"}


class Local:
    """`keel run` as a detached process; its exit code is written by the script itself, so anyone may ask later."""

    def preflight(self, study: Path) -> list[Problem]:
        """A plan must be there, and nobody else may hold the study."""
        problems = []
        if not (study / "plan.json").exists():
            problems.append(Problem("there is no plan yet", "plan.json is missing", "run `keel plan`", str(study)))
        held = holder(study)
        if held:
            problems.append(Problem("this study is being run", f"held by {held}", "wait for it or stop it", str(study)))
        return problems

    def script(self, study: Path) -> str:
        """Run, then note the exit code."""
        python, where = shlex.quote(sys.executable), shlex.quote(str(study.resolve()))
        return (
            "#!/bin/sh\n# Written by `keel run --on local`; works when pasted by hand.\n"
            f"trap : TERM\ncd {where}\nrm -f job.exit\n{python} -m keel run > job.log 2>&1\necho $? > job.exit\n"
        )

    def submit(self, study: Path) -> JobRef:
        """Start the script in a session of its own.

        Raises:
            StudyError: preflight found problems.
        """
        problems = self.preflight(study)
        if problems:
            raise StudyError.all(problems)
        write_text(study / "job.sh", self.script(study))
        # The old verdict must be gone before anyone asks for the new one.
        (study / "job.exit").unlink(missing_ok=True)
        process = subprocess.Popen(
            ["sh", str(study / "job.sh")], start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        job = JobRef(
            launcher="local", id=str(process.pid), study=str(study.resolve()), log=str(study.resolve() / "job.log"),
            submitted_utc=utc_now(),
        )  # fmt: skip
        write_json(study / "job.json", SCHEMA, job.json())
        return job

    def poll(self, job: JobRef) -> State:
        """By the noted exit code, else by whether the process group still lives."""
        verdict = Path(job.study) / "job.exit"
        if verdict.exists() and verdict.read_text().strip():
            return ENDS.get(int(verdict.read_text()), "failed")
        return "running" if _alive(int(job.id)) else "lost"

    def logs(self, job: JobRef) -> str:
        """The log so far."""
        path = Path(job.log)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def cancel(self, job: JobRef) -> None:
        """SIGTERM to the whole group: workers save, `keel run` exits 75."""
        if _alive(int(job.id)):
            os.killpg(int(job.id), signal.SIGTERM)

    def sync(self, job: JobRef) -> Path:
        """Nothing to copy: it ran here."""
        return Path(job.study)


def attach(study: Path) -> JobRef:
    """The job that was submitted for a study, from job.json."""
    fields = read_json(study / "job.json", SCHEMA)
    return JobRef(**{name: value for name, value in fields.items() if name != "schema"})


def _alive(group: int) -> bool:
    """Whether the process group still has a process that is not a zombie of ours."""
    with suppress(ChildProcessError):
        os.waitpid(group, os.WNOHANG)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
