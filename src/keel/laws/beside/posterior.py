"""The robust fit for any vector of numbers: constants, draws and misses of hidden points, for laws beside the surface.

fit.py fits laws of (params, tokens, flop); here a law is any function theta [b, p] -> values [b, n] and derivatives
[b, n, p] by theta, with normal priors on theta and Student-t residuals as there.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from keel.laws.fit import draws, fit
from keel.laws.law import COORDS, Floats, Law

CHUNK, NUM_NOISE = 256, 16
Form = Callable[[Floats], tuple[Floats, Floats]]


class Posterior(NamedTuple):
    """Best `theta` [p], draws `cloud` [s, p], residual scale, `residual` [n], and each fold's `miss` [f, n]."""

    theta: Floats
    cloud: Floats
    scale: float
    residual: Floats
    miss: Floats


def posterior(
    form: Form, y: Floats, mean: Floats, sd: Floats, folds: Floats | None = None, noise: Floats | None = None
) -> Posterior:
    """Fit `form` to y [n] under theta ~ N(mean, sd^2), and once more for each of `folds` [f, n]: 1 = seen, 0 = hidden.

    `noise` [n] is each point's noise relative to the best-known one's (1).

    Example:
        >>> t = np.linspace(0.0, 3.0, 30)
        >>> by = np.stack([np.ones(30), t], -1)[None]
        >>> def line(theta): return theta @ by[0].T, by
        >>> found = posterior(line, 2.0 + 0.5 * t, np.zeros(2), np.full(2, 10.0))
        >>> [round(float(z), 3) for z in found.theta]
        [2.0, 0.5]
    """

    def curve(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        rows = x[:, 0].astype(int)
        if len(theta) > CHUNK:  # draws: thousands of proposals, whose derivatives nobody reads
            parts = [form(theta[i : i + CHUNK])[0][:, rows] for i in range(0, len(theta), CHUNK)]
            return np.concatenate(parts), np.broadcast_to(0.0, (len(theta), len(rows), theta.shape[1]))
        value, by = form(theta)
        return value[:, rows], np.broadcast_to(by, (*value.shape, by.shape[-1]))[:, rows]

    law = Law(name="", formula="", coords=(), params=(), curve=curve)
    # The engine may look at a part of the rows: they are known by their number.
    x = np.repeat(np.arange(len(y), dtype=float)[:, None], len(COORDS), 1)
    noise = np.ones(len(y)) if noise is None else noise
    whole = fit(law, x, y, np.ones((1, len(y))), noise[None], mean, sd)
    miss = np.zeros((0, len(y)))
    if folds is not None and len(folds):
        miss = fit(law, x, y, folds, np.tile(noise, (len(folds), 1)), mean, sd, near=whole.theta[0]).residual
    cloud = draws(law, whole, x, y, noise, mean, sd)
    return Posterior(whole.theta[0], cloud, float(np.exp(whole.scale[0])), whole.residual[0], miss)


def widened(cloud: Floats, sd: float) -> Floats:
    """Each draw NUM_NOISE times, its first constant moved by a normal error of that SD (evenly, nothing is drawn)."""
    normal = NormalDist()
    steps = np.array([normal.inv_cdf((i + 0.5) / NUM_NOISE) for i in range(NUM_NOISE)])
    wide = np.repeat(cloud, NUM_NOISE, 0)
    wide[:, 0] += np.tile(steps * sd, len(cloud))
    return wide
