"""One run as the page sees it: what was planned, what was done, and in which state it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from keel.files import read_json, sha256_file
from keel.report import metrics, retrieved
from keel.report.words import clean, number, unit_words
from keel.units import MEASURES, value_field

Tree = Mapping[str, Any]
SCHEMAS = {
    "spec.json": "keel.spec/1",
    "execution.json": "keel.execution/1",
    "result.json": "keel.result/1",
    "forecast.json": "keel.forecast/1",
    "score.json": "keel.score/1",
    "tasks.json": "keel.tasks/1",
}
# A log is written every second or so; the judging and the export at a run's end are not logged.
FRESH_S, JUDGING_S = 120.0, 600.0
STATES = ("done", "failed gate", "failed", "running", "stopped", "waiting")


class Reach(NamedTuple):
    """A bounded measure beside the judge's value, with its interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Run:
    """A planned or finished run; every file that is not there is None."""

    id: str
    planned: Tree = field(default_factory=dict)
    spec: Tree | None = None
    execution: Tree | None = None
    result: Tree | None = None
    forecast: Tree | None = None
    score: Tree | None = None
    tasks: Tree | None = None
    retrieved: retrieved.Retrieved | None = None
    forecast_sha256: str | None = None
    log: metrics.Metrics | None = None
    active: bool = False

    @property
    def state(self) -> str:
        """One of STATES."""
        if self.result is not None:
            if self.result.get("ok", True):
                return "done"
            return "failed gate" if self.result.get("gate") else "failed"
        if self.active:
            return "running"
        return "stopped" if self.log is not None else "waiting"

    @property
    def gate(self) -> str:
        """The gate that this run failed and why, in words, or ""."""
        gate = (self.result or {}).get("gate")
        if isinstance(gate, Mapping):
            return clean(": ".join(str(gate[key]) for key in ("name", "why") if gate.get(key)))
        return clean(gate) if gate else ""

    @property
    def params(self) -> float | None:
        """All parameters."""
        for tree in (self.result, self.planned, self.forecast):
            found = number(tree, "params", "total") or number(tree, "params")
            if found is not None:
                return found
        return None

    @property
    def tokens(self) -> float | None:
        """Tokens trained on, counted from step 0."""
        return self._first("tokens")

    @property
    def flop(self) -> float | None:
        """Training compute from step 0 (a branch counts its trunk)."""
        found = number(self.result, "flop")
        return found if found is not None else number(self.planned, "cost", "flop") or number(self.forecast, "flop")

    @property
    def value(self) -> float | None:
        """What its judge measured on what is held out, of a run that passed its gate."""
        judge = str((self.result or {}).get("judge", "bits_per_byte"))
        return number(self.result, value_field(judge)) if self.state == "done" else None

    @property
    def beside(self) -> tuple[Reach, ...]:
        """What its judge measured beside `value`, such as accuracy; of a run that passed its gate."""
        if self.state != "done":
            return ()
        return _reaches(self.result, MEASURES.get(str((self.result or {}).get("judge")), {}))

    @property
    def bounded(self) -> tuple[Reach, ...]:
        """`beside`, and what another judge has found beside its own: captions are judged beside recall."""
        every = {name: place for places in MEASURES.values() for name, place in places.items()}
        return _reaches(self.result, every) if self.state == "done" else ()

    @property
    def measure(self) -> str:
        """What `value` is, in words: the judge of its loss."""
        return unit_words({"unit": (self.result or {}).get("judge")})

    @property
    def seconds(self) -> float | None:
        """Time that the run took."""
        return number(self.execution, "seconds")

    @property
    def held_out(self) -> bool:
        """Whether the plan keeps this run out of the fit, to test the forecast."""
        return bool(self.planned.get("held_out"))

    @property
    def width(self) -> int | None:
        """Width of the model, where the spec says."""
        for tree in (self.planned.get("spec"), self.spec):
            width = number(tree, "size", "width") if isinstance(tree, Mapping) else None
            if width is not None:
                return int(width)
        return None

    @property
    def is_trunk(self) -> bool:
        """A trunk keeps its learning rate high for its branches: it is no point of the law."""
        return "trunk" in ((self.result or {}).get("kind"), self.planned.get("kind"))

    @property
    def name(self) -> str:
        """What to call the run in a sentence: its width, else its id."""
        return f"width {self.width}" if self.width is not None else clean(self.id)

    @property
    def seal(self) -> str:
        """Whether the forecast's digest stands in the log's first line: "kept", "broken" or "open" (no log yet)."""
        if self.forecast is None or self.log is None:
            return "open"
        scored = (self.score or {}).get("forecast_sha256", self.forecast_sha256)
        return "kept" if self.log.forecast_sha256 == self.forecast_sha256 == scored else "broken"

    def _first(self, key: str) -> float | None:
        found = (number(tree, key) for tree in (self.result, self.planned, self.forecast))
        return next((value for value in found if value is not None), None)


def _reaches(result: Tree | None, places: Mapping[str, tuple[str, ...]]) -> tuple[Reach, ...]:
    return tuple(reach for name, place in places.items() if (reach := _reach(result, name, place)))


def _reach(result: Tree | None, name: str, place: tuple[str, ...]) -> Reach | None:
    value, low, high = (number(result, *place[:-1], end) for end in (place[-1], "low", "high"))
    if value is None:
        return None
    return Reach(name, value, value if low is None else low, value if high is None else high)


def read(folder: Path, planned: Tree, owner: str | None = None) -> Run:
    """Read one run's folder; files that are not there stay None, another schema is a StudyError."""
    trees = {name: read_json(folder / name, SCHEMAS[name]) for name in SCHEMAS if (folder / name).is_file()}
    forecast, pictures = folder / "forecast.json", folder / retrieved.FILE
    return Run(
        id=folder.name,
        planned=planned,
        spec=trees.get("spec.json"),
        execution=trees.get("execution.json"),
        result=trees.get("result.json"),
        forecast=trees.get("forecast.json"),
        score=trees.get("score.json"),
        tasks=trees.get("tasks.json"),
        retrieved=retrieved.read(pictures) if pictures.is_file() else None,
        forecast_sha256=sha256_file(forecast) if forecast.is_file() else None,
        log=metrics.read(folder / "metrics.jsonl"),
        active=is_active(folder, owner),
    )


def is_active(folder: Path, owner: str | None) -> bool:
    """Whether somebody works on this run now: its log was written lately, while the study's lock is held.

    Without any lock file (runs brought here from elsewhere) a log of the last two minutes is taken for a living one.
    """
    log = folder / "metrics.jsonl"
    if not log.is_file():
        return False
    age_s = time.time() - log.stat().st_mtime
    if (folder.parent / ".lock").exists():
        return owner is not None and age_s < JUDGING_S
    return age_s < FRESH_S
