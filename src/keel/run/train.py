"""The loop: explicit order, no callbacks. Batch, gradient, clip, step, log, save; then judge and export."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from keel import model, objective
from keel.corpus.store import Corpus
from keel.errors import Preempted
from keel.model.shapes import Size
from keel.objective import own
from keel.objective.base import Objective
from keel.objective.cost import flop_per_token
from keel.plan.spec import Spec
from keel.run import batch_norms, checkpoint, engine, epochs, optimiser, parallel, parts
from keel.run.batches import Batches
from keel.run.began import Began
from keel.run.meter import Meter
from keel.run.pictures import want_of
from keel.run.samples import samples_of
from keel.run.whose_tokens import tokenizer_json

# How often a run is saved is execution, never identity: any value gives the same numbers.
SAVE_EVERY_S = float(os.environ.get("KEEL_SAVE_EVERY_S", "30"))
LOG_EVERY_S = 1.0
LOG_TIMES = 200
ORDER = "order"  # of the epoch that a checkpoint lies in, beside the loss's own state

Report = Callable[[dict[str, Any]], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and how a run is executed: nothing here may change a number.

    `sharded`: ranks share weights, gradients and moments out among them, and each keeps its part (run/parallel.py).
    `workers`: processes that make images ahead.
    """

    folder: Path
    parent: Path | None = None
    micro_samples: int | None = None
    peak_flop_per_s: float = 0.0
    forecast_sha256: str | None = None
    sharded: bool = False
    workers: int = 0


@dataclass
class Trained:
    """A run in memory."""

    parts: Mapping[str, nn.Module]
    objective: Objective
    step: int
    failed: str | None = None
    began: Mapping[str, Began] = field(default_factory=dict)


class Stepped(NamedTuple):
    """One step's weighted loss, its terms unweighted, their gradients' norms where asked for, and the whole norm.

    `told`: what the loss says of it beside.
    """

    loss: float
    terms: dict[str, float]
    norms: dict[str, float | None]
    grad_norm: float
    told: Mapping[str, float]


