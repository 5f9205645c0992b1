"""The loop: explicit order, no callbacks. Batch, gradient, clip, step, log, save; then judge and export."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from keel import model, objective
from keel.corpus.shards import Shards
from keel.errors import Preempted
from keel.model.shapes import Size
from keel.plan.spec import Spec
from keel.run import checkpoint, engine, optimiser
from keel.run.batches import Batches
from keel.run.meter import Meter

# How often a run is saved is execution, never identity: any value gives the same numbers.
SAVE_EVERY_S = float(os.environ.get("KEEL_SAVE_EVERY_S", "30"))
LOG_EVERY_S = 1.0
LOG_TIMES = 200

Report = Callable[[dict[str, Any]], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and how a run is executed: nothing here may change a number."""

    folder: Path
    parent: Path | None = None
    micro_samples: int | None = None
    peak_flop_per_s: float = 0.0
    forecast_sha256: str | None = None


@dataclass
class Trained:
    """A run in memory."""

    parts: Mapping[str, nn.Module]
    step: int
    failed: str | None = None


class Loop:
    """Everything a step needs, built once from the spec."""

    def __init__(self, spec: Spec, place: Place, shards: Shards) -> None:
        self.spec, self.place = spec, place
        self.objective = objective.load(spec.objective, spec.options)
        self.family = model.load(spec.family)
        self.shape = self.family.shape(Size(**spec.size))
        self.parts: dict[str, nn.Module] = {"model": self.family.build(self.shape, spec.precision, spec.seed)}
        self.optimiser = optimiser.build(self.parts, spec)
        self.carry = self.objective.init_carry(self.parts)
        self.batches = Batches(shards, self.shape.context, spec.batch_tokens, spec.seed)
        self.step = 0
        self._restore()

    def _restore(self) -> None:
        """Go on from this run's newest checkpoint, else from the trunk's at the branching step, else from scratch."""
        own = checkpoint.steps(self.place.folder)
        if own:
            self.load(checkpoint.read(self.place.folder, own[-1], self.spec.digest()))
        elif self.spec.start["kind"] == "branch":
            assert self.place.parent is not None, "a branch needs its trunk's folder"
            self.load(checkpoint.read(self.place.parent, int(self.spec.start["step"])))

    def load(self, state: checkpoint.State) -> None:
        """Take over a saved state."""
        checkpoint.load_parts(self.parts, state.parts)
        optimiser.load_state(self.optimiser, state.optimiser)
        self.carry, self.step = dict(state.carry), state.step

    def save(self) -> None:
        """Write a checkpoint of now."""
        state = checkpoint.State(
            self.step, checkpoint.part_state(self.parts), optimiser.state(self.optimiser), self.carry
        )  # fmt: skip
        checkpoint.write(self.place.folder, state, self.spec.digest())

    def one_step(self) -> tuple[dict[str, float], float]:
        """One optimiser step: mean of each term, and the gradient's norm before clipping."""
        rank, ranks = engine.ranks()
        share = self.spec.batch_tokens // self.shape.context // ranks
        micro = self.batches.micro_batches(self.objective, self.step, rank, ranks, self.place.micro_samples or share)
        optimiser.set_rate(self.optimiser, self.spec.multiplier(self.step))
        terms, stats = engine.accumulate(self.objective, self.parts, micro, self.carry, self.spec.seed, self.step)
        weights = [weight for part in self.parts.values() for weight in part.parameters()]
        norm = torch.nn.utils.clip_grad_norm_(weights, self.spec.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.carry = self.objective.after_step(self.parts, self.carry, stats, self.step)
        return terms, float(norm)


def train(
    spec: Spec, place: Place, shards: Shards, until: int, keep: set[int], report: Report, should_stop: ShouldStop
) -> Trained:
    """Run steps up to `until`; checkpoints at `keep` stay for branches.

    Raises:
        Preempted: `should_stop` said so; the state is saved.
    """
    loop = Loop(spec, place, shards)
    flop_per_token = loop.family.flop_per_token(loop.shape)
    head = {"spec_sha256": spec.digest(), "forecast_sha256": place.forecast_sha256}
    meter = Meter(place.folder / "metrics.jsonl", head, loop.step, flop_per_token, place.peak_flop_per_s)
    try:
        failed = _steps(loop, meter, until, keep, report, should_stop)
    finally:
        meter.close()
    return Trained(loop.parts, loop.step, failed)


def _steps(loop: Loop, meter: Meter, until: int, keep: set[int], report: Report, should_stop: ShouldStop) -> str | None:
    """The loop itself; the name of the gate that failed, or None."""
    spec, every = loop.spec, max(1, loop.spec.steps // LOG_TIMES)
    saved_s = logged_s = time.monotonic()
    recent: list[float] = []
    while loop.step < until:
        terms, norm = loop.one_step()
        loss = sum(terms.values())
        recent.append(loss)
        if not torch.isfinite(torch.tensor([loss, norm])).all():
            return f"loss {loss}, gradient norm {norm} at step {loop.step}"
        now = time.monotonic()
        if loop.step % every == 0 or loop.step == until:
            rate = spec.lr_hidden * spec.multiplier(loop.step - 1)
            mean = sum(recent) / len(recent)
            line = meter.line(loop.step, loop.step * spec.batch_tokens, mean, rate, norm)
            recent.clear()
            if now - logged_s > LOG_EVERY_S or loop.step == until:
                report({"progress": line, "steps": spec.steps, "until": until})
                logged_s = now
        if loop.step in keep or now - saved_s > SAVE_EVERY_S:
            loop.save()
            checkpoint.prune(loop.place.folder, keep | {loop.step})
            saved_s = time.monotonic()
        if should_stop():
            loop.save()
            raise Preempted
    return None
