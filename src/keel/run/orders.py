"""Which sample stands where in an epoch: drawn from (seed, epoch), or as a loss gives it before the epoch begins."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from keel.corpus.order import order
from keel.errors import StudyError
from keel.objective.reading import Order
from keel.run.draws import Draw


class Known(NamedTuple):
    """An epoch's order, and how often each place's sample has come before in it."""

    places: np.ndarray
    again: np.ndarray


class Orders:
    """Place i of a run is sample order(i // n)[i mod n] of the n that there are.

    `given`: an epoch's order is unknown until `begin`; without, it is a permutation drawn from (seed, epoch).
    """

    def __init__(self, number: int, seed: int, *, given: bool = False) -> None:
        self.number, self.given = number, given
        self._none_again = np.zeros(number, np.int64)
        self._drawn = lru_cache(maxsize=2)(lambda epoch: Known(order(number, seed, epoch), self._none_again))
        self._known: dict[int, Known] = {}
        self._newest: Order | None = None

    def unknown(self, first: int, behind: int) -> list[int]:
        """Epochs of the places first ... behind - 1 of the run that have not begun; older ones are forgotten."""
        oldest = first // self.number
        self._known = {epoch: known for epoch, known in self._known.items() if epoch >= oldest}
        return [epoch for epoch in range(oldest, (behind - 1) // self.number + 1) if not self._begun(epoch)]

    def begin(self, epoch: int, given: Order | None) -> None:
        """An epoch's order becomes known: the one given, or the drawn one.

        Raises:
            StudyError: it is no order of these samples.
        """
        if given is not None:
            check(given, self.number)
        self._newest = given
        self._known[epoch] = self._drawn(epoch) if given is None else Known(given, again(given))

    @property
    def newest(self) -> Order | None:
        """What was given for the epoch that began last."""
        return self._newest

    def knows(self, place: int) -> bool:
        """Whether it is known which sample stands at a place of the run."""
        return self._begun(place // self.number)

    def draw(self, place: int) -> Draw:
        """What stands at a place of the run."""
        epoch, within = divmod(place, self.number)
        known = self._known[epoch] if self.given else self._drawn(epoch)
        return Draw(epoch, int(known.places[within]), int(known.again[within]))

    def _begun(self, epoch: int) -> bool:
        return not self.given or epoch in self._known


def check(given: Order, number: int) -> None:
    """Nothing where it is an order of so many samples.

    Raises:
        StudyError: it is none.
    """
    whole = isinstance(given, np.ndarray) and given.dtype == np.int64
    if whole and given.shape == (number,) and (not number or 0 <= given.min() <= given.max() < number):
        return
    raise StudyError("a loss gives an order that is none", why=f"an epoch has {number} places",
                     fix=f"let `before_epoch` give {number} numbers from 0 to {number - 1} (int64), or None",
                     where="train.loss")  # fmt: skip


def again(places: Order) -> np.ndarray:
    """How often each place's sample has come before.

    Example:
        >>> again(np.array([2, 0, 2, 2, 0])).tolist()
        [0, 0, 1, 2, 1]
    """
    by_sample = np.argsort(places, kind="stable")
    sorted_places = places[by_sample]
    starts = np.flatnonzero(np.diff(sorted_places, prepend=-1))
    runs = np.diff(starts, append=len(places))
    found = np.empty(len(places), np.int64)
    found[by_sample] = np.arange(len(places)) - np.repeat(starts, runs)
    return found
