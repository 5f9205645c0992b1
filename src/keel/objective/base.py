"""The contract of a loss. Simple ones fill `example`, `collate` and `losses`; the base class gives the rest.

An objective gives sums and counts, never means: the engine alone divides, by each term's count over all ranks and
accumulation steps, so that 1 x 16, 4 x 4 and 2 x 2 x 4 samples give the same gradient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from keel.model.shapes import Size
from keel.objective.facts import Facts

Sums = dict[str, Tensor]
Stats = dict[str, Tensor]
Carry = dict[str, Tensor]
Example = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Scratch:
    """Start from fresh weights."""

    kind: Literal["scratch"] = "scratch"


@dataclass(frozen=True)
class Branch:
    """Start from a step of another run, keeping optimiser state and data position."""

    run: str
    step: int
    kind: Literal["branch"] = "branch"


Start = Scratch | Branch


@dataclass(frozen=True, kw_only=True)
class Part:
    """One module of an objective: what it is, how big, where it starts, and what is done to it."""

    family: str
    size: Size
    start: Start
    role: Literal["train"] = "train"
    optimiser: str = "main"


class Sample(NamedTuple):
    """One unit of data with its place in the corpus; for text a packed window of tokens."""

    id: int
    tokens: np.ndarray


class Key(NamedTuple):
    """All that randomness may depend on: the run's seed, the step, the samples."""

    seed: int
    step: int
    sample_ids: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Tensors of one micro-batch; `counts` are known before any forward pass."""

    tensors: Mapping[str, Tensor]
    counts: Mapping[str, int]
    ids: tuple[int, ...] = field(default=())


class Objective(ABC):
    """A loss as data -> sums; see the module's page in docs/design.md."""

    facts: ClassVar[Facts]

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = dict(options or {})

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """The modules this loss trains; one model unless said otherwise."""
        return {"model": Part(family=family, size=size, start=start)}

    @abstractmethod
    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """One sample as arrays; `rng` is keyed by (seed, epoch, sample id) and nothing else."""

    @abstractmethod
    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Examples of equal shape as one micro-batch, with the count of each term."""

    @abstractmethod
    def losses(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> tuple[Sums, Stats]:
        """The sum of each term over the micro-batch, and anything worth logging."""

    def weights(self, step: int) -> Mapping[str, float]:
        """The weight of each term at a step; 1 for terms that are not named."""
        return {}

    def init_carry(self, parts: Mapping[str, nn.Module]) -> Carry:
        """State beside the weights; checkpointed."""
        return {}

    def after_step(self, parts: Mapping[str, nn.Module], carry: Carry, stats: Stats, step: int) -> Carry:
        """The state after an optimiser step."""
        return carry


def stack(examples: Sequence[Example], name: str) -> Tensor:
    """One field of all examples as an int64 tensor."""
    return torch.from_numpy(np.stack([example[name] for example in examples]).astype(np.int64))
