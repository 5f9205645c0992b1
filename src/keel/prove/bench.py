"""One loss on its tiny run, in fp64: modules, carry, and examples and micro-batches as the loop itself forms them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from keel.corpus.vocabulary import Vocabulary
from keel.objective.base import Batch, Carry, Example, Features, Key, Objective, Sample, Stats, Sums
from keel.objective.fact import Facts
from keel.objective.held import facts_of
from keel.plan.spec import Spec
from keel.prove.wide import Wide
from keel.prove.world import corpus_of, quarter
from keel.run import parts
from keel.run.batches import Batches
from keel.run.train import Loop, Place


@dataclass(frozen=True)
class Bench:
    """A loss with all that it is called with. `step` is the first at which every part that ever trains does."""

    spec: Spec
    folder: Path
    objective: Objective
    modules: Mapping[str, nn.Module]
    carry: Carry
    batches: Batches
    step: int
    vocabulary: Vocabulary | None

    @property
    def quarter(self) -> int:
        """Samples in a quarter of a step."""
        return quarter(self.group)

    @property
    def group(self) -> int:
        """Samples that must stay together."""
        return self.facts.group

    @property
    def facts(self) -> Facts:
        """Those of the loss with its options."""
        return facts_of(self.spec.objective, self.spec.options)

    def samples(self) -> list[Sample]:
        """All samples of the step."""
        return self.batches.samples(self.step)

    def draw(self, samples: Sequence[Sample], epoch: int = 0, by: Objective | None = None) -> list[Example]:
        """Examples of the samples with the generators that the loop gives them in an epoch."""
        loss = by or self.objective
        return [loss.example(sample, self.batches.rng(loss, epoch, sample.id)) for sample in samples]

    def collate(self, examples: Sequence[Example], samples: Sequence[Sample]) -> Batch:
        """One micro-batch."""
        return self.objective.collate(examples, [sample.id for sample in samples])

    def batch(self) -> Batch:
        """All samples of the step as one micro-batch."""
        return self.collate(self.draw(self.samples()), self.samples())

    def losses(self, batch: Batch) -> tuple[Sums, Features | None, Stats]:
        """What the loss says of a micro-batch."""
        key = Key(self.spec.seed, self.step, batch.ids)
        with Wide():
            return self.objective.losses(self.modules, batch, self.carry, key)

    def terms(self, batch: Batch) -> Sums:
        """All terms of a micro-batch that is a whole step: those of `losses`, and the coupled ones."""
        sums, features, _ = self.losses(batch)
        if not self.objective.coupled:
            return sums
        assert features, "a coupled objective gave no features"
        rows = len(next(iter(features.values())))
        with Wide():
            return {**sums, **self.objective.batch_losses(self.modules, features, slice(0, rows))}

    def at(self, step: int) -> Bench:
        """The same at another step."""
        return replace(self, step=step)

    def weights(self) -> list[Tensor]:
        """Every weight that moves at the step, once."""
        found = [weight for part in self.modules.values() for weight in part.parameters() if weight.requires_grad]
        return list(dict.fromkeys(found))

    def names(self) -> dict[Tensor, str]:
        """The name of every weight."""
        return {w: f"{part}.{name}" for part, module in self.modules.items() for name, w in module.named_parameters()}


def build(spec: Spec, folder: Path) -> Bench:
    """The run's own loop at its first step, its weights and its carry in fp64."""
    loop = Loop(
        spec, Place(folder=folder / "no-checkpoint"), corpus_of(facts_of(spec.objective, spec.options).reads, folder)
    )
    for part in loop.parts.values():
        part.double()
        _open(part)
    loop.carry = {name: widened(value) for name, value in loop.objective.init_carry(loop.parts).items()}
    step = max(part.thaw_step for part in loop.plan.values())
    with Wide():
        loop.begin_epochs(step)
    parts.hold(loop.parts, loop.plan, step)
    return Bench(spec, folder, loop.objective, loop.parts, loop.carry, loop.batches, step, loop.vocabulary)


@torch.no_grad()
def _open(part: nn.Module) -> None:
    """Draw the layers that begin as zeros, so that what lies behind them has a gradient to be seen."""
    generator = torch.Generator().manual_seed(0)
    for module in part.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            module.weight.normal_(0.0, module.in_features**-0.5, generator=generator)


def widened(value: Tensor) -> Tensor:
    """Floating numbers in fp64, others as they are."""
    return value.double() if value.is_floating_point() else value


def number(term: Tensor) -> float:
    """A term as a number."""
    return float(term.detach())


def flat(grads: Sequence[Tensor | None], weights: Sequence[Tensor]) -> Tensor:
    """Gradients in one row, zeros where there is none."""
    dense = [torch.zeros_like(w) if g is None else g.to_dense() if g.is_sparse else g for g, w in zip(grads, weights)]
    return torch.cat([grad.reshape(-1) for grad in dense])
