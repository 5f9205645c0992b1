"""The fitted surface as a map: lines of equal loss over (params, tokens), and the compute-optimal path across them.

Every law falls with params and with tokens, so a line of equal loss falls: it is found by interpolation at each size
of a grid and at each count of tokens. The path's sizes have the interval of the posterior draws' own optima.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keel.laws.design.budget import rows_flop_per_token
from keel.laws.design.optimum import lowest, surface_of, weighted_quantile
from keel.laws.ensemble import Ensemble, coordinates
from keel.laws.law import Floats
from keel.laws.links import link_of

NUM_SIDE, NUM_LINES = 41, 9
NUM_BUDGETS, NUM_SIZES = 13, 41
BORDER = 1.6  # the map ends at this factor beyond the outermost run or target
WIDE = 10.0  # sizes searched for the optimum, beyond the map on either side


class Line(NamedTuple):
    """All sizes with the tokens at which the loss is `value`."""

    value: float
    params: tuple[float, ...]
    tokens: tuple[float, ...]


class Best(NamedTuple):
    """The compute-optimal run at `flop`; `low` to `high`: the size's interval."""

    flop: float
    params: float
    low: float
    high: float
    tokens: float


class Map(NamedTuple):
    """Lines of equal loss from high to low, and the path (empty where no law tells sizes apart)."""

    lines: tuple[Line, ...]
    path: tuple[Best, ...]


def contours(ensemble: Ensemble, targets: Sequence[tuple[float, float]] = (), level: float = 0.9) -> Map:
    """The map that holds all runs and `targets` (params, tokens), every token seen once.

    Example:
        >>> from keel.laws import Row
        >>> from keel.laws.ensemble import build
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> found = contours(build(rows, "nats_per_token"))
        >>> line = found.lines[4]
        >>> max(abs(loss(n, d) / line.value - 1) for n, d in zip(line.params, line.tokens)) < 0.01
        True
    """
    points = coordinates(ensemble.rows)[:, :2]
    seen = np.log(np.vstack([points, *([np.array(targets, dtype=float)] if len(targets) else [])]))
    low, high = seen.min(0) - math.log(BORDER), seen.max(0) + math.log(BORDER)
    sizes, tokens = (np.linspace(low[i], high[i], NUM_SIDE) for i in (0, 1))
    per_token = np.log([rows_flop_per_token(ensemble.rows)(float(n)) for n in np.exp(sizes)])
    height = _heights(ensemble, sizes, tokens, per_token)
    path = _path(ensemble, (low, high), level)
    lines = (_line(ensemble, at, height, sizes, tokens) for at in _levels(height))
    return Map(tuple(line for line in lines if len(line.params) > 1), path)


def _heights(ensemble: Ensemble, sizes: Floats, tokens: Floats, per_token: Floats) -> Floats:
    """Mean log loss [sizes, tokens], kept from rising where the rows' FLOP per token jump between sizes."""
    n, d = (part.ravel() for part in np.meshgrid(sizes, tokens, indexing="ij"))
    rate = np.repeat(per_token, len(tokens))
    points = np.exp(np.stack([n, d, rate + d, np.zeros(len(n))], 1))
    values = ensemble.log_values(points)
    mean = np.sum([w * value[0] for w, value in zip(ensemble.weights, values)], 0)
    return np.asarray(np.minimum.accumulate(np.minimum.accumulate(mean.reshape(len(sizes), -1), 0), 1))


def _levels(height: Floats) -> Floats:
    """Log losses at equal steps along the map's diagonal, from its lower left to its upper right corner."""
    diagonal = np.diagonal(height)
    at = np.linspace(0, len(diagonal) - 1, NUM_LINES + 2)[1:-1]
    return np.asarray(np.interp(at, np.arange(len(diagonal)), diagonal))


def _line(ensemble: Ensemble, at: float, height: Floats, sizes: Floats, tokens: Floats) -> Line:
    """Where the surface crosses `at`, along the grid's lines in both directions."""
    across = (height[:, 0] >= at) & (height[:, -1] <= at)
    along = (height[0] >= at) & (height[-1] <= at)
    found = [(n, float(np.interp(-at, -row, tokens))) for n, row in zip(sizes[across], height[across])]
    found += [(float(np.interp(-at, -column, sizes)), d) for d, column in zip(tokens[along], height.T[along])]
    points = sorted((float(np.exp(n)), -float(np.exp(d))) for n, d in found)
    value = float(link_of(ensemble.unit).from_loss(np.exp(at)))
    return Line(value, tuple(n for n, _ in points), tuple(-d for _, d in points))


def _path(ensemble: Ensemble, box: tuple[Floats, Floats], level: float) -> tuple[Best, ...]:
    """The optimum at budgets from the map's lower left to its upper right corner, where it lies inside the map."""
    surface = surface_of(ensemble)
    if surface is None:
        return ()
    low, high = box
    per_token = rows_flop_per_token(ensemble.rows)
    sizes = np.linspace(low[0] - math.log(WIDE), high[0] + math.log(WIDE), NUM_SIZES)
    rate = np.log([per_token(float(n)) for n in np.exp(sizes)])
    ends = [float(end[1] + np.interp(end[0], sizes, rate)) for end in (low, high)]
    found = []
    for log_flop in np.linspace(ends[0], ends[1], NUM_BUDGETS):
        tokens = log_flop - rate
        points = np.exp(np.stack([sizes, tokens, rate + tokens, np.zeros(len(sizes))], 1))
        best, *_, at = lowest(surface.with_mean(points), sizes)
        seen = float(log_flop - np.interp(best[0], sizes, rate))
        if not 0 < at[0] < len(sizes) - 1 or not low[0] <= best[0] <= high[0] or not low[1] <= seen <= high[1]:
            continue
        least, most = (weighted_quantile(best[1:], surface.mass, q) for q in ((1 - level) / 2, (1 + level) / 2))
        sides = (float(np.exp(z)) for z in (log_flop, best[0], min(least, best[0]), max(most, best[0]), seen))
        found.append(Best(*sides))
    return tuple(found)
