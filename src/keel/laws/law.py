"""A law as a value: what it says, of which coordinates, with which constants, known from where.

Published and fitted laws are one type. Inside a fit every constant is a logarithm and every coordinate is centred
on the data (a `Frame`), so that rescaling params, tokens or flop changes nothing; `Law.constants_of` turns the
centred logarithms back into the constants of the printed formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.errors import Problem, Refusal, StudyError

if TYPE_CHECKING:
    from keel.laws.design.allocate import Best

Floats = NDArray[np.float64]
Curve = Callable[[Floats, Floats], tuple[Floats, Floats]]
Values = Callable[[Floats, Floats], Floats]
Coord = Literal["params", "tokens", "flop", "epochs", "none"]
COORDS: tuple[Coord, ...] = ("params", "tokens", "flop", "epochs")
FLOP_PER_PARAM_TOKEN = 6.0


class Row(NamedTuple):
    """One finished run: `params` (one count for all rows), `tokens` seen, training `flop`, final loss `value`."""

    id: str
    params: float
    tokens: float
    flop: float
    value: float
    meta: Mapping[str, Any] = {}
    unique_tokens: float = math.nan
    lr: float = math.nan
    batch_tokens: float = math.nan


class Target(NamedTuple):
    """The run to forecast; without `flop` the rows' own flop per param and token (else 6) is used.

    `unique_tokens`: how many of its tokens are seen for the first time; NaN = all of them.
    """

    params: float
    tokens: float
    flop: float | None = None
    unique_tokens: float = math.nan


def epochs_of(run: Row | Target) -> float:
    """Tokens over unique tokens, at least one; one where nothing is said of repeats."""
    return max(1.0, run.tokens / run.unique_tokens) if run.unique_tokens > 0 else 1.0


class Param(NamedTuple):
    """A constant of a law, fitted as its logarithm with a normal prior.

    `role`: "floor" (a loss), "scale" (a loss at the frame's centre), "rate" (an exponent), "shape" (a pure number).
    `coord` names the coordinate that a scale or a rate belongs to; "none" for a rate shared by all.
    """

    name: str
    role: Literal["floor", "scale", "rate", "shape"]
    mean: float
    sd: float
    coord: Coord = "none"


class Frame(NamedTuple):
    """Where the logarithms are centred: mean log params, tokens, flop (epochs stay as they are), log of a low loss."""

    centre: Floats
    log_value: float

    @classmethod
    def of(cls, coords: Floats, values: Floats) -> Frame:
        """Centre on the data; the 5 % quantile stands for the lowest loss, so that one wild run does not move it."""
        centre = np.log(coords).mean(0)
        centre[COORDS.index("epochs")] = 0.0
        return cls(centre, float(np.log(np.quantile(values, 0.05))))


UNIT = Frame(np.zeros(len(COORDS)), 0.0)


@dataclass(frozen=True, kw_only=True)
class Law:
    """A scaling law, fitted or published.

    `curve(theta[b, p], x[n, len(axes)])` gives log loss [b, n] and its derivatives [b, n, p], both relative to a
    frame; `axes` names the columns of x. `coords` are those of them that the law reads, `counts` what each one counts
    ("params": "body" ...), `unit` that of the value ("" = the rows' own), `valid` the range that was seen.
    `theta` are logs of the constants; `fixed` holds them for a published law (unit frame), else None. `values`: the
    first of what `curve` gives, where that alone is cheaper.

    Example:
        >>> from keel.laws.published import PUBLISHED
        >>> law = PUBLISHED["chinchilla-besiroglu"]
        >>> round(float(law.at(params=70e9, tokens=1.4e12)), 3), law.outside(params=70e9, tokens=1.4e12)
        (1.973, {'params': 4.375, 'tokens': 2.8})
    """

    name: str
    formula: str
    coords: tuple[str, ...]
    params: tuple[Param, ...]
    curve: Curve
    origin: str = "fit"
    valid: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fixed: tuple[float, ...] | None = None
    axes: tuple[str, ...] = COORDS
    counts: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    values: Values | None = None

    @property
    def constants(self) -> dict[str, float]:
        """The printed formula's constants of a published law, by name."""
        assert self.fixed is not None, f"{self.name} has no constants of its own"
        return {param.name: math.exp(log) for param, log in zip(self.params, self.fixed)}

    def at(self, **where: Any) -> Floats:
        """Value of a published law at its own coordinates, by name; arrays broadcast.

        Raises:
            StudyError: a coordinate is missing, unknown, or not a positive number.
        """
        assert self.fixed is not None, f"{self.name} has no constants of its own"
        point = self._checked(where)
        shape = np.broadcast_shapes(*(z.shape for z in point.values()))
        logs = [np.log(np.broadcast_to(point[a], shape)).ravel() if a in point else np.zeros(shape).ravel()
                for a in self.axes]  # fmt: skip
        theta, x = np.array([self.fixed], float), np.stack(logs, 1)
        y = self.values(theta, x) if self.values else self.curve(theta, x)[0]
        return np.asarray(np.exp(y[0]).reshape(shape))

    def optimum(self, compute: float, **held: Any) -> Best | Refusal:
        """Params and tokens of least value at `compute` FLOP; see keel.laws.design.allocate.compute_optimal."""
        from keel.laws.design.allocate import compute_optimal

        return compute_optimal(self, compute, **held)

    def outside(self, **where: Any) -> dict[str, float]:
        """By which factor each coordinate lies above (> 1) or below (< 1) the range seen; empty inside."""
        found = {}
        for name, given in self._checked(where).items():
            low, high = self.valid.get(name, (0.0, math.inf))
            most, least = float(given.max()), float(given.min())
            if most > high:
                found[name] = most / high
            elif least < low:
                found[name] = least / low
        return found

    def _checked(self, where: Mapping[str, Any]) -> dict[str, Floats]:
        """The coordinates as arrays; every one that is missing, unknown or no positive number is an error."""
        said = ", ".join(f"{name} ({self.counts[name]})" if name in self.counts else name for name in self.coords)
        wrong = [f"{name} is missing" for name in self.coords if name not in where]
        wrong += [f"{name} is not one of them" for name in where if name not in self.coords]
        point: dict[str, Floats] = {}
        for name in [name for name in self.coords if name in where]:
            try:
                point[name] = np.asarray(where[name], dtype=float)
            except (TypeError, ValueError):
                wrong.append(f"{name} is no number: {where[name]!r}")
                continue
            if not bool((np.isfinite(point[name]) & (point[name] > 0)).all()):
                wrong.append(f"{name} is not positive and finite: {where[name]!r}")
        if wrong:
            raise StudyError.all([
                Problem(text, f"{self.name} is a law of {said}", "give each coordinate once, as positive numbers",
                        self.name) for text in wrong
            ])  # fmt: skip
        return point

    def value(
        self, theta: Any, params: Any, tokens: Any, flop: Any = None, epochs: Any = 1.0, frame: Frame = UNIT
    ) -> Floats:
        """Loss in the rows' unit for each theta [b, p] and each point [n]; one theta or point may be given flat."""
        assert self.axes == COORDS, f"{self.name} has coordinates of its own: use at()"
        x = _points(params, tokens, flop, epochs, frame)
        return np.exp(self.curve(np.atleast_2d(np.asarray(theta, float)), x)[0] + frame.log_value)

    def jacobian(
        self, theta: Any, params: Any, tokens: Any, flop: Any = None, epochs: Any = 1.0, frame: Frame = UNIT
    ) -> Floats:
        """Derivative of the log loss by each log constant, [b, n, p]."""
        assert self.axes == COORDS, f"{self.name} has coordinates of its own: use curve()"
        return self.curve(np.atleast_2d(np.asarray(theta, float)), _points(params, tokens, flop, epochs, frame))[1]

    def constants_of(self, theta: Floats, frame: Frame) -> dict[str, Floats]:
        """The printed formula's constants for each theta [b, p]: scales are carried from the centre to one."""
        rates = {p.coord: np.exp(theta[:, i]) for i, p in enumerate(self.params) if p.role == "rate"}
        found: dict[str, Floats] = {}
        for i, param in enumerate(self.params):
            log = theta[:, i]
            if param.role in ("floor", "scale"):
                log = log + frame.log_value
            if param.role == "scale":
                rate = rates[param.coord] if param.coord in rates else rates["none"]
                log = log + rate * frame.centre[COORDS.index(param.coord)]
            found[param.name] = np.exp(np.minimum(log, 700.0))
        return found


def _points(params: Any, tokens: Any, flop: Any, epochs: Any, frame: Frame) -> Floats:
    """Centred logs [n, 4]; without `flop`, 6 N D."""
    size, seen = (np.atleast_1d(np.asarray(z, float)).ravel() for z in (params, tokens))
    cost = FLOP_PER_PARAM_TOKEN * size * seen if flop is None else np.asarray(flop, float).ravel()
    again = np.broadcast_to(np.asarray(epochs, float), size.shape)
    return np.asarray(np.log(np.stack(np.broadcast_arrays(size, seen, cost, again), 1)) - frame.centre)
