"""From money to training FLOP and back: price, speed, and what is kept back for everything that is not the one run.

    C = usd (1 - reserves) / (usd an hour of a node) x 3600 x devices x FLOP/s of one device

Each reserve is a share of the whole budget, stated with its reason, and can be set by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from keel.errors import Problem, StudyError
from keel.size.hardware import Hardware
from keel.size.speed import Speed
from keel.size.time import Estimate

HOUR_S = 3600.0


class Reserve(NamedTuple):
    """A share of the budget that the one big run does not get, and why."""

    name: str
    share: float
    why: str


RESERVES: tuple[Reserve, ...] = (
    Reserve("ladder", 0.10, "small runs to fit the law on your data: five sizes below, together about a tenth of the "
            "top run (OLMo's ladder cost 1 % of its target, arXiv:2412.04403; keel's factor of 9 below costs more)"),
    Reserve("evaluation", 0.05, "judging checkpoints on your tasks, fine-tuning included: judged, not measured"),
    Reserve("failures", 0.05, "runs begun anew after wrong settings: OPT-175B restarted 100 times, arXiv:2205.01068; "
            "steps lost to a crash are inside the MFU of whole runs already"),
)  # fmt: skip


def reserves(given: Mapping[str, float] | None = None) -> tuple[Reserve, ...]:
    """The reserves, with the user's shares in place of the defaults.

    Raises:
        StudyError: an unknown name, a share outside [0, 1), or nothing left; all of them.

    Example:
        >>> [(each.name, each.share) for each in reserves({"ladder": 0.2})]
        [('ladder', 0.2), ('evaluation', 0.05), ('failures', 0.05)]
    """
    given = given or {}
    names = [reserve.name for reserve in RESERVES]
    found = [
        Problem(f"'{name}' is no reserve", "unknown name", "one of: " + ", ".join(names), "reserve")
        for name in given if name not in names
    ]  # fmt: skip
    found += [
        Problem(f"the reserve '{name}' is {share:g}", "a share of the budget lies in [0, 1)", "write 0.1 for 10 %",
                "reserve")
        for name, share in given.items() if not (math.isfinite(share) and 0 <= share < 1)
    ]  # fmt: skip
    chosen = tuple(
        reserve._replace(share=given[reserve.name], why="yours") if reserve.name in given else reserve
        for reserve in RESERVES
    )
    if not found and kept(chosen) <= 0:
        found.append(Problem("nothing is left for the run", f"the reserves take {1 - kept(chosen):.0%}",
                             "lower one of them", "reserve"))  # fmt: skip
    if found:
        raise StudyError.all(found)
    return chosen


def kept(held_back: Iterable[Reserve]) -> float:
    """The share that is left for the run itself."""
    return 1.0 - sum(reserve.share for reserve in held_back)


def flop_of(usd: float, hardware: Hardware, speed: Speed, reserves: Sequence[Reserve]) -> Estimate:
    """Training FLOP that money buys after the reserves; low and high over MFU and, where regions differ, price.

    Raises:
        StudyError: no public price, or money that is not positive.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> from keel.size.hardware import find
        >>> from keel.size.speed import speed
        >>> node = find(Catalogue(), "aws:p4d.24xlarge")
        >>> bought = flop_of(20_000, node, speed(node), RESERVES)
        >>> f"{bought.value:.1e}", bought.low < bought.value < bought.high
        ('2.5e+21', True)
    """
    if not (math.isfinite(usd) and usd > 0):
        raise StudyError(f"a budget of {usd:g} USD", why="it must be positive", fix="give the money that may be spent",
                         where="budget")  # fmt: skip
    price = hardware.usd_per_hour
    if price is None:
        raise StudyError(f"{hardware.name} has no public price", why="; ".join(hardware.notes[:1]) or "none is listed",
                         fix="add it to catalog/instances.csv with its date, or give --compute or hours",
                         where=hardware.name)  # fmt: skip
    left = usd * kept(reserves) * HOUR_S * hardware.devices
    return Estimate(
        left * speed.flop_s.value / price.value, left * speed.flop_s.low / price.value,
        left * speed.flop_s.high / price.value,
        f"${usd:,.0f} less {1 - kept(reserves):.0%} reserves, {hardware.name} at ${price.value:.2f} an hour "
        f"({price.source}), {speed.flop_s.source}",
    )  # fmt: skip


def usd_of(flop: float, hardware: Hardware, speed: Speed) -> Estimate | None:
    """USD of a run's FLOP, without reserves; None where no price is public. Low: fast; high: slow, both in this region.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> from keel.size.hardware import find
        >>> from keel.size.speed import speed
        >>> node = find(Catalogue(), "aws:p4d.24xlarge")
        >>> round(usd_of(flop_of(1000, node, speed(node), ()).value, node, speed(node)).value)
        1000
    """
    if hardware.usd_per_hour is None:
        return None
    price = hardware.usd_per_hour.value / HOUR_S / hardware.devices
    rate = speed.flop_s
    return Estimate(flop * price / rate.value, flop * price / rate.high, flop * price / rate.low,
                    f"FLOP / (FLOP/s x devices) x {hardware.usd_per_hour.source}")  # fmt: skip


def flop_in(seconds: float, nodes: float, hardware: Hardware, speed: Speed) -> Estimate:
    """Training FLOP of so many nodes in so many seconds."""
    scale = seconds * nodes * hardware.devices
    rate = speed.flop_s
    return Estimate(scale * rate.value, scale * rate.low, scale * rate.high,
                    f"{nodes:g} x {hardware.name}, {seconds / HOUR_S:.4g} h, {rate.source}")  # fmt: skip
