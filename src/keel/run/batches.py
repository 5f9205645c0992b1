"""Which samples a step sees: a pure function of (seed, step), so that any step can be resumed or replayed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import count, islice

import numpy as np

from keel.errors import StudyError
from keel.objective.base import Batch, Objective, Sample
from keel.objective.reading import Order
from keel.run.draws import Draw, Samples
from keel.run.orders import Orders


class Batches:
    """`batch` samples a step, in a fresh order every epoch.

    Place i of the run is sample order(i // n)[i mod n]; step s takes places s B ... (s + 1) B - 1. `given`: an epoch's
    order is given before a step that sees samples of it, and no sample is made ahead of an order that is not known.
    """

    def __init__(self, samples: Samples, batch: int, seed: int, *, given: bool = False) -> None:
        self.source, self.batch, self.seed = samples, batch, seed
        self.orders = Orders(len(samples), seed, given=given)
        # The samples to come, where the last ones that were asked for were those of the step before.
        self._coming: Generator[Sample] | None = None
        self._next: tuple[int, int, int] | None = None

    def samples(self, step: int, rank: int = 0, ranks: int = 1) -> list[Sample]:
        """This rank's samples of one optimiser step, over all accumulation steps."""
        share = self.batch // ranks
        assert share * ranks == self.batch, "samples of a step do not divide over the ranks"
        if self._coming is None or self._next != (step, rank, ranks):
            self.close()
            self._coming = self.source.stream(self._draws(step, rank, ranks))
        self._next = (step + 1, rank, ranks)
        found = list(islice(self._coming, share))
        if len(found) < share:  # the stream ended at an order that was not known then
            self._coming = self.source.stream(islice(self._draws(step, rank, ranks), len(found), None))
            found += islice(self._coming, share - len(found))
        assert len(found) == share, "a step of an epoch that has not begun"
        return found

    def unknown(self, step: int) -> list[int]:
        """Epochs whose order must be given before a step."""
        return self.orders.unknown(step * self.batch, (step + 1) * self.batch)

    def resume(self, step: int, newest: Order | None) -> None:
        """Go on before a step, in an epoch that had begun with this order; None: with none of its own."""
        if self.orders.given and step:
            self.orders.begin((step * self.batch - 1) // len(self.source), newest)

    def _draws(self, step: int, rank: int, ranks: int) -> Iterator[Draw]:
        """What this rank asks for from a step on."""
        share = self.batch // ranks
        for first in count(step * self.batch + rank * share, self.batch):
            for index in range(first, first + share):
                if not self.orders.knows(index):
                    return
                yield self.orders.draw(index)

    def close(self) -> None:
        """Ask for no more."""
        if self._coming is not None:
            self._coming.close()
        self._coming = None

    def micro_batches(self, objective: Objective, step: int, rank: int, ranks: int, micro: int) -> list[Batch]:
        """This rank's share of a step in micro-batches of at most `micro` samples, cut in multiples of the group.

        Raises:
            StudyError: a micro-batch, or the share, does not hold whole groups.
        """
        mine, group = self.samples(step, rank, ranks), objective.facts.group
        share = len(mine)
        if micro % group or share % group:
            raise StudyError(f"{micro} samples at once of {share} do not hold whole groups", where="train.batch",
                             why=f"{group} samples of this loss stay together",
                             fix=f"set train.batch to a multiple of {group * ranks} samples")  # fmt: skip
        start = step * self.batch + rank * share
        return [
            self._collate(objective, start + first, mine[first : first + micro]) for first in range(0, share, micro)
        ]  # fmt: skip

    def _collate(self, objective: Objective, first: int, samples: list[Sample]) -> Batch:
        """`first` is the place of the first sample in the run: a step may end one epoch and begin the next."""
        draws = [self.orders.draw(first + place) for place in range(len(samples))]
        examples = [
            objective.example(sample, self.rng(objective, draw.epoch, sample.id, draw.again))
            for draw, sample in zip(draws, samples, strict=True)
        ]
        return objective.collate(examples, [sample.id for sample in samples])

    def rng(self, objective: Objective, epoch: int, sample_id: int, again: int = 0) -> np.random.Generator:
        """Fresh draws every epoch and each time `again` in it, or the same ones again after `variants` epochs."""
        turn = epoch % objective.variants if objective.variants else epoch
        return np.random.Generator(np.random.Philox(key=[self.seed << 32 | turn, sample_id], counter=[0, 0, 0, again]))
