"""A run's identity: every field that changes a number, and nothing else. A run's id ends in a digest of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from keel.errors import StudyError
from keel.files import digest
from keel.units import show_count

SCHEMA = "keel.spec/1"
UNMARKED = "clm"  # the loss of a ladder where nothing is said: ids need not name it


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Identity of one run. `start` is {"kind": "scratch"} or {"kind": "branch", "run": id, "step": n}.

    `data` names what was read by digest; `steps` counts optimiser steps from step 0, also on a branch; `decay_start`
    is the step at which the learning rate begins to fall linearly to zero (= `steps` on a trunk: no decay).
    `code_sha256` is of the file of a user's own loss.
    """

    objective: str
    options: Mapping[str, Any]
    family: str
    size: Mapping[str, int]
    start: Mapping[str, Any]
    data: Mapping[str, Any]
    batch_tokens: int
    steps: int
    warmup_steps: int
    decay_start: int
    lr_hidden: float
    lr_embedding: float
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    clip_norm: float
    seed: int
    precision: Mapping[str, str]
    code_sha256: str = ""

    def json(self) -> dict[str, Any]:
        """Plain values; `code_sha256` is left out where the loss is one of keel's own."""
        return {name: value for name, value in asdict(self).items() if value or name != "code_sha256"}

    def digest(self) -> str:
        """sha256 of the identity; of a release its digest counts, not where it lies."""
        start = {name: value for name, value in self.start.items() if name != "folder" or "sha256" not in self.start}
        return digest(self.json() | {"start": start})

    @property
    def tokens(self) -> int:
        """Training tokens from step 0."""
        return self.steps * self.batch_tokens

    @property
    def kind(self) -> str:
        """A "trunk" never decays, a "branch" leaves one, a "single" run is whole in itself."""
        if self.decay_start >= self.steps:
            return "trunk"
        return "branch" if self.start["kind"] == "branch" else "single"

    @property
    def run_id(self) -> str:
        """Readable, and unique to the identity: w32-L2-307k-1a2b3c4d; a trunk ends in "trunk".

        Another loss than the default one leads, then whether it goes on from other weights: mlm-continued-w384-L6-...

        Example:
            >>> from keel.plan.spec import example_spec
            >>> example_spec().run_id.rsplit("-", 1)[0]
            'w16-L2-51.2k'
        """
        size = f"w{self.size['width']}-L{self.size['layers']}"
        kind = "trunk-" if self.kind == "trunk" else ""
        lead = "" if self.objective == UNMARKED else f"{self.objective.replace(':', '.')}-"
        lead += "continued-" if self.start["kind"] in ("released", "run") else ""
        return f"{lead}{size}-{show_count(self.tokens)}-{kind}{self.digest()[:8]}"

    def multiplier(self, step: int) -> float:
        """Learning-rate factor of a step (0-based): linear warm-up, constant, linear decay to zero.

        Reference: Hu et al. 2024, arXiv:2404.06395, section 4 (WSD).
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if step < self.decay_start:
            return 1.0
        return (self.steps - step) / (self.steps - self.decay_start)


def from_json(value: Mapping[str, Any], where: str = "") -> Spec:
    """A Spec from spec.json; unknown or missing fields are refused by name."""
    fields = {name: field for name, field in value.items() if name != "schema"}
    known = set(Spec.__dataclass_fields__)
    if set(fields) | {"code_sha256"} != known:
        odd = sorted((set(fields) | {"code_sha256"}) ^ known)
        raise StudyError(
            "this spec was written by another keel", why=f"fields that differ: {', '.join(odd)}",
            fix="plan again, or use the keel that wrote it", where=where,
        )  # fmt: skip
    return Spec(**fields)


def example_spec(**changes: Any) -> Spec:
    """A small complete spec, for examples and tests."""
    values: dict[str, Any] = {
        "objective": "clm", "options": {}, "family": "llama",
        "size": {"width": 16, "layers": 2, "vocabulary": 512, "context": 32, "head_width": 8},
        "start": {"kind": "scratch"}, "data": {}, "batch_tokens": 512, "steps": 100, "warmup_steps": 10,
        "decay_start": 80, "lr_hidden": 0.025, "lr_embedding": 0.03, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8,
        "weight_decay": 0.1, "clip_norm": 1.0, "seed": 0, "precision": {"body": "fp32", "head": "fp32"},
    }  # fmt: skip
    return Spec(**(values | changes))
