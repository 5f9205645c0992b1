"""What a run costs on a named machine, and whether it can be done in the money and the time that were given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from keel.errors import Refusal, Refused
from keel.size import budget
from keel.size.hardware import Hardware
from keel.size.machines import MOST_NODES, Holding
from keel.size.speed import Speed
from keel.size.time import Estimate

OVER = 1.0 + 1e-9


class Place(NamedTuple):
    """The machine that was named, and how fast one device is."""

    hardware: Hardware
    speed: Speed


class Cost(NamedTuple):
    """A run's cost, without reserves. `nodes` and `hours` None where neither nodes nor a deadline was said."""

    flop: float
    device_hours: Estimate
    usd: Estimate | None
    nodes: int | None
    hours: Estimate | None


def cost_of(flop: float | None, place: Place | None, nodes: int | None, deadline_s: float | None) -> Cost | None:
    """Device-hours, money and time of a run; without `nodes` as many as the deadline needs at the middle speed.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> from keel.size.hardware import find
        >>> from keel.size.speed import speed
        >>> node = find(Catalogue(), "aws:p4d.24xlarge")
        >>> cost = cost_of(1e21, Place(node, speed(node)), None, 7 * 86400.0)
        >>> cost.nodes, cost.hours.value <= 7 * 24
        (2, True)
    """
    if place is None or flop is None:
        return None
    rate, devices = place.speed.flop_s, place.hardware.devices
    hours = _over(flop / 3600, rate)
    usd = budget.usd_of(flop, place.hardware, place.speed)
    if nodes is None and deadline_s:
        nodes = whole(hours.value * 3600 / devices / deadline_s)
    if nodes is None:
        return Cost(flop, hours, usd, None, None)
    share = devices * nodes
    wall = Estimate(hours.value / share, hours.low / share, hours.high / share, hours.source)
    return Cost(flop, hours, usd, nodes, wall)


def feasible(
    cost: Cost | None, place: Place | None, usd: float | None, reserves: Sequence[budget.Reserve],
    nodes: int | None, deadline_s: float | None, holding: Holding | None = None,
) -> None:  # fmt: skip
    """Refuse what cannot be done, with the smallest change that would make it so.

    Raises:
        Refused: too little money, or too little time or memory on these nodes.
    """
    if cost is None or place is None:
        return
    said = _too_dear(cost, usd, reserves) + _too_slow(cost, place, nodes, deadline_s) + _too_big(nodes, holding)
    if said:
        raise Refused(Refusal("infeasible: " + "; ".join(what for what, _ in said), place.speed.mfu.source,
                              " and ".join(fix for _, fix in said)))  # fmt: skip


def _too_dear(cost: Cost, usd: float | None, reserves: Sequence[budget.Reserve]) -> list[tuple[str, str]]:
    if usd is None or cost.usd is None:
        return []
    left = usd * budget.kept(reserves)
    if cost.usd.value <= left * OVER:
        return []
    needed = math.ceil(cost.usd.value / budget.kept(reserves))
    what = f"the run costs ${cost.usd.value:,.0f} (${cost.usd.low:,.0f} to ${cost.usd.high:,.0f}), "
    return [(f"{what}${left:,.0f} is left of ${usd:,.0f} after reserves",
             f"--usd {needed}, or a run of {left / cost.usd.value:.2g} the FLOP")]  # fmt: skip


def _too_slow(cost: Cost, place: Place, nodes: int | None, deadline_s: float | None) -> list[tuple[str, str]]:
    if deadline_s is None or nodes is None or cost.hours is None or cost.hours.value * 3600 <= deadline_s * OVER:
        return []
    needed = whole(nodes * cost.hours.value * 3600 / deadline_s)
    return [(f"the run takes {cost.hours.value:,.1f} h on {nodes} x {place.hardware.name}, the deadline is "
             f"{deadline_s / 3600:,.1f} h", f'--nodes {needed}, or --deadline "{math.ceil(cost.hours.value)} hours"',
             )]  # fmt: skip


def _too_big(nodes: int | None, holding: Holding | None) -> list[tuple[str, str]]:
    if holding is None or holding.fit.fits is None:
        return []
    least, name = holding.least_nodes, holding.hardware.name
    if least is None:
        return [(f"no {MOST_NODES} x {name} hold it in memory, shared as far as can be",
                 f"a device with more memory than {name}'s, or fewer parameters")]  # fmt: skip
    if nodes is None or nodes >= least:
        return []
    return [(f"{nodes} x {name} do not hold it in memory, shared as far as can be", f"--nodes {least}")]


def whole(nodes: float) -> int:
    """Nodes to the next whole one; rounding of the last digit is no node."""
    return max(1, math.ceil(nodes / OVER))


def _over(work: float, rate: Estimate) -> Estimate:
    return Estimate(work / rate.value, work / rate.high, work / rate.low, rate.source)
