"""What can go wrong, said so that a person can act on it.

Exception
 +-- StudyError      the input or the place is wrong (exit 2); carries every problem found, not the first
 +-- Refused         an honest "no" (exit 3): carries the Refusal that says what would change it
 +-- Preempted       SIGTERM came; state is saved (exit 75)
 +-- Stopped         Ctrl-C came; state is saved (exit 130)
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong: what happened, why, how to mend it, and where (file, line, field)."""

    what: str
    why: str
    fix: str
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}\n  why  {self.why}\n  fix  {self.fix}"


class Refusal(NamedTuple):
    """An answer that the evidence cannot carry, with the cheapest thing that would make it answerable."""

    what: str
    why: str
    fix: str


class StudyError(Exception):
    """The user's input or place is wrong; `problems` holds all of them.

    Example:
        >>> error = StudyError("budget is negative", why="-5 USD", fix="write a positive number", where="study.toml")
        >>> error.problems[0].fix
        'write a positive number'
    """

    def __init__(self, what: str, *, why: str, fix: str, where: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(what, why, fix, where),)
        super().__init__(what)

    @classmethod
    def all(cls, problems: Iterable[Problem]) -> StudyError:
        """Join several problems into one error; at least one is needed."""
        found = tuple(problems)
        assert found, "an error without a problem"
        error = cls(found[0].what, why=found[0].why, fix=found[0].fix, where=found[0].where)
        error.problems = found
        return error

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class Refused(Exception):
    """An honest "no": the evidence cannot carry the answer."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.what)


class Preempted(Exception):
    """The process was asked to end (SIGTERM); everything is saved and the same command goes on."""


class Stopped(Exception):
    """The person pressed Ctrl-C; everything is saved and the same command goes on."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`, as a ready hint, or the list of all.

    Example:
        >>> nearest("budgt", ["budget", "data"])
        "did you mean 'budget'?"
    """
    options = sorted(known)
    close = get_close_matches(name, options, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else "known: " + ", ".join(options)
