"""The laws that are fitted. A new law is one function here and one line in LAWS.

All are faces of one surface, with A N^-a and B D^-b in the loss's own unit,

    L(N, D) = E + ((A N^-a)^(1/k) + (B D^-b)^(1/k))^k

k = 1 is Chinchilla's additive law; k -> 0 takes the larger of the two terms (one resource binds).

Reference: Hoffmann et al. 2022, arXiv:2203.15556, eq. 2 (additive); Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5
(coupled, no floor); Gadre et al. 2024, arXiv:2403.08540 (a = b).
"""

from __future__ import annotations

import math

import numpy as np

from keel.laws.law import Floats, Law, Param

N_AT, D_AT, C_AT = 0, 1, 2


def _col(theta: Floats, at: int) -> Floats:
    return theta[:, at : at + 1]


def _log_sum(one: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
    """log (e^one + e^other), and the share of each; one exponential, where logaddexp and two shares need four."""
    gap = one - other
    lesser = np.exp(-np.abs(gap))
    whole = 1.0 + lesser
    share = np.where(gap > 0, 1.0, lesser) / whole
    return np.maximum(one, other) + np.log(whole), share, 1.0 - share


def _slopes(*parts: Floats) -> Floats:
    """Derivatives [b, n, p] from one [b, n] for each constant, written one after the other: strided writes are slow."""
    return np.moveaxis(np.stack(parts), 0, -1)


def _reducible(
    theta: Floats, x: Floats, at: tuple[int, int, int, int], shape: Floats
) -> tuple[Floats, tuple[Floats, Floats, Floats, Floats, Floats]]:
    """log ((A N^-a)^(1/k) + (B D^-b)^(1/k))^k and its derivatives by log A, log a, log B, log b, log k."""
    k = np.exp(shape)
    slope_n, slope_d = np.exp(_col(theta, at[1])) * x[..., N_AT], np.exp(_col(theta, at[3])) * x[..., D_AT]
    term_n, term_d = (_col(theta, at[0]) - slope_n) / k, (_col(theta, at[2]) - slope_d) / k
    total, share_n, share_d = _log_sum(term_n, term_d)
    by_shape = k * (total - share_n * term_n - share_d * term_d)
    return k * total, (share_n, -slope_n * share_n, share_d, -slope_d * share_d, by_shape)


def coupled(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """E + ((A N^-a)^(1/k) + (B D^-b)^(1/k))^k; theta = log E, A, a, B, b, k."""
    rest, by = _reducible(theta, x, (1, 2, 3, 4), _col(theta, 5))
    y, floor, share = _log_sum(_col(theta, 0), rest)
    return y, _slopes(floor, *(share * d for d in by))


def additive(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """E + A N^-a + B D^-b; theta = log E, A, a, B, b."""
    rest, by = _reducible(theta, x, (1, 2, 3, 4), np.zeros((len(theta), 1)))
    y, floor, share = _log_sum(_col(theta, 0), rest)
    return y, _slopes(floor, *(share * d for d in by[:4]))


def tied(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """E + A N^-a + B D^-a; theta = log E, A, a, B."""
    rest, by = _reducible(theta, x, (1, 2, 3, 2), np.zeros((len(theta), 1)))
    y, floor, share = _log_sum(_col(theta, 0), rest)
    return y, _slopes(floor, share * by[0], share * (by[1] + by[3]), share * by[2])


def coupled_tied(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """E + ((A N^-a)^(1/k) + (B D^-a)^(1/k))^k; theta = log E, A, a, B, k."""
    rest, by = _reducible(theta, x, (1, 2, 3, 2), _col(theta, 4))
    y, floor, share = _log_sum(_col(theta, 0), rest)
    return y, _slopes(floor, share * by[0], share * (by[1] + by[3]), share * by[2], share * by[4])


def floorless(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """((A N^-a)^(1/k) + (B D^-b)^(1/k))^k; theta = log A, a, B, b, k."""
    rest, by = _reducible(theta, x, (0, 1, 2, 3), _col(theta, 4))
    return rest, _slopes(*by)


def compute(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """E + A C^-g; theta = log E, A, g."""
    slope = np.exp(_col(theta, 2)) * x[..., C_AT]
    y, floor, share = _log_sum(_col(theta, 0), _col(theta, 1) - slope)
    return y, _slopes(floor, share, -share * slope)


# Priors, set once for all tables (docs/decisions/0002): normal on the log of each constant. A floor's prior depends
# on the loss's unit and stands in priors.py; the numbers here are those of a loss whose unit is not known.
E = Param("E", "floor", -0.5, 0.2)
A, B = Param("A", "scale", -0.8, 1.0, "params"), Param("B", "scale", -0.8, 1.0, "tokens")
a, b = Param("a", "rate", math.log(0.28), 0.25, "params"), Param("b", "rate", math.log(0.28), 0.25, "tokens")
K = Param("k", "shape", -0.5, 0.5)
# Without a floor the exponents are those of the whole loss: smaller.
A_ALL, B_ALL = A._replace(mean=-0.3), B._replace(mean=-0.3)
a_ALL, b_ALL = a._replace(mean=math.log(0.12), sd=0.6), b._replace(mean=math.log(0.12), sd=0.6)

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        Law(
            name="coupled",
            formula="E + ((A N^-a)^(1/k) + (B D^-b)^(1/k))^k",
            coords=("params", "tokens"),
            params=(E, A, a, B, b, K),
            curve=coupled,
        ),
        Law(
            name="chinchilla",
            formula="E + A N^-a + B D^-b",
            coords=("params", "tokens"),
            params=(E, A, a, B, b),
            curve=additive,
        ),
        Law(
            name="tied",
            formula="E + A N^-a + B D^-a",
            coords=("params", "tokens"),
            params=(E, A, a._replace(coord="none"), B),
            curve=tied,
        ),
        Law(
            name="coupled-tied",
            formula="E + ((A N^-a)^(1/k) + (B D^-a)^(1/k))^k",
            coords=("params", "tokens"),
            params=(E, A, a._replace(coord="none"), B, K),
            curve=coupled_tied,
        ),
        Law(
            name="floorless",
            formula="((A N^-a)^(1/k) + (B D^-b)^(1/k))^k",
            coords=("params", "tokens"),
            params=(A_ALL, a_ALL, B_ALL, b_ALL, K),
            curve=floorless,
        ),
        Law(
            name="compute",
            formula="E + A C^-g",
            coords=("flop",),
            params=(E, A._replace(coord="flop"), Param("g", "rate", math.log(0.18), 0.3, "flop")),
            curve=compute,
        ),
    )
}
