"""Held-out samples by the batch, as every judge of images and pairs reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from keel.objective.base import Sample

BATCH = 64


def batched(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """64 samples at a time, in order; the last ones are fewer. They are made as they are read.

    Example:
        >>> [len(some) for some in batched([Sample(number, None) for number in range(70)])]
        [64, 6]
    """
    left = iter(samples)
    while some := list(islice(left, BATCH)):
        yield some
