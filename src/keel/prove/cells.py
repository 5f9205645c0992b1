"""How a step may be cut, and what a cut gave: no torch, so that ranks can be asked for before it is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.files import replacing


class Cell(NamedTuple):
    """A step cut over `ranks`, on each in micro-batches of a share 1 / `pieces` of its own."""

    ranks: int
    pieces: int

    def name(self, batch: int) -> str:
        """As people write it.

        Example:
            >>> Cell(1, 4).name(16), Cell(2, 2).name(16)
            ('4x4', '2 ranks x 2x4')
        """
        size = batch // (self.ranks * self.pieces)
        return f"{self.ranks} ranks x {self.pieces}x{size}" if self.ranks > 1 else f"{self.pieces}x{size}"


HERE = (Cell(1, 1), Cell(1, 4), Cell(1, 2))
APART = (Cell(2, 2), Cell(4, 1))
HARDEST = (Cell(1, 4), *APART)


class Made(NamedTuple):
    """What a cell gave: the gradient of all weights in one row, and terms and stats by name in another."""

    gradient: NDArray[np.float64]
    told: Mapping[str, float]

    def save(self, path: Path) -> None:
        """Whole or not at all: whoever waits for the file may read it at once."""
        with replacing(path) as file:
            np.savez(file, gradient=self.gradient, names=list(self.told), values=list(self.told.values()))

    @classmethod
    def read(cls, path: Path) -> Made:
        """What `save` wrote."""
        with np.load(path) as saved:
            return cls(saved["gradient"], dict(zip(saved["names"].tolist(), saved["values"].tolist())))


def gap(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """max |a - b| / max |a|: what two gradients that should be one differ by.

    Example:
        >>> gap(np.array([2.0, 1.0]), np.array([8.0, 4.0]))
        3.0
    """
    most = float(np.abs(one).max())
    return float(np.abs(one - two).max()) / most if most else float(np.abs(two).max() > 0)
