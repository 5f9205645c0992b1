"""A published equation as a law: printed constants and coordinates in, a `Law` with derivatives out.

An equation is a short function of its constants and its coordinates, written as the paper prints it. It is lifted to
the form that fits use (logs of constants in, log value and derivatives out), so that published and fitted laws stay
one type. Derivatives are complex steps, exact to rounding: d/dt f(t) = Im f(t + ih) / h.

Reference: Squire, Trapp 1998, Using complex variables to estimate derivatives of real functions, SIAM Review 40(1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from keel.laws.law import Curve, Floats, Law, Param, Values

STEP = 1e-20
Equation = Callable[..., Any]


def stated(
    name: str,
    equation: Equation,
    formula: str,
    counts: Mapping[str, str],
    constants: Mapping[str, float],
    *,
    unit: str,
    origin: str,
    valid: Mapping[str, tuple[float, float]],
) -> Law:
    """A law with known constants; `counts` gives its coordinates in order and says what each one counts.

    `equation(c, **coordinates)` gives the value, with the constants as attributes of `c`. All constants are positive:
    a minus sign stands in the formula.

    Example:
        >>> law = stated("square", lambda c, side: c.k * side**2, "k side^2", {"side": "metres"}, {"k": 2.0},
        ...              unit="kg", origin="none", valid={"side": (1.0, 10.0)})
        >>> round(float(law.at(side=3.0)), 9), law.outside(side=20.0)
        (18.0, {'side': 2.0})
    """
    assert all(constant > 0 for constant in constants.values()), name
    coords, fixed = tuple(counts), tuple(math.log(constant) for constant in constants.values())
    curve, values = lifted(equation, tuple(constants), coords)
    return Law(
        name=name, formula=formula, coords=coords, axes=coords, counts=dict(counts), unit=unit, origin=origin,
        params=tuple(Param(key, "shape", log, math.nan) for key, log in zip(constants, fixed)), fixed=fixed,
        curve=curve, values=values, valid=dict(valid),
    )  # fmt: skip


def lifted(equation: Equation, names: tuple[str, ...], axes: tuple[str, ...]) -> tuple[Curve, Values]:
    """The curve of an equation: theta [b, p] and x [n, a] (logs) to log value [b, n] and derivatives [b, n, p].

    Beside it the log value alone, for which no derivative is taken.
    """

    def log_value(logs: Any, x: Floats) -> Any:
        point = {axis: np.exp(x[:, i]) for i, axis in enumerate(axes)}
        constants = SimpleNamespace(**{key: np.exp(logs[:, i : i + 1]) for i, key in enumerate(names)})
        return np.log(equation(constants, **point)) + np.zeros((len(logs), len(x)))

    def curve(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        shifts = [1j * STEP * (np.arange(len(names)) == j) for j in range(len(names))]
        by = [log_value(theta + shift, x).imag / STEP for shift in shifts]
        return log_value(theta, x), np.stack(by, -1) if by else np.zeros((len(theta), len(x), 0))

    return curve, log_value
