"""Where ticks and labels go, so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def log_ticks(low: float, high: float) -> list[float]:
    """Tick values on a log axis: decades, and 3s or 2s and 5s between them where decades are few.

    Example:
        >>> log_ticks(5e11, 2e14)
        [1000000000000.0, 10000000000000.0, 100000000000000.0]
    """
    span = math.log10(high / low)
    steps = (1.0,) if span >= 2.3 else (1.0, 3.0) if span >= 1.2 else (1.0, 2.0, 5.0)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]


def spread(values: Sequence[float], gap: float) -> list[float]:
    """The values, moved apart so that neighbours differ by at least `gap`; order is kept.

    Example:
        >>> spread([1.0, 1.1, 3.0], 0.5)
        [0.8, 1.3, 3.0]
    """
    order = sorted(range(len(values)), key=lambda place: values[place])
    groups: list[list[int]] = []
    centre: list[float] = []
    for place in order:
        groups.append([place])
        centre.append(values[place])
        while len(groups) > 1 and centre[-1] - centre[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2 - 1e-12:
            groups[-2:] = [groups[-2] + groups[-1]]
            centre[-2:] = [sum(values[at] for at in groups[-1]) / len(groups[-1])]
    moved = [0.0] * len(values)
    for group, middle in zip(groups, centre):
        for rank, at in enumerate(group):
            moved[at] = round(middle + gap * (rank - (len(group) - 1) / 2), 9)
    return moved


def near(ends: Iterable[tuple[float, str]], ratio: float = 1.35) -> list[list[str]]:
    """Names in groups whose places on a log axis are neighbours, so that their labels could meet.

    Example:
        >>> near([(1e6, "a"), (1e3, "b"), (1.2e6, "c")])
        [['b'], ['a', 'c']]
    """
    groups: list[list[str]] = []
    before = 0.0
    for place, name in sorted(ends):
        if groups and place <= before * ratio:
            groups[-1].append(name)
        else:
            groups.append([name])
        before = place
    return groups
