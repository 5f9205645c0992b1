"""Strong scaling from a few measured (nodes, minutes): what they say of more nodes, and what they cannot tell.

T(n) = a / n + b + c log2 n + d (n - 1): work that is shared; a serial part (Amdahl) or an all-reduce bound by
bandwidth, which cost the same (n - 1) / n and cannot be told apart by any number of points; a tree; a ring's latency.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from keel.errors import Problem, StudyError
from keel.size.time import Estimate

Terms = tuple[Callable[[float], float], ...]
# Each explanation: the terms beside the shared work. One coefficient each, none below zero.
EXPLANATIONS: Mapping[str, Terms] = {
    "serial part or bandwidth": (lambda n: 1.0,),
    "tree latency, log2 n": (lambda n: math.log2(n),),
    "ring latency, n - 1": (lambda n: n - 1.0,),
}
TIMING_ERROR = 0.02  # of a stated time, where the user gives none


class Measured(NamedTuple):
    nodes: int
    minutes: float


class Explanation(NamedTuple):
    """One form that goes through the points: minutes at n = shared / n + other x its term."""

    name: str
    shared: float
    other: float
    misses: float  # the largest relative miss of a point

    def minutes(self, nodes: float) -> float:
        return self.shared / nodes + self.other * EXPLANATIONS[self.name][0](nodes)


class Next(NamedTuple):
    """The point that tells: nodes (0: none), and the relative error that its time and the others may have."""

    nodes: int
    error: float


class Strong(NamedTuple):
    """What the points say. `serial_share`: Amdahl's f, the whole loss taken as serial.

    `tells`: the next number of nodes to time, and how well, to tell them apart; `cannot`: what stays unknown.
    """

    points: tuple[Measured, ...]
    speed_up: float
    efficiency: float
    serial_share: Estimate
    explanations: tuple[Explanation, ...]
    cannot: str
    tells: Next
    error: float

    def minutes(self, nodes: int) -> Estimate:
        """Minutes on `nodes`: the value by Amdahl's law where the points leave it open, else by the first explanation
        left; the interval over all that are left and the timing error.

        Example:
            >>> amazon = strong([(1, 99), (8, 13.5)])
            >>> [round(amazon.minutes(nodes).value, 2) for nodes in (16, 32)]
            [7.39, 4.34]
        """
        every = [explanation.minutes(nodes) for explanation in self.explanations]
        for corner in _corners(self.points, self.error):
            every += [found.minutes(nodes) for found in _explain(corner, self.error)]
        first = self.explanations[0]
        beyond = nodes / self.points[-1].nodes
        outside = f"; {beyond:.3g} x the most nodes measured" if beyond > 1 else ""
        source = f"T(n) = a / n + {first.name}{outside}; {self.cannot}"
        return Estimate(first.minutes(nodes), min(every), max(every), source)

    def usd(self, nodes: int, usd_per_hour: float) -> Estimate:
        """USD of a run: nodes x hours x USD an hour of a node."""
        found = self.minutes(nodes)
        each = nodes * usd_per_hour / 60
        return Estimate(found.value * each, found.low * each, found.high * each, found.source)


def amdahl(speed_up: float, nodes: float) -> float:
    """The serial share f of T(n) / T(1) = f + (1 - f) / n: f = (1 / S - 1 / n) / (1 - 1 / n).

    Source: Amdahl 1967, doi:10.1145/1465482.1465560.

    Example:
        >>> round(amdahl(99 / 13.5, 8), 5)
        0.01299
    """
    return (1 / speed_up - 1 / nodes) / (1 - 1 / nodes)


def strong(points: Sequence[tuple[int, float]], error: float = TIMING_ERROR) -> Strong:
    """Fit every explanation to measured (nodes, minutes) of the same job and say what they tell.

    `error`: the relative error of a time. An explanation that misses a point by more than twice that is dropped (the
    best is kept). Two points fit all of them: they cannot be told apart.

    Raises:
        StudyError: fewer than two numbers of nodes, a time or a count of nothing; all of them.

    Example:
        >>> amazon = strong([(1, 99), (8, 13.5)])
        >>> round(amazon.speed_up, 3), round(100 * amazon.efficiency, 1), amazon.tells
        (7.333, 91.7, Next(nodes=64, error=0.01))
    """
    measured = tuple(sorted(Measured(nodes, minutes) for nodes, minutes in points))
    _check(measured, error)
    found = _explain(measured, error)
    first, last = measured[0], measured[-1]
    speed_up, more = first.minutes / last.minutes, last.nodes / first.nodes
    share = _serial(found[0])
    shares = [_serial(each[0]) for each in (_explain(corner, error) for corner in _corners(measured, error))]
    serial = Estimate(
        share, min([share, *shares]), max([share, *shares]), "the loss taken as serial, times +- the error"
    )
    return Strong(measured, speed_up, speed_up / more, serial, found, _cannot(measured, found),
                  _tells(measured, found, error), error)  # fmt: skip


def _explain(points: Sequence[Measured], error: float) -> tuple[Explanation, ...]:
    """Every explanation that the points allow, Amdahl's first where it is among them."""
    every = [_fit(name, points) for name in EXPLANATIONS]
    best = min(each.misses for each in every)
    kept = [each for each in every if each.misses <= max(2 * error, best) + 1e-9]
    return tuple(kept)


