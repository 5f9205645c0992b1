"""Scale up against scale out: hours and USD of a job over node types and counts, and which of them are worth a look.

When the global batch grows past its critical size, a step teaches less: tokens to the same quality grow as
E / Emin = 1 + B / Bcrit, so that time to quality is more than time to the same tokens. Both are given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from keel.size.hardware import Hardware
from keel.size.speed import Speed
from keel.size.step import Work, step
from keel.size.time import Estimate
from keel.units import show_count, show_duration, show_usd

DOUBLINGS = tuple(2**power for power in range(11))  # 1 to 1,024 nodes
BALANCE = 1.10  # the balanced point may cost a tenth more than the cheapest
WEEK_H = 168.0
MCCANDLISH = "McCandlish et al. 2018, arXiv:1812.06162: (S/Smin - 1)(E/Emin - 1) = 1"


class Run(NamedTuple):
    """The job: FLOP and tokens in all, tokens a step, tokens a sequence, parameters and how they are spread.

    `critical_tokens`: the critical batch (None: unknown; then growing the batch is taken to be free, and said).
    `micro_batch`: sequences that a device holds at once. `recompute`: the forward pass runs twice, 4/3 of the FLOP.
    """

    flop: float
    tokens: float
    batch_tokens: float
    params: float
    context: int
    layers: int = 32
    sharding: str = "zero3"
    precision: str = "bf16"
    critical_tokens: float | None = None
    micro_batch: int = 1
    recompute: bool = False


class Point(NamedTuple):
    """A type and a number of nodes. `hours`: to the tokens asked for; `quality_hours`: to the same quality, more where
    the batch had to grow; `usd`: of the latter, None without a price. `batch_tokens`: of a step.
    """

    hardware: str
    nodes: int
    devices: int
    batch_tokens: float
    hours: Estimate
    quality_hours: Estimate
    usd: Estimate | None
    note: str


class Deadline(NamedTuple):
    """The cheapest point within a deadline, or None and the fastest that is possible; `line` says it."""

    point: Point | None
    fastest: Point | None
    line: str


def more_tokens(batch: float, before: float, critical: float | None) -> float:
    """How many times the tokens for the same quality when the batch grows: (1 + B / Bcrit) / (1 + B0 / Bcrit).

    Source: McCandlish et al. 2018, arXiv:1812.06162, from (S/Smin - 1)(E/Emin - 1) = 1.

    Example:
        >>> more_tokens(8e6, 1e6, 1e6), more_tokens(8e6, 1e6, None)
        (4.5, 1.0)
    """
    return 1.0 if critical is None else (1 + batch / critical) / (1 + before / critical)


def points(run: Run, types: Sequence[tuple[Hardware, Speed]], counts: Sequence[int] = DOUBLINGS) -> tuple[Point, ...]:
    """Every type at every count of nodes; a count that cannot be timed is left out (see `untimed`).

    The batch stays at `batch_tokens` until each device has one sequence; beyond, it grows by whole sequences.
    """
    return tuple(found for hardware, speed in types for nodes in counts
                 if (found := _point(run, hardware, speed, nodes)) is not None)  # fmt: skip


def untimed(types: Sequence[tuple[Hardware, Speed]]) -> tuple[str, ...]:
    """Why some counts of nodes have no time: unknown links."""
    work = Work(1.0, 1.0)
    notes = [step(hardware, speed, work, nodes).note for hardware, speed in types for nodes in (1, 2)]
    return tuple(dict.fromkeys(note for note in notes if note))


def front(found: Sequence[Point]) -> tuple[Point, ...]:
    """The points that no other beats in nodes, hours to quality and USD at once, fastest last.

    A point without a price is beaten only by another without one.
    """

    def beaten(point: Point) -> bool:
        return any(_beats(other, point) for other in found)

    kept = [point for point in found if not beaten(point)]
    return tuple(sorted(kept, key=lambda point: -point.quality_hours.value))


def per_epoch(hours: float, nodes: int, batch_tokens: float, critical_tokens: float | None) -> tuple[float, float]:
    """Hours of an epoch and hours to quality on `nodes` when the batch grows with them, from hours on one.

    Example:
        >>> per_epoch(8.0, 8, 1e6, None), per_epoch(8.0, 8, 1e6, 1e6)
        ((1.0, 1.0), (1.0, 4.5))
    """
    epoch = hours / nodes
    return epoch, epoch * more_tokens(nodes * batch_tokens, batch_tokens, critical_tokens)


def within(found: Sequence[Point], deadline_h: float) -> Deadline:
    """The cheapest point (fewest nodes where nothing is priced) whose hours to quality meet the deadline.

    A point whose slow end misses it is taken, and said to be at risk.
    """
    if not found:
        return Deadline(None, None, "no node type can be timed")
    fastest = min(found, key=lambda point: point.quality_hours.value)
    meets = [point for point in found if point.quality_hours.value <= deadline_h]
    asked = _time(deadline_h)
    if not meets:
        low = fastest.quality_hours.low
        perhaps = f"; {_time(low)} at the best MFU" if low <= deadline_h else ""
        return Deadline(None, fastest, f"no: {asked} cannot be met; the fastest is "
                        f"{_time(fastest.quality_hours.value)} on {label(fastest)}{perhaps}")  # fmt: skip
    best = min(meets, key=_cost)
    risk = "" if best.quality_hours.high <= deadline_h else f", at risk: {_time(best.quality_hours.high)} if slow"
    return Deadline(best, fastest, f"{asked}: {label(best)}, {_time(best.quality_hours.value)}{_paid(best)}{risk}")


def balance(found: Sequence[Point]) -> tuple[Point, str] | None:
    """The fastest point that costs at most a tenth more than the cheapest (device-hours where nothing is priced)."""
    if not found:
        return None
    cheapest = min(found, key=_cost)
    near = [point for point in found if _cost(point)[:2] <= (_cost(cheapest)[0], BALANCE * _cost(cheapest)[1])]
    best = min(near, key=lambda point: point.quality_hours.value)
    extra = 100 * (_cost(best)[1] / _cost(cheapest)[1] - 1)
    above = "the cheapest" if best == cheapest else f"{extra:.0f} % above the cheapest"
    unit = " in device-hours" if best.usd is None else ""
    return best, f"best balance: {label(best)}, {_time(best.quality_hours.value)}{_paid(best)}, {above}{unit}"


def experiments_a_week(hours: float) -> float:
    """Whole runs one after the other in a week, 168 h.

    Example:
        >>> experiments_a_week(13.5 / 60)
        746.0
    """
    return float(int(WEEK_H / hours + 1e-9))


def label(point: Point) -> str:
    """ "8 x aws:p4d.24xlarge"."""
    return f"{point.nodes:,} x {point.hardware}"


def _time(hours: float) -> str:
    return show_duration(3600 * hours)


def _paid(point: Point) -> str:
    return "" if point.usd is None else f", {show_usd(point.usd.value)}"


def _point(run: Run, hardware: Hardware, speed: Speed, nodes: int) -> Point | None:
    devices = nodes * hardware.devices
    sequences = max(1, round(run.batch_tokens / run.context))
    batch = max(float(run.batch_tokens), float(devices * run.context))
    per_step = run.flop * batch / run.tokens * (4 / 3 if run.recompute else 1)
    work = Work(per_step, run.params, run.layers, run.sharding if devices > 1 else "ddp", run.precision,
                accumulation=max(1, math.ceil(sequences / (devices * run.micro_batch))))  # fmt: skip
    one = step(hardware, speed, work, nodes)
    if one.total_s is None:
        return None
    steps = run.tokens / batch
    hours = _times(one.total_s, steps / 3600, one.total_s.source)
    more = more_tokens(batch, run.batch_tokens, run.critical_tokens)
    quality = _times(hours, more, MCCANDLISH if more > 1 else hours.source)
    cost = hardware.usd_per_hour
    usd = None
    if cost is not None:
        each = nodes * cost.value
        usd = Estimate(each * quality.value, each * quality.low, each * quality.high, cost.source)
    note = ""
    if batch > run.batch_tokens:
        note = f"batch grows to {show_count(batch)} tokens: x {more:.2f} tokens for the same quality"
        if run.critical_tokens is None:
            note = f"batch grows to {show_count(batch)} tokens; critical batch unknown: no loss charged"
    return Point(hardware.name, nodes, devices, batch, hours, quality, usd, note)


def _times(estimate: Estimate, factor: float, source: str) -> Estimate:
    return Estimate(estimate.value * factor, estimate.low * factor, estimate.high * factor, source)


def _beats(one: Point, other: Point) -> bool:
    if (one.usd is None) != (other.usd is None):
        return False
    mine, theirs = _axes(one), _axes(other)
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs))


def _axes(point: Point) -> tuple[float, float, float]:
    return point.nodes, point.quality_hours.value, point.usd.value if point.usd is not None else 0.0


def _cost(point: Point) -> tuple[int, float, int]:
    """Priced before unpriced; USD or device-hours; fewer nodes first."""
    if point.usd is not None:
        return 0, point.usd.value, point.nodes
    return 1, point.devices * point.quality_hours.value, point.nodes
