"""The shape of the loss about the best learning rate and batch, and its derivatives.

    excess = kappa psi(s d) / s^2,     psi(z) = e^z - 1 - z,     d = log lr - log lr*

Near the best it is kappa d^2 / 2; a rate too large costs exponentially more (divergence), one too small linearly. The
batch has a valley of its own, steep on the side of large batches (too few steps).
"""

from __future__ import annotations

import numpy as np

from keel.laws.law import Floats

# theta: c, a_N, a_D, a_B, log kappa, log s; then, where the batch has a valley, c_b, e_N, e_D, log kappa_b, log s_b.
NUM_LR = 6
NAMES = ("c", "a_N", "a_D", "a_B", "kappa", "s", "c_b", "e_N", "e_D", "kappa_b", "s_b")
MOST_LOG = 30.0


def valley(d: Floats, shape: Floats) -> tuple[Floats, Floats, Floats]:
    """kappa psi(s d) / s^2 with its derivatives by d and log s; d [b, n], shape [b, 2] = log kappa, log s."""
    kappa, skew = np.exp(shape[:, :1]), np.exp(shape[:, 1:])
    z = np.minimum(skew * d, MOST_LOG)
    rise = np.expm1(z)
    return kappa * (rise - z) / skew**2, kappa * rise / skew, kappa * (rise * z - 2 * (rise - z)) / skew**2


def design(x: Floats) -> Floats:
    """Columns of log lr*: one, log params, log tokens, log batch; [n, 4]."""
    return np.stack([np.ones(len(x)), x[:, 0], x[:, 1], x[:, 3]], 1)


def excess(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Log loss above the best [b, n] and its derivatives by theta [b, n, p] at centred logs x [n, 4]."""
    columns = design(x)
    value, slope, by_skew = valley(x[:, 2] - theta[:, :4] @ columns.T, theta[:, 4:6])
    by = [-slope * column for column in columns.T] + [value, by_skew]
    if theta.shape[1] > NUM_LR:
        more, slope, by_skew = valley(x[:, 3] - theta[:, 6:9] @ columns[:, :3].T, theta[:, 9:11])
        by += [-slope * column for column in columns.T[:3]] + [more, by_skew]
        value = value + more
    return value, np.stack(by, -1)
