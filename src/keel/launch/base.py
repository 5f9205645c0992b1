"""What every launcher can do: check first, write a script a person could paste, submit, and be asked again later."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from keel.errors import Problem

State = Literal["running", "done", "failed", "preempted", "stopped", "lost"]


@dataclass(frozen=True, kw_only=True)
class JobRef:
    """A submitted job, as JSON, so that another process on another day can ask for it."""

    launcher: str
    id: str
    study: str
    log: str
    submitted_utc: str

    def json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Launcher(Protocol):
    """Runs `keel run` on a study somewhere."""

    def preflight(self, study: Path) -> list[Problem]:
        """Everything that would fail later, all at once; empty = go."""
        ...

    def script(self, study: Path) -> str:
        """A readable script that does the same when pasted by hand."""
        ...

    def submit(self, study: Path) -> JobRef:
        """Start it and return at once."""
        ...

    def poll(self, job: JobRef) -> State:
        """What has become of it."""
        ...

    def logs(self, job: JobRef) -> str:
        """What it has printed so far."""
        ...

    def cancel(self, job: JobRef) -> None:
        """Ask it to save and stop."""
        ...

    def sync(self, job: JobRef) -> Path:
        """The study's folder with everything the job has written."""
        ...
