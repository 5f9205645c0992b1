"""The loop: explicit order, no callbacks. Batch, gradient, clip, step, log, save; then judge and export."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from keel import model, objective
from keel.corpus.shards import Shards
from keel.errors import Preempted
from keel.model.shapes import Size
from keel.objective.base import Objective
from keel.objective.cost import flop_per_token
from keel.plan.spec import Spec
from keel.run import checkpoint, engine, optimiser, parts
from keel.run.batches import Batches
from keel.run.began import Began
from keel.run.meter import Meter
from keel.run.samples import samples_of

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
    objective: Objective
    step: int
    failed: str | None = None
    began: Mapping[str, Began] = field(default_factory=dict)


class Stepped(NamedTuple):
    """One step's weighted loss, its terms unweighted, their gradients' norms where asked for, and the whole norm."""

    loss: float
    terms: dict[str, float]
    norms: dict[str, float]
    grad_norm: float


class Loop:
    """Everything a step needs, built once from the spec."""

    def __init__(self, spec: Spec, place: Place, shards: Shards) -> None:
        self.spec, self.place = spec, place
        vocabulary = parts.vocabulary_of(spec, shards)
        self.objective = objective.load(spec.objective, spec.options, vocabulary)
        self.family = model.load(spec.family)
        self.shape = self.family.shape(Size(**spec.size))
        self.plan = self.objective.parts(spec.family, Size(**spec.size), parts.start_of(spec))
        tokenizer_json = shards.tokenizer_path.read_text(encoding="utf-8")
        built = parts.begin(self.plan, spec, vocabulary, place.folder.parent, tokenizer_json)
        self.parts, self.began = self.objective.join(built.modules), built.began
        self.optimisers = optimiser.build(self.parts, self.plan, spec)
        self.carry = self.objective.init_carry(self.parts)
        samples = samples_of(self.objective, shards, self.shape.context)
        self.batches = Batches(samples, spec.batch_tokens // self.shape.context, spec.seed)
        self.step = 0
        self._restore()
        parts.hold(self.parts, self.plan, self.step)

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
        optimiser.load_state(self.optimisers, state.optimiser)
        self.carry, self.step = dict(state.carry), state.step

    def save(self) -> None:
        """Write a checkpoint of now; ranks hold the same state, so the first writes it and the others wait."""
        if engine.ranks()[0]:
            engine.meet()
            return
        state = checkpoint.State(
            self.step, checkpoint.part_state(self.parts), optimiser.state(self.optimisers), self.carry
        )  # fmt: skip
        checkpoint.write(self.place.folder, state, self.spec.digest())
        engine.meet()

    def one_step(self, norms: bool = False) -> Stepped:
        """One optimiser step; with `norms` each term's gradient is known apart."""
        rank, ranks = engine.ranks()
        share = self.spec.batch_tokens // self.shape.context // ranks
        micro = self.batches.micro_batches(self.objective, self.step, rank, ranks, self.place.micro_samples or share)
        made = engine.accumulate(
            self.objective, self.parts, micro, self.carry, self.spec.seed, self.step,
            norms=norms and len(micro[0].counts) > 1,
        )  # fmt: skip
        weights = self.objective.weights(self.step)
        before = optimiser.step(self.optimisers, self.spec.multiplier(self.step), self.spec.clip_norm)
        self.step += 1
        parts.follow(self.parts, self.plan, self.objective, self.step)
        self.carry = self.objective.after_step(self.parts, self.carry, made.stats, self.step)
        if any(part.thaw_step == self.step for part in self.plan.values()):
            parts.hold(self.parts, self.plan, self.step)
        loss = sum(weights.get(name, 1.0) * mean for name, mean in made.terms.items())
        return Stepped(loss, made.terms, made.norms, math.hypot(*before.values()))


def train(
    spec: Spec, place: Place, shards: Shards, until: int, keep: set[int], report: Report, should_stop: ShouldStop
) -> Trained:
    """Run steps up to `until`; checkpoints at `keep` stay for branches.

    Raises:
        Preempted: `should_stop` said so; the state is saved.
    """
    loop = Loop(spec, place, shards)
    if said := [*(began.text(name) for name, began in loop.began.items()), *loop.objective.notes]:
        report({"began": said})
    flop_a_token = flop_per_token(spec.objective, spec.options, spec.family, Size(**spec.size))
    head = {"spec_sha256": spec.digest(), "forecast_sha256": place.forecast_sha256}
    path = place.folder / ("metrics.jsonl" if not engine.ranks()[0] else f".metrics-{engine.ranks()[0]}.jsonl")
    meter = Meter(path, head, loop.step, flop_a_token, place.peak_flop_per_s)
    try:
        failed = _steps(loop, meter, until, keep, report, should_stop)
    finally:
        meter.close()
    return Trained(loop.parts, loop.objective, loop.step, failed, loop.began)


def _steps(loop: Loop, meter: Meter, until: int, keep: set[int], report: Report, should_stop: ShouldStop) -> str | None:
    """The loop itself; the name of the gate that failed, or None."""
    spec, every = loop.spec, max(1, loop.spec.steps // LOG_TIMES)
    saved_s = logged_s = time.monotonic()
    recent: list[float] = []
    while loop.step < until:
        due = (loop.step + 1) % every == 0 or loop.step + 1 == until
        made = loop.one_step(norms=due)
        recent.append(made.loss)
        if not (math.isfinite(made.loss) and math.isfinite(made.grad_norm)):
            return f"loss {made.loss}, gradient norm {made.grad_norm} at step {loop.step}"
        now = time.monotonic()
        if due:
            rate = spec.lr_hidden * spec.multiplier(loop.step - 1)
            mean = sum(recent) / len(recent)
            terms = dict.fromkeys(loop.objective.optional) | made.terms
            line = meter.line(loop.step, loop.step * spec.batch_tokens, mean, rate, made.grad_norm, terms, made.norms)
            recent.clear()
            if now - logged_s > LOG_EVERY_S or loop.step == until:
                report({"progress": line, "steps": spec.steps, "until": until})
                logged_s = now
        # Clocks and signals differ between ranks: what one of them wants, all do.
        stop, late = engine.any_rank(should_stop(), now - saved_s > SAVE_EVERY_S)
        if loop.step in keep or late:
            loop.save()
            if not engine.ranks()[0]:
                checkpoint.prune(loop.place.folder, keep | {loop.step})
            saved_s = time.monotonic()
        if stop:
            loop.save()
            raise Preempted
    return None
