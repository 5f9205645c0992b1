"""How much of a corrupted window finds room: what its special tokens made longer is cut at its end, or its marks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.objective.drops import Gapped


def fitting(noise: NDArray[np.bool_], most_inputs: int, most_targets: int, most_spans: int) -> int:
    """Tokens of the longest beginning of a window [T] whose sides find room and whose spans have sentinels.

    inputs = tokens that stay + spans, targets = noise + spans. A window is as long as an unbroken one may be; each span
    that a special token cuts makes both sides one longer.

    Example:
        >>> noise = np.array([0, 0, 1, 1, 0, 1], bool)
        >>> fitting(noise, 5, 5, 2), fitting(noise, 4, 5, 2), fitting(noise, 5, 5, 1)
        (6, 5, 5)
    """
    starts = noise.copy()
    starts[1:] &= ~noise[:-1]
    spans = starts.cumsum()
    hidden = noise.cumsum()
    stay = np.arange(1, len(noise) + 1) - hidden
    fits = (stay + spans <= most_inputs) & (hidden + spans <= most_targets) & (spans <= most_spans)
    return int(np.count_nonzero(fits))


def fewer_marks(gapped: Gapped, most: int, rng: np.random.Generator) -> Gapped:
    """The same window with inputs of at most `most` tokens: marks of spans without a token go, all alike.

    Only then can inputs be longer than their window, since any other mark stands for one token at least.

    Example:
        >>> from keel.objective.drops import gap
        >>> gapped = gap(np.arange(2), np.array([[0, 0], [1, 0]]), np.array([99, 99]))
        >>> len(gapped.inputs), len(fewer_marks(gapped, 3, np.random.default_rng(0)).inputs)
        (4, 3)
    """
    over = len(gapped.inputs) - most
    if over <= 0:
        return gapped
    starts, sizes = gapped.spans.T
    gone = rng.choice(np.flatnonzero(sizes == 0), over, replace=False, shuffle=False)
    slots: NDArray[Any] = starts - sizes.cumsum() + sizes + np.arange(len(sizes))
    return gapped._replace(inputs=np.delete(gapped.inputs, slots[gone]), spans=np.delete(gapped.spans, gone, axis=0))