def _fit(name: str, points: Sequence[Measured]) -> Explanation:
    """Least squares of relative misses, neither coefficient below zero."""
    term = EXPLANATIONS[name][0]
    rows = [(1 / (p.nodes * p.minutes), term(p.nodes) / p.minutes) for p in points]
    xx, yy = sum(x * x for x, _ in rows), sum(y * y for _, y in rows)
    xy, x1, y1 = sum(x * y for x, y in rows), sum(x for x, _ in rows), sum(y for _, y in rows)
    determinant = xx * yy - xy * xy
    shared, other = (x1 * yy - y1 * xy) / determinant, (y1 * xx - x1 * xy) / determinant
    if other < 0:
        shared, other = x1 / xx, 0.0
    if shared < 0:
        shared, other = 0.0, y1 / yy
    misses = max(abs(shared * x + other * y - 1) for x, y in rows)
    return Explanation(name, shared, other, misses)


def _serial(explanation: Explanation) -> float:
    """Share of one node's time that is not shared out."""
    one = explanation.minutes(1)
    return (one - explanation.shared) / one


def _corners(points: Sequence[Measured], error: float) -> list[tuple[Measured, ...]]:
    """The points with the first time too low and the last too high by the error, and the other way round."""
    first, middle, last = points[0], points[1:-1], points[-1]
    return [
        (first._replace(minutes=first.minutes * (1 + sign * error)), *middle,
         last._replace(minutes=last.minutes * (1 - sign * error)))
        for sign in (1, -1)
    ]  # fmt: skip


def _cannot(points: Sequence[Measured], found: Sequence[Explanation]) -> str:
    always = "a serial part and a bandwidth-bound all-reduce cost the same at every n"
    if len(points) == 2:
        return f"one ratio cannot separate serial work from communication; {always}"
    if len(found) > 1:
        return f"these points leave {' and '.join(each.name for each in found)} open; {always}"
    return f"{always}; nothing is said of a batch that grows"


def _tells(points: Sequence[Measured], found: Sequence[Explanation], error: float) -> Next:
    """The least doubling of the most nodes whose time leaves one explanation alone, whichever of them is true.

    Each is taken as the truth in turn, its time at that count is added, and all are fitted anew. Where no count tells
    at the stated error, the error is halved: repeated runs have to be averaged.
    """
    for halvings in range(6):
        needed = error / 2**halvings
        for nodes in (points[-1].nodes * 2**power for power in range(1, 8)):
            told = [_explain([*points, Measured(nodes, truth.minutes(nodes))], needed) for truth in found]
            if all(len(left) == 1 for left in told):
                return Next(nodes, needed)
    return Next(0, 0.0)


def _check(points: Sequence[Measured], error: float) -> None:
    found = [
        Problem(f"{p.nodes:g} nodes in {p.minutes:g} min", "counts are one or more, times above zero", "measure again",
                "points")
        for p in points if not (p.nodes >= 1 and 0 < p.minutes < math.inf)
    ]  # fmt: skip
    if len({p.nodes for p in points}) < 2:
        found.append(Problem("one number of nodes", "scaling is a comparison", "time the job on two or more", "points"))
    if not 0 <= error < 0.5:
        found.append(Problem(f"a timing error of {error:g}", "a share of the time", "write 0.02 for 2 %", "error"))
    if found:
        raise StudyError.all(found)
