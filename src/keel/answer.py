"""What a verb gives back: numbers with their origin, problems, files read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from keel.errors import Problem


class Number(NamedTuple):
    """A recommended or measured quantity with everything needed to doubt it.

    `valid` is the range its source covers and `outside` says how far the inputs lie beyond it ("" = inside).
    `yours` marks a value the user set by hand.
    """

    name: str
    value: float | int | str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    formula: str = ""
    inputs: Mapping[str, float | int | str] = {}
    source: str = ""
    valid: str = ""
    outside: str = ""
    yours: bool = False


@dataclass
class Answer:
    """The outcome of one verb; `text` is what a person reads, `result` what a program reads.

    `artefact` is the whole of what the verb made, for other verbs and pages; it is not printed. `status` is "refused"
    where the outcome is an honest "no" that has a table to show, "invalid" where some of the input was wrong.
    """

    result: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    numbers: list[Number] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    artefact: dict[str, Any] = field(default_factory=dict)
    status: Literal["ok", "refused", "invalid"] = "ok"

    def json(self, command: str, status: str) -> dict[str, Any]:
        """The one machine-readable shape that every verb prints with --json."""
        return {
            "keel": 1,
            "command": command,
            "status": status,
            "result": self.result,
            "numbers": [number._asdict() | {"inputs": dict(number.inputs)} for number in self.numbers],
            "problems": [problem._asdict() for problem in self.problems],
            "reads": self.reads,
            "writes": self.writes,
        }
