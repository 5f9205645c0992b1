"""Which samples a step sees: a pure function of (seed, step), so that any step can be resumed or replayed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import lru_cache
from itertools import count, islice

import numpy as np

from keel.corpus.order import order
from keel.objective.base import Batch, Objective, Sample
from keel.run.draws import Draw, Samples


class Batches:
    """`batch` samples a step, in a fresh order every epoch.

    Place i of the run is sample order(seed, i // n)[i mod n]; step s takes places s B ... (s + 1) B - 1.
    """

    def __init__(self, samples: Samples, batch: int, seed: int) -> None:
        self.source, self.batch, self.seed = samples, batch, seed
        self._order = lru_cache(maxsize=2)(lambda epoch: order(len(samples), seed, epoch))
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
        return list(islice(self._coming, share))

    def _draws(self, step: int, rank: int, ranks: int) -> Iterator[Draw]:
        """What this rank asks for from a step on."""
        share = self.batch // ranks
        for first in count(step * self.batch + rank * share, self.batch):
            for index in range(first, first + share):
                epoch, place = divmod(index, len(self.source))
                yield Draw(epoch, int(self._order(epoch)[place]))

    def close(self) -> None:
        """Ask for no more."""
        if self._coming is not None:
            self._coming.close()
        self._coming = None

    def micro_batches(self, objective: Objective, step: int, rank: int, ranks: int, micro: int) -> list[Batch]:
        """This rank's share of a step in micro-batches of at most `micro` samples, cut in multiples of the group."""
        mine = self.samples(step, rank, ranks)
        share = len(mine)
        assert micro % objective.facts.group == 0, "a micro-batch must hold whole groups"
        start = step * self.batch + rank * share
        return [
            self._collate(objective, start + first, mine[first : first + micro]) for first in range(0, share, micro)
        ]  # fmt: skip

    def _collate(self, objective: Objective, first: int, samples: list[Sample]) -> Batch:
        """`first` is the place of the first sample in the run: a step may end one epoch and begin the next."""
        examples = [
            objective.example(sample, self.rng(objective, (first + place) // len(self.source), sample.id))
            for place, sample in enumerate(samples)
        ]
        return objective.collate(examples, [sample.id for sample in samples])

    def rng(self, objective: Objective, epoch: int, sample_id: int) -> np.random.Generator:
        """Fresh draws every epoch, or the same ones again after `variants` epochs."""
        turn = epoch % objective.variants if objective.variants else epoch
        return np.random.Generator(np.random.Philox(key=[self.seed << 32 | turn, sample_id]))
