"""One experiment: a run, what it differs in from its baseline, what it costs and what it teaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from keel.plan.spec import Spec

Kind = Literal["trunk", "branch", "single"]
DERIVED = ("lr_hidden", "decay_start", "warmup_steps", "start")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """FLOP from step 0 and of this run alone; seconds on this machine; None = unknown."""

    flop: float
    own_flop: float
    s: float
    s_low: float
    s_high: float
    memory_bytes: float
    usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """`factors` are the free fields that differ from the baseline; `derived` those that follow from them.

    A "single" run is whole in itself, an arm: `free` names its one change, and all else that differs follows from it.
    """

    spec: Spec
    kind: Kind
    trunk: str | None
    why: str
    cost: Cost
    gate: str
    held_out: bool
    threads: int
    params: Mapping[str, int]
    baseline: Spec | None
    free: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The run's id."""
        return self.spec.run_id

    def json(self) -> dict[str, Any]:
        """Plain values for plan.json."""
        changed = differences(self.baseline, self.spec) if self.baseline else {}
        derived = {name for name in changed if (name not in self.free if self.free else name in DERIVED)}
        return {
            "id": self.id, "kind": self.kind, "trunk": self.trunk, "spec": self.spec.json(), "why": self.why,
            "cost": vars(self.cost), "gate": self.gate, "held_out": self.held_out, "threads": self.threads,
            "params": dict(self.params), "tokens": self.spec.tokens,
            "baseline": self.baseline.run_id if self.baseline else None,
            "factors": {name: value for name, value in changed.items() if name not in derived},
            "derived": {name: value for name, value in changed.items() if name in derived},
        }  # fmt: skip


def differences(baseline: Spec, spec: Spec) -> dict[str, list[Any]]:
    """Fields that differ: name -> [baseline's, ours]; to a whole run a branch is what it is from step 0 on."""
    if spec.kind == "single" and baseline.kind == "branch":
        baseline = replace(baseline, start={"kind": "scratch"})
    ours, theirs = vars(spec), vars(baseline)
    return {name: [theirs[name], ours[name]] for name in ours if ours[name] != theirs[name]}
