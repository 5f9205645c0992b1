"""Where the ticks of a log axis go."""

from __future__ import annotations

import math


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
