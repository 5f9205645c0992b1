"""What a loss may read before an epoch: the training samples as they are, all of them, whoever computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from keel.objective.base import Sample

# Which sample stands at each place of an epoch, int64, as many as there are samples; one may come twice, or never.
Order = np.ndarray
Renewed = tuple[dict[str, Tensor], Order | None]


class Read(Protocol):
    """Training samples undrawn (an image whole, at its middle), by their place among the `number` that there are.

    `seed` is the run's: what is drawn before an epoch hangs on it and on the epoch alone.
    """

    @property
    def number(self) -> int: ...

    @property
    def seed(self) -> int: ...

    @property
    def ids(self) -> np.ndarray:
        """The samples' own numbers in order, as a batch has them."""
        ...

    def __call__(self, places: Iterable[int]) -> Iterator[Sample]:
        """Samples in the order asked for."""
        ...

    def states(self, of: Callable[[Sequence[Sample]], Tensor]) -> Tensor:
        """(n, d): what `of` gives of all samples in order, the same bits on every rank.

        `of` takes m samples to (m, d), and gets as many at once however a run is executed.
        """
        ...
