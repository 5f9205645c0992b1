"""Many targets at once, as arrays: a forecast for each that has one, a refusal for each other.

Runs count for what they say about the target (relevance.py), so laws are fitted anew for each kind of target, by its
tokens per param and epochs. Targets alike in both within 10 % share a fit, and one pass over its posterior; where that
would take more than a dozen fits (fewer of a table of thousands), within 20 %, 40 % ...
"""

from __future__ import annotations

import html
import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keel.errors import Problem, Refusal, StudyError
from keel.laws import refuse
from keel.laws.ensemble import Ensemble, build
from keel.laws.forecast import check_level, flop_of, spread
from keel.laws.law import Floats, Row, Target, epochs_of
from keel.units import show_count

CHUNK = 64  # targets whose clouds are held in memory together
ALIKE = 0.1
LEAST_FITS, MOST_FITS, MOST_ROWS = 2, 12, 12_000  # fits, and rows fitted in all of them
MOST_SHOWN = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecasts:
    """Forecasts of targets of one shape; where one is refused, value, low and high are NaN and `refusals` says why.

    `params`, `tokens`, `flop`, `value`, `low`, `high`, `distance` (log10 of compute over the largest run's) are arrays
    of that shape; `refusals` maps a flat index to its Refusal.
    """

    params: Floats
    tokens: Floats
    flop: Floats
    value: Floats
    low: Floats
    high: Floats
    distance: Floats
    level: float
    unit: str
    refusals: dict[int, Refusal]

    def __len__(self) -> int:
        return int(self.value.size)

    def table(self) -> dict[str, list[Any]]:
        """Flat columns, ready for a data frame; `refused` is why there is no number, "" where there is one."""
        names = ("params", "tokens", "flop", "value", "low", "high", "distance")
        found: dict[str, list[Any]] = {name: getattr(self, name).ravel().tolist() for name in names}
        return found | {"refused": [self.refusals[i].why if i in self.refusals else "" for i in range(len(self))]}

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        table = self.table()
        for i in range(min(len(self), MOST_SHOWN)):
            said = f"{table['value'][i]:.4g} [{table['low'][i]:.4g}, {table['high'][i]:.4g}]"
            said = f"no forecast: {table['refused'][i]}" if i in self.refusals else said
            yield show_count(table["params"][i]), show_count(table["tokens"][i]), said

    def __str__(self) -> str:
        head = f"{len(self)} forecasts in {self.unit} at {self.level:.0%}, {len(self.refusals)} refused"
        lines = [f"  {n:>7} params {d:>7} tokens  {said}" for n, d, said in self._lines()]
        return "\n".join([head, *lines, *([f"  and {len(self) - MOST_SHOWN} more"] if len(self) > MOST_SHOWN else [])])

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in self._lines()
        )
        more = f"<p>and {len(self) - MOST_SHOWN} more: .table()</p>" if len(self) > MOST_SHOWN else ""
        head = f"<th>params</th><th>tokens</th><th>{html.escape(self.unit)}, {self.level:.0%}</th>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


Fits = dict[tuple[float, float], Ensemble]


def aimed(rows: Sequence[Row], unit: str, aim: Target, fits: Fits | None = None) -> Ensemble:
    """The rows fitted for what they say about `aim`; `fits` keeps what was fitted before."""
    kind = (round(math.log(aim.tokens / aim.params), 6), round(math.log(epochs_of(aim)), 6))
    known = {} if fits is None else fits
    if kind not in known:
        known[kind] = build(rows, unit, aim)
    return known[kind]


def forecasts_from(
    ensemble: Ensemble, params: Any, tokens: Any, flop: Any = None, unique_tokens: Any = None, level: float = 0.9,
    fits: Fits | None = None,
) -> Forecasts:  # fmt: skip
    """Forecast every target of the arrays given, which are broadcast to one shape; each kind of target takes one fit.

    Raises:
        StudyError: not numbers, or of shapes that do not go together.

    Example:
        >>> from keel.laws import Row
        >>> from keel.laws.ensemble import build
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> found = forecasts_from(build(rows, "nats_per_token"), [3e8, 1e9, 1e14], 2e10)
        >>> found.value.shape, bool(found.value[1] < found.value[0]), sorted(found.refusals)
        ((3,), True, [2])
    """
    check_level(level)
    given = {"params": params, "tokens": tokens, "flop": flop, "unique_tokens": unique_tokens}
    arrays = _arrays({name: value for name, value in given.items() if value is not None})
    shape = arrays["params"].shape
    flat = [array.ravel().tolist() for array in arrays.values()]
    aims = [Target(**dict(zip(arrays, cells))) for cells in zip(*flat)]
    rows, unit = ensemble.rows, ensemble.unit
    refusals = {i: no for i, aim in enumerate(aims) if (no := refuse.refuse(rows, aim, unit)) is not None}
    most = max(row.flop for row in ensemble.rows)
    cost = np.array([math.nan if i in refusals else flop_of(ensemble.rows, aim) for i, aim in enumerate(aims)])
    distance = np.log10(cost / most)
    for i, aim in enumerate(aims):
        if i not in refusals and (no := refuse.too_far(ensemble, float(distance[i]), aim)) is not None:
            refusals[i] = no
    ends = np.full((3, len(aims)), math.nan)
    for kept in _alike(aims, refusals, max(LEAST_FITS, min(MOST_FITS, MOST_ROWS // len(rows)))):
        middle = sorted(kept, key=lambda i: aims[i].tokens / aims[i].params)[len(kept) // 2]
        made = aimed(rows, unit, aims[middle], fits)
        points = np.array([[aims[i].params, aims[i].tokens, cost[i], epochs_of(aims[i])] for i in kept])
        for start in range(0, len(kept), CHUNK):
            ends[:, kept[start : start + CHUNK]] = spread(made, points[start : start + CHUNK], level)[:3]
    value, low, high = (end.reshape(shape) for end in ends)
    return Forecasts(
        params=arrays["params"], tokens=arrays["tokens"], flop=cost.reshape(shape), value=value, low=low, high=high,
        distance=distance.reshape(shape), level=level, unit=ensemble.unit, refusals=refusals,
    )  # fmt: skip


def _alike(aims: Sequence[Target], refusals: Container[int], most: int) -> list[list[int]]:
    """Places of the targets that share one of at most `most` fits, those refused left out."""
    kinds = {
        place: (math.log(aim.tokens / aim.params), math.log(epochs_of(aim)))
        for place, aim in enumerate(aims) if place not in refusals
    }  # fmt: skip
    alike = ALIKE
    while True:
        found: dict[tuple[int, int], list[int]] = {}
        for place, (ratio, again) in kinds.items():
            found.setdefault((round(ratio / alike), round(again / alike)), []).append(place)
        if len(found) <= most:
            return list(found.values())
        alike *= 2


def _arrays(given: dict[str, Any]) -> dict[str, Floats]:
    """All as floats of one shape."""
    problems, found = [], {}
    for name, value in given.items():
        try:
            found[name] = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            problems.append(
                Problem(f"{name} is {value!r:.60}", "not a number, nor an array of numbers", "give numbers")
            )
    if problems:
        raise StudyError.all(problems)
    try:
        same = np.broadcast_arrays(*found.values())
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in found.items())
        raise StudyError(
            "the targets' arrays do not go together", why=shapes, fix="give arrays of one shape, or single numbers"
        ) from None
    return {name: np.array(array) for name, array in zip(found, same)}
