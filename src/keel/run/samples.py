"""Samples of a corpus: what an objective reads, each with a number, a pure function of the shards.

Legend: n samples.
"""

from __future__ import annotations

from typing import Protocol

from keel.corpus.shards import Shards
from keel.errors import StudyError
from keel.objective.base import Objective, Sample


class Samples(Protocol):
    """`len` and `[]`: sample i is the same whenever and wherever it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class Windows:
    """Packed windows of the training stream: sample i holds tokens i stride ... i stride + length - 1."""

    def __init__(self, shards: Shards, length: int, stride: int) -> None:
        self.shards, self.length, self.stride = shards, length, stride
        self.number = 1 + (shards.num_tokens - length) // stride if shards.num_tokens >= length else 0
        if not self.number:
            raise StudyError("the training text is shorter than one window", where=str(shards.folder),
                             why=f"{shards.num_tokens} tokens, and a window is {length}",
                             fix="bring more text, or set a smaller model.context and plan again")  # fmt: skip

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Sample:
        return Sample(index, self.shards.window(index * self.stride, self.length))


def samples_of(objective: Objective, shards: Shards, context: int) -> Samples:
    """What this objective reads at this context."""
    window = objective.window(context)
    return Windows(shards, window.length, window.stride)
