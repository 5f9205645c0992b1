"""Which samples a step sees: a pure function of (seed, step), so that any step can be resumed or replayed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from keel.corpus.order import order
from keel.objective.base import Batch, Objective, Sample
from keel.run.samples import Samples


class Batches:
    """`batch` samples a step, in a fresh order every epoch.

    Place i of the run is sample order(seed, i // n)[i mod n]; step s takes places s B ... (s + 1) B - 1.
    """

    def __init__(self, samples: Samples, batch: int, seed: int) -> None:
        self.source, self.batch, self.seed = samples, batch, seed
        self._order = lru_cache(maxsize=2)(lambda epoch: order(len(samples), seed, epoch))

    def samples(self, step: int) -> list[Sample]:
        """All samples of one optimiser step, over all ranks and accumulation steps."""
        return [self._sample(index) for index in range(step * self.batch, (step + 1) * self.batch)]

    def _sample(self, index: int) -> Sample:
        epoch, place = divmod(index, len(self.source))
        return self.source[int(self._order(epoch)[place])]

    def micro_batches(self, objective: Objective, step: int, rank: int, ranks: int, micro: int) -> list[Batch]:
        """This rank's share of a step in micro-batches of at most `micro` samples, cut in multiples of the group."""
        samples = self.samples(step)
        share = len(samples) // ranks
        assert share * ranks == len(samples), "samples of a step do not divide over the ranks"
        mine = samples[rank * share : (rank + 1) * share]
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
