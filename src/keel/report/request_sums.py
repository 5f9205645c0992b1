"""What other sums than the ask would buy, by the plan's own price a token."""

from __future__ import annotations

from typing import NamedTuple

from keel.report.request_input import Request
from keel.report.words import percent
from keel.units import show_count, show_usd

SHARES = ((0.1, "a tenth of the ask"), (0.5, "half of the ask"))
ALLOWED = {0.1: "a tenth of what is allowed", 0.5: "half of it", 2.0: "twice as much"}
CLOSE = 1.02


class Sum(NamedTuple):
    """A sum, its name, the tokens seen for it at the dear end of price and speed, and what that is in words."""

    usd: float
    name: str
    seen: float
    words: str


class Rates(NamedTuple):
    """USD a token seen: the dear end of price and speed, and the cheap one; and the most tokens that are worth it."""

    dear: float
    cheap: float
    most: float


def rates_of(made: Request) -> Rates | None:
    """From both ends of the plan's cost; None where one is unknown, or nothing is trained.

    rate = usd / tokens at each end
    """
    least, last = made.tokens_low or made.tokens, made.tokens_high or made.tokens
    if not made.usd_low or not made.usd_high or not least or not last:
        return None
    return Rates(made.usd_high / last, made.usd_low / least, max(least, last, made.tokens or 0.0))


def grows(made: Request) -> bool:
    """Whether another sum trains another size: fresh weights that money bounds, not the data."""
    return made.route == "scratch" and made.binds != "data" and bool(made.others)


def sums(made: Request) -> tuple[Sum, ...]:
    """Smaller sums first, then the ask and what is allowed; () where nothing is trained or a sum is unknown."""
    rates = rates_of(made)
    if rates is None or made.usd_high is None:
        return ()
    if grows(made):
        return _sizes(made)
    found = [_less(made, rates, share, name) for share, name in SHARES]
    asked = min(rates.most, made.usd_high / rates.dear)
    found.append(Sum(made.usd_high, "the ask", asked, _passes(made, asked)))
    if made.allowed_usd is not None and made.allowed_usd > made.usd_high * CLOSE:
        words = (
            "nothing more: the data would only be repeated" if made.binds == "data" else "nothing more of this route"
        )
        found.append(Sum(made.allowed_usd, "all that is allowed", rates.most, words))
    return tuple(found)


def _less(made: Request, rates: Rates, share: float, name: str) -> Sum:
    usd = share * (made.usd_high or 0.0)
    seen = usd / rates.dear
    return Sum(usd, name, seen, _passes(made, seen))


def _passes(made: Request, seen: float) -> str:
    """Tokens, and how often that goes over the data where they are counted in tokens."""
    times = passes(made, seen)
    return f"{show_count(seen)} tokens seen" + (f": {times} over the data" if times else "")


def passes(made: Request, seen: float) -> str:
    """How often that goes over the most that the data may be; "" where they are not counted in tokens."""
    most = made.unique_high or made.unique
    if made.unit != "tokens" or not most or made.route == "fine-tune":
        return ""
    times = seen / most
    return f"{times:.2g} passes" if abs(times - 1.0) > 0.005 else "1 pass"


def _sizes(made: Request) -> tuple[Sum, ...]:
    """Fresh weights by the plan: each sum at its own size; the ask among them."""
    found = [
        Sum(item.usd, ALLOWED.get(item.share, f"{percent(item.share)} of it"), item.tokens,
            f"{show_count(item.params)} parameters on {show_count(item.tokens)} tokens")
        for item in made.others if item.params and item.tokens
    ]  # fmt: skip
    if made.usd_high and made.tokens:
        size = f"{show_count(made.params)} parameters on " if made.params else ""
        found.append(Sum(made.usd_high, "the ask", made.tokens, f"{size}{show_count(made.tokens)} tokens"))
    return tuple(sorted(found))


def said(item: Sum) -> tuple[str, str, str]:
    """A row: name, sum, what it buys."""
    return item.name, show_usd(item.usd), item.words
