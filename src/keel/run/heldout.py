"""Held-out samples of a loss, made as they are read: what it reads in training, from the text that is kept from it."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np

from keel.corpus.parallel import Bitext
from keel.corpus.shards import Shards
from keel.objective.base import Objective, Sample
from keel.run import samples


class Held(Shards):
    """The held-out stream of shards in the place of their training stream."""

    def __init__(self, shards: Shards) -> None:
        vars(self).update(vars(shards))
        self.parts = [shards.heldout]  # type: ignore[list-item]
        self.ends, self.num_tokens = np.array([len(shards.heldout)]), len(shards.heldout)


def windows(shards: Shards, length: int, stride: int) -> Iterator[Sample]:
    """Windows of the held-out stream; the last one is shorter where it ends, and a single token is left out.

    Example:
        >>> from types import SimpleNamespace
        >>> text = SimpleNamespace(heldout=np.arange(6))
        >>> [sample.tokens.tolist() for sample in windows(text, 3, 2)], len(list(windows(text, 4, 4)))
        ([[0, 1, 2], [2, 3, 4], [4, 5]], 2)
    """
    stream = shards.heldout
    for number, first in enumerate(range(0, len(stream), stride)):
        # What overlaps the window before has been asked there.
        fresh = len(stream) - first - (length - stride if number else 0)
        if fresh > 0 and len(stream) - first > 1:
            yield Sample(number, stream[first : first + length])


def samples_of(objective: Objective, corpus: Shards | Bitext, context: int) -> Iterator[Sample]:
    """What this objective reads at this context, of the held-out part, in order and once."""
    if isinstance(corpus, Shards) and objective.facts.reads == "windows":
        yield from windows(corpus, *objective.window(context))
        return
    made = samples.samples_of(objective, _held(corpus), context)
    yield from (made[place] for place in range(len(made)))


def _held(corpus: Shards | Bitext) -> Shards | Bitext:
    """A corpus whose training part is the held-out one."""
    if isinstance(corpus, Shards):
        return Held(corpus)
    held = copy.copy(corpus)
    held.train = corpus.heldout
    return held
