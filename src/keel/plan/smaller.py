"""What another sum would buy: a tenth, half and twice the ask, each by the same arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keel.plan.spending import spend
from keel.size.band import band
from keel.size.time import Estimate

if TYPE_CHECKING:
    from keel.plan.decide import Decision

SHARES = (0.1, 0.5, 2.0)


def smaller(made: Decision) -> list[dict[str, Any]]:
    """For each share of the budget: the size and tokens of fresh weights, and whether the route is paid for.

    [] where money or what it buys is not known.
    """
    flop, usd = made.ask.flop, made.means.usd
    return [] if flop is None or usd is None else [_bought(made, share, flop, usd) for share in SHARES]


def _bought(made: Decision, share: float, flop: Estimate, usd: float) -> dict[str, Any]:
    less, stated = flop.times(share), made.means.stated_flop
    means = made.means._replace(usd=usd * share, flop=less, stated_flop=stated * share if stated else None)
    sized = band(made.ask._replace(flop=less))
    fresh = spend("scratch", None, made.held, sized, means, made.chosen.category)
    same = spend(made.route.value, made.base, made.held, sized, means, made.chosen.category)
    return {
        "usd": usd * share, "share": share, "params": sized.params, "tokens": sized.tokens, "binds": sized.binds,
        "params_low": sized.params_low, "params_high": sized.params_high,
        "spent_usd": fresh.usd.value if fresh.usd else None,
        "covers_route": same.flop is not None and same.share == 1.0,
    }  # fmt: skip
