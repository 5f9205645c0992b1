"""Ladders of runs with a known truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keel.laws import Row

Truth = Callable[[float, float], float]


def chinchilla(params: float, tokens: float) -> float:
    """The additive law with the constants of Besiroglu et al. 2024."""
    return 1.8172 + 477.84 / params**0.3473 + 2143.86 / tokens**0.3672


def ladder(
    truth: Truth = chinchilla,
    sizes: Sequence[float] = (2e7, 5e7, 1e8, 2e8, 4e8),
    ratios: Sequence[float] = (10, 20, 40),
    noise: float = 0.001,
    seed: int = 0,
) -> list[Row]:
    """Runs of every size at every tokens-per-param ratio, with lognormal noise on the loss."""
    rng = np.random.default_rng(seed)
    return [
        Row(f"{n:.0e}x{r}", n, r * n, 6 * n * r * n, truth(n, r * n) * float(np.exp(noise * rng.standard_normal())))
        for n in sizes
        for r in ratios
    ]
