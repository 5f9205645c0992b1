"""What another sum would buy: half, a tenth and twice the ask, each by the same arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keel.plan.spending import spend
from keel.size.band import band
from keel.size.time import Estimate

if TYPE_CHECKING:
    from keel.plan.decide import Decision

SHARES = (0.1, 0.5, 2.0)


def smaller(made: Decision) -> list[dict[str, Any]]:
    """For each share of the budget: the size and tokens of fresh weights that it buys, and what is left; [] without one."""
    flop, usd = made.ask.flop, made.means.usd
    if flop is None or usd is None:
        return []
    return [_bought(made, share, flop, usd) for share in SHARES]


def _bought(made: Decision, share: float, flop: Estimate, usd: float) -> dict[str, Any]:
    less = Estimate(flop.value * share, flop.low * share, flop.high * share, flop.source)
    sized = band(made.ask._replace(flop=less))
    fresh = spend("scratch", None, made.held, sized, made.means)
    enough = made.cost.usd is not None and made.cost.usd.high <= usd * share
    return {
        "usd": usd * share, "share": share, "params": sized.params, "tokens": sized.tokens, "binds": sized.binds,
        "params_low": sized.params_low, "params_high": sized.params_high,
        "spent_usd": fresh.usd.value if fresh.usd else None, "covers_route": enough,
    }  # fmt: skip