class Loop:
    """Everything a step needs, built once from the spec."""

    def __init__(self, spec: Spec, place: Place, corpus: Corpus) -> None:
        self.spec, self.place = spec, place
        own.find_in(place.folder.parent.parent)
        own.check_code(spec.objective, spec.options, spec.code_sha256, str(place.folder))
        self.vocabulary = parts.vocabulary_of(spec, corpus)
        self.objective = objective.load(spec.objective, spec.options, self.vocabulary)
        self.family = model.load(spec.family)
        self.shape = self.family.shape(Size(**spec.size))
        self.plan = self.objective.parts(spec.family, Size(**spec.size), parts.start_of(spec))
        self._tokenizer_json = tokenizer_json(self.objective.facts, self.objective.options, corpus)
        self.parts, self.began = self._built()
        self.carry = self.objective.init_carry(self.parts)
        if place.sharded:
            self.parts = parallel.shard(self.parts, self.objective)
        self.optimisers = optimiser.build(self.parts, self.plan, spec)
        batch_norms.check(self.parts, self.objective, *self._pieces())
        samples = samples_of(self.objective, corpus, want_of(self.shape, spec.seed, place.workers))
        self.batches = Batches(
            samples, spec.batch_tokens // self.shape.context, spec.seed, given=self.objective.reorders
        )  # fmt: skip
        self.step = 0
        self._restore()
        parts.hold(self.parts, self.plan, self.step)

    def _built(self) -> tuple[dict[str, nn.Module], dict[str, Began]]:
        """The parts with their first weights, joined; and where these came from."""
        runs = self.place.folder.parent
        built = parts.begin(self.plan, self.spec, self.vocabulary, runs, self._tokenizer_json)
        return self.objective.join(built.modules), built.began

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
        order = self.carry.pop(ORDER, None)
        self.batches.resume(self.step, None if order is None else order.numpy())

    def save(self) -> None:
        """Write a checkpoint of now, the same however it is executed: the first rank does, the others wait."""
        first = not engine.ranks()[0]
        weights = parallel.gathered(checkpoint.part_state(self.parts), keep=first)
        moments = parallel.gathered(optimiser.state(self.optimisers), keep=first)
        if first:
            order = self.batches.orders.newest
            carry = self.carry if order is None else {**self.carry, ORDER: torch.from_numpy(order)}
            checkpoint.write(
                self.place.folder, checkpoint.State(self.step, weights, moments, carry), self.spec.digest()
            )  # fmt: skip
        engine.meet()

    def whole(self) -> Mapping[str, nn.Module]:
        """The parts as one process has them, to be judged and exported; of sharded ones, on the first rank alone."""
        if not isinstance(self.parts, parallel.Sharded):
            return self.parts
        first = not engine.ranks()[0]
        weights = parallel.gathered(checkpoint.part_state(self.parts), keep=first)
        if not first:
            return self.parts
        modules, _ = self._built()
        checkpoint.load_parts(modules, weights)
        parts.hold(modules, self.plan, self.step)
        return modules

    def _pieces(self) -> tuple[int, int]:
        """Samples that go through the model at once, and samples of a whole step."""
        samples = self.spec.batch_tokens // self.shape.context
        return self.place.micro_samples or samples // engine.ranks()[1], samples

    def begin_epochs(self, step: int) -> None:
        """Begin the epochs that a step sees samples of; those of the last epoch in it meet the new one's state."""
        for epoch in self.batches.unknown(step):
            self.carry, order = epochs.begin(
                self.objective, self.parts, self.batches.source, self.spec.seed, self.carry, epoch
            )  # fmt: skip
            self.batches.orders.begin(epoch, order)

    def one_step(self, norms: bool = False) -> Stepped:
        """One optimiser step; with `norms` each term's gradient is known apart."""
        rank, ranks = engine.ranks()
        self.begin_epochs(self.step)
        micro = self.batches.micro_batches(self.objective, self.step, rank, ranks, self._pieces()[0])
        made = engine.accumulate(
            self.objective, self.parts, micro, self.carry, self.spec.seed, self.step,
            norms=norms and len(micro[0].counts) > 1,
        )  # fmt: skip
        weights = self.objective.weights(self.step)
        before = optimiser.step(self.optimisers, self.spec.multiplier(self.step), self.spec.clip_norm)
        self.step += 1
        parts.follow(self.parts, self.plan, self.objective, self.step, _decayed(self.spec, self.step))
        self.carry = self.objective.after_step(self.parts, self.carry, made.stats, self.step)
        if any(part.thaw_step == self.step for part in self.plan.values()):
            parts.hold(self.parts, self.plan, self.step)
        loss = sum(weights.get(name, 1.0) * mean for name, mean in made.terms.items())
        return Stepped(loss, made.terms, made.norms, math.hypot(*before.values()), self.objective.told(made.stats))


def _decayed(spec: Spec, step: int) -> float:
    """The share of the decay that is done behind `step` steps: 0 before it, 1 at the end."""
    done = step - spec.decay_start
    return done / (spec.steps - spec.decay_start) if done > 0 else 0.0


def train(
    spec: Spec, place: Place, corpus: Corpus, until: int, keep: set[int], report: Report, should_stop: ShouldStop
) -> Trained:
    """Run steps up to `until`; checkpoints at `keep` stay for branches.

    Raises:
        Preempted: `should_stop` said so; the state is saved.
    """
    loop = Loop(spec, place, corpus)
    if said := [
        *(began.text(name) for name, began in loop.began.items()),
        *loop.objective.notes,
        *loop.batches.source.notes,
    ]:
        report({"began": said})
    flop_a_token = flop_per_token(spec.objective, spec.options, spec.family, Size(**spec.size))
    head = {"spec_sha256": spec.digest(), "forecast_sha256": place.forecast_sha256}
    path = place.folder / ("metrics.jsonl" if not engine.ranks()[0] else f".metrics-{engine.ranks()[0]}.jsonl")
    meter = Meter(path, head, loop.step, flop_a_token, place.peak_flop_per_s)
    try:
        failed = _steps(loop, meter, until, keep, report, should_stop)
    finally:
        meter.close()
        loop.batches.close()
        loop.batches.source.close()
    return Trained(loop.whole(), loop.objective, loop.step, failed, loop.began)


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
            line = meter.line(loop.step, loop.step * spec.batch_tokens, mean, rate, made.grad_norm, terms, made.norms,
                              loop.batches.source.waited_s, made.told)  # fmt: skip
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
