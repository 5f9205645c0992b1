"""The beginning of an epoch: a loss may read all training samples, renew its state, and say which ones the epoch sees.

Every rank does the same; what the first one found is what all go on with, in its bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from keel.evaluate.modes import evaluating
from keel.objective.base import Carry, Objective, Sample
from keel.objective.reading import Order
from keel.run import engine, parallel
from keel.run.draws import Samples

# Part of what a run is: a sum in a kernel may hang on how many samples go through at once.
AT_ONCE = 64


class Reading:
    """The training samples undrawn, and what the parts make of them: batches shared out among ranks in turn."""

    def __init__(self, samples: Samples, seed: int, parts: Mapping[str, nn.Module]) -> None:
        self.number, self.seed = len(samples), seed
        self._samples, self._parts = samples, parts

    @property
    def ids(self) -> np.ndarray:
        """The samples' own numbers."""
        return self._samples.ids

    def __call__(self, places: Iterable[int]) -> Iterator[Sample]:
        """Samples in the order asked for."""
        return self._samples.undrawn(places)

    def states(self, of: Callable[[Sequence[Sample]], Tensor]) -> Tensor:
        """(n, d): what `of` gives of all samples in order, AT_ONCE of them at once."""
        rank, ranks = engine.ranks()
        pieces = [range(first, min(first + AT_ONCE, self.number)) for first in range(0, self.number, AT_ONCE)]
        mine = pieces[rank::ranks]
        coming = self(place for piece in mine for place in piece)
        found: Tensor | None = None
        some: list[Sample] = []
        # Sharded ranks go through the layers together, so that each makes as many passes as the others.
        for turn in range(-(-len(pieces) // ranks)):
            piece = mine[turn] if turn < len(mine) else range(0)
            some = list(islice(coming, len(piece))) or some or list(self(pieces[0]))
            given = parallel.inside(self._parts, lambda some=some: of(some))  # type: ignore[misc]
            if found is None:
                found = given.new_zeros(self.number, *given.shape[1:])
            if len(piece):
                found[piece.start : piece.stop] = given
        assert found is not None, "no sample"
        if ranks > 1:
            dist.all_reduce(found)  # every row is one rank's alone
        return found


def begin(
    objective: Objective, parts: Mapping[str, nn.Module], samples: Samples, seed: int, carry: Carry, epoch: int
) -> tuple[Carry, Order | None]:  # fmt: skip
    """The state that an epoch begins with, and its order where the loss gives one: the same on every rank."""
    with torch.no_grad(), evaluating(parts.values()):
        carry, order = objective.before_epoch(parts, Reading(samples, seed, parts), carry, epoch)
    carry = {name: _first_ones(carry[name]) for name in sorted(carry)}
    return carry, None if order is None else _first_ones(torch.from_numpy(order)).numpy()


def _first_ones(tensor: Tensor) -> Tensor:
    """A tensor as the first rank has it."""
    if engine.ranks()[1] > 1:
        tensor = tensor.contiguous()
        dist.broadcast(tensor, 0)
    return tensor
