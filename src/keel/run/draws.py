"""What a corpus is asked for: samples by their place and epoch, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from keel.objective.base import Sample


class Draw(NamedTuple):
    """The epoch of the run, which sample of it, and how often that one has come before in it: each time is another."""

    epoch: int
    place: int
    again: int = 0


class Samples(ABC):
    """`len` and `[]`: sample i is the same whenever and wherever it is asked for; `notes` say what is left out.

    `waited_s`: seconds that the run has waited for its samples, where somebody counts them.
    """

    notes: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    @property
    def ids(self) -> np.ndarray:
        """The numbers that samples have, in order."""
        return np.array([self[place].id for place in range(len(self))], np.int64)

    def stream(self, draws: Iterable[Draw]) -> Generator[Sample]:
        """A sample for each draw, in order; draws may be read ahead of what is asked for."""
        for draw in draws:
            yield self[draw.place]

    def undrawn(self, places: Iterable[int]) -> Iterator[Sample]:
        """Samples as they are, in the order asked for: nothing of them is drawn."""
        return (self[place] for place in places)

    @property
    def waited_s(self) -> float | None:
        """Nobody counts."""
        return None

    def close(self) -> None:
        """Let go of whatever makes samples ahead: here nothing does."""
        return
