"""Best sizes from iso-FLOP sweeps: the minimum at each budget, and the power law through the minima.

    N*(C) = k C^a:   log N* = log k + a log C  by least squares, each budget weighted by 1 / SD(log N*)^2 where known

A minimum is read off an Akima spline of the loss over log params. A parabola through the points (Hoffmann's approach
2) is biased where the sweep is wide or lopsided.

Reference: Porian et al. 2024, arXiv:2406.19146, sec. 2; arXiv:2603.22339 (the bias of the parabola).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keel.errors import Problem, StudyError
from keel.laws.law import Floats

SAME_BUDGET = 1e-4  # log FLOP
LEAST_SIZES, NUM_FINE = 4, 20001


class Minimum(NamedTuple):
    """The best size at one budget; `at_edge`: the smallest or largest size tried, so the minimum lies beyond it."""

    flop: float
    params: float
    value: float
    at_edge: bool


class PowerLaw(NamedTuple):
    """y = coefficient x^exponent, with the share of log variance explained."""

    exponent: float
    coefficient: float
    r2: float


def minima(flop: Any, params: Any, values: Any) -> list[Minimum]:
    """The best size at each budget of a sweep [n]; values are losses.

    Raises:
        StudyError: a number that is not positive and finite, or a budget with fewer than four sizes.

    Example:
        >>> sizes = np.geomspace(1e8, 1e9, 9)
        >>> loss = 2.0 + 1e8 / sizes + sizes / 1e9
        >>> found = minima(np.full(9, 1e19), sizes, loss)
        >>> f"{found[0].params:.3g}", found[0].at_edge
        ('3.16e+08', False)
    """
    from scipy.interpolate import Akima1DInterpolator

    c, n, y = (np.asarray(z, dtype=float).ravel() for z in (flop, params, values))
    _check({"flop": c, "params": n, "values": y})
    order = np.argsort(c, kind="stable")
    cuts = np.flatnonzero(np.diff(np.log(c[order])) > SAME_BUDGET) + 1
    found, problems = [], []
    for group in np.split(order, cuts):
        sizes, at = np.unique(n[group], return_index=True)
        budget = float(c[group].mean())
        if len(sizes) < LEAST_SIZES or len(sizes) < len(group):
            what = f"{len(group)} runs of {len(sizes)} sizes at {budget:.4g} flop"
            problems.append(Problem(what, f"a minimum needs {LEAST_SIZES} sizes, each once",
                                    "add sizes, average repeats, or leave the budget out"))  # fmt: skip
            continue
        x = np.log(sizes)
        fine = np.linspace(x[0], x[-1], NUM_FINE)
        curve = Akima1DInterpolator(x, y[group][at])(fine)
        best = int(np.argmin(curve))
        found.append(Minimum(budget, float(np.exp(fine[best])), float(curve[best]), best in (0, NUM_FINE - 1)))
    if problems:
        raise StudyError.all(problems)
    return found


def power_law(x: Any, y: Any, log_sd: Any = None) -> PowerLaw:
    """Least squares of log y on log x; `log_sd` [n] weighs each point by 1 / log_sd^2.

    Raises:
        StudyError: fewer than two different x, or a number that is not positive and finite.

    Example:
        >>> found = power_law([1e18, 1e20, 1e22], [2e8, 2e9, 2e10])
        >>> round(found.exponent, 6), f"{found.coefficient:.3g}", round(found.r2, 6)
        (0.5, '0.2', 1.0)
    """
    a, b = (np.asarray(z, dtype=float).ravel() for z in (x, y))
    weights = np.ones(len(a)) if log_sd is None else np.asarray(log_sd, dtype=float).ravel() ** -2.0
    _check({"x": a, "y": b, "log_sd": weights})
    if len(np.unique(a)) < 2:
        raise StudyError("no slope from one budget", why=f"{len(np.unique(a))} different x", fix="add a budget")
    a, b, share = np.log(a), np.log(b), weights / weights.sum()
    left, up = a - share @ a, b - share @ b
    slope = float(share @ (left * up) / (share @ left**2))
    explained = 1.0 - float(share @ (up - slope * left) ** 2 / (share @ up**2)) if share @ up**2 > 0 else 1.0
    return PowerLaw(slope, float(np.exp(share @ b - slope * (share @ a))), explained)


def _check(columns: dict[str, Floats]) -> None:
    problems = []
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        problems.append(Problem("columns of different or no length", said, "give arrays of one length"))
    for name, column in columns.items():
        bad: Sequence[int] = np.flatnonzero(~(np.isfinite(column) & (column > 0))).tolist()
        if bad:
            problems.append(Problem(f"{name} is not positive and finite", f"entry {bad[0]} is {column[bad[0]]!r}",
                                    "mend it, or leave the run out"))  # fmt: skip
    if problems:
        raise StudyError.all(problems)
