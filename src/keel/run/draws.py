"""What a corpus is asked for: samples by their place and epoch, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from typing import NamedTuple

from keel.objective.base import Sample


class Draw(NamedTuple):
    """The epoch of the run, and which sample of it."""

    epoch: int
    place: int


class Samples(ABC):
    """`len` and `[]`: sample i is the same whenever and wherever it is asked for; `notes` say what is left out.

    `waited_s`: seconds that the run has waited for its samples, where somebody counts them.
    """

    notes: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    def stream(self, draws: Iterable[Draw]) -> Generator[Sample]:
        """A sample for each draw, in order; draws may be read ahead of what is asked for."""
        for draw in draws:
            yield self[draw.place]

    @property
    def waited_s(self) -> float | None:
        """Nobody counts."""
        return None

    def close(self) -> None:
        """Let go of whatever makes samples ahead: here nothing does."""
        return
