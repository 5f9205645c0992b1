"""Which samples a step sees: a pure function of (seed, step), so that any step can be resumed or replayed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from keel.corpus.order import order
from keel.corpus.shards import Shards
from keel.errors import StudyError
from keel.objective.base import Batch, Objective, Sample


class Batches:
    """Packed windows of `context` + 1 tokens in a fresh order every epoch.

    Sample i of the run is window order(seed, i // n)[i mod n]; step s takes samples s B ... (s + 1) B - 1.
    """

    def __init__(self, shards: Shards, context: int, batch_tokens: int, seed: int) -> None:
        self.shards, self.context, self.seed = shards, context, seed
        self.num_windows = (shards.num_tokens - 1) // context
        if self.num_windows < 1:
            raise StudyError("the training text is shorter than one window", where=str(shards.folder),
                             why=f"{shards.num_tokens} tokens, and the context is {context}",
                             fix="bring more text, or set a smaller model.context and plan again")  # fmt: skip
        self.batch = batch_tokens // context
        self._order = lru_cache(maxsize=2)(lambda epoch: order(self.num_windows, seed, epoch))

    def samples(self, step: int) -> list[Sample]:
        """All samples of one optimiser step, over all ranks and accumulation steps."""
        return [self._sample(index) for index in range(step * self.batch, (step + 1) * self.batch)]

    def _sample(self, index: int) -> Sample:
        epoch, place = divmod(index, self.num_windows)
        window = int(self._order(epoch)[place])
        return Sample(window, self.shards.window(window * self.context, self.context + 1))

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
            objective.example(sample, self._rng((first + place) // self.num_windows, sample.id))
            for place, sample in enumerate(samples)
        ]
        return objective.collate(examples, [sample.id for sample in samples])

    def _rng(self, epoch: int, sample_id: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self.seed << 32 | epoch, sample_id]))
