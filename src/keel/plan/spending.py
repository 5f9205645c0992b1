"""What a route costs: FLOP, money, hours on one node; by formula, with the ends of price, speed and epochs."""

from __future__ import annotations

from typing import Any, NamedTuple

from keel.answer import Number
from keel.catalog.rows import Model
from keel.choose.holdings import Holdings
from keel.plan.means import Means
from keel.size.band import Band
from keel.size.time import Estimate

FLOP_PER_PARAM_TOKEN = 6.0
EPOCHS_CONTINUED = 4.0
CONTINUED = "one epoch; high: 4 epochs, about as good as fresh text (Muennighoff et al. 2023, arXiv:2305.16264)"
EPOCHS_TUNED = 3.0
TUNED = "3 epochs, as BERT's (Devlin et al. 2019, arXiv:1810.04805, appendix A.3)"
TOKENS_AN_EXAMPLE = 128.0
# Patches of a picture of 224 pixels and its class token: 16 pixels a side; 32 to 14.
PATCHES = Estimate(197.0, 50.0, 257.0, "(224 / 16)^2 + 1 patches an image; 32 and 14 pixels a side")
CAPTION_TOKENS = 77.0


class Spending(NamedTuple):
    """`flop`, `usd` and `hours` of one node with their ends; None: not known. `tokens`: how many are seen."""

    flop: Estimate | None
    tokens: Estimate | None
    usd: Estimate | None
    hours: Estimate | None
    devices: int | None
    node: str
    how: str

    def json(self, nodes: int = 1) -> dict[str, Any]:
        """As in `keel plan --json`: ends of the money, hours on `nodes` nodes and their devices in all."""
        hours, usd = self.hours, self.usd
        return {
            "usd_low": usd.low if usd else None, "usd_high": usd.high if usd else None, "usd": usd.value if usd else None,
            "hours": hours.value / nodes if hours else None, "hours_low": hours.low / nodes if hours else None,
            "hours_high": hours.high / nodes if hours else None, "flop": self.flop.value if self.flop else None,
            "tokens": self.tokens.value if self.tokens else None, "tokens_low": self.tokens.low if self.tokens else None,
            "tokens_high": self.tokens.high if self.tokens else None, "nodes": nodes,
            "devices": self.devices * nodes if self.devices else None, "hardware": self.node, "how": self.how,
        }  # fmt: skip


    def numbers(self) -> list[Number]:
        """The route's cost with where it comes from."""
        named = (("cost.flop", self.flop, "flop"), ("cost.usd", self.usd, "usd"), ("cost.hours", self.hours, "hours"))
        return [Number(name, found.value, unit, found.low, found.high, self.how, source=found.source)
                for name, found, unit in named if found is not None]  # fmt: skip


NOTHING = Estimate(0.0, 0.0, 0.0, "nothing is trained")


def unit_tokens(held: Holdings) -> Estimate | None:
    """Tokens that one sample makes in a model; None where a sample is a token."""
    if held.unit == "tokens":
        return None
    if held.unit == "images":
        return PATCHES
    return Estimate(PATCHES.value + CAPTION_TOKENS, PATCHES.low + CAPTION_TOKENS, PATCHES.high + CAPTION_TOKENS,
                    f"{PATCHES.source}, and a text of 77 tokens, each in its own half of the model")  # fmt: skip


def spend(route: str, base: Model | None, held: Holdings, band: Band, means: Means) -> Spending:
    """The cost of a route; of `collect` and `use`, nothing."""
    if route in ("use", "collect"):
        return _priced(NOTHING, NOTHING, means, "nothing is trained")
    if route == "scratch":
        return _fresh(band, means)
    tokens, how = _tokens(route, held)
    params = _worked(base)
    if tokens is None or params is None:
        return _priced(None, tokens, means, "the base's size or the amount of data is unknown")
    scale = FLOP_PER_PARAM_TOKEN * params
    flop = Estimate(scale * tokens.value, scale * tokens.low, scale * tokens.high, tokens.source)
    return _priced(flop, tokens, means, f"6 x {params:.3g} parameters x {tokens.value:.3g} tokens: {how}")


def _fresh(band: Band, means: Means) -> Spending:
    if band.flop is None or band.tokens is None:
        return _priced(None, None, means, "no law gives a size here, or no budget is said")
    flop = Estimate(band.flop, band.flop, band.flop, band.point_law)
    seen = Estimate(band.tokens, band.tokens, band.tokens, band.point_law)
    return _priced(flop, seen, means, f"6 N D of the recommended size, {band.epochs or 1:.3g} epochs")


def _tokens(route: str, held: Holdings) -> tuple[Estimate | None, str]:
    """Tokens seen, and by which convention."""
    per = unit_tokens(held)
    if route == "fine-tune":
        examples = held.labels or held.pairs or held.documents
        if not examples:
            return None, "how many labels there are is unknown"
        each = _example_tokens(held) if per is None else per.value
        seen = EPOCHS_TUNED * examples * each
        return Estimate(seen, seen / EPOCHS_TUNED, seen * 2, TUNED), TUNED
    if held.unique is None:
        return None, "how much there is to train on is unknown"
    one = held.unique
    if per is not None:
        one = Estimate(one.value * per.value, one.low * per.low, one.high * per.high, per.source)
    return Estimate(one.value, one.low, EPOCHS_CONTINUED * one.high, CONTINUED), CONTINUED


def _example_tokens(held: Holdings) -> float:
    if held.unique and held.documents:
        return min(512.0, held.unique.value / held.documents)
    return TOKENS_AN_EXAMPLE


def _worked(base: Model | None) -> float | None:
    """Parameters that every token meets: the body where it is known, else all."""
    if base is None:
        return None
    return base.params_body or base.params


def _priced(flop: Estimate | None, tokens: Estimate | None, means: Means, how: str) -> Spending:
    node = means.node
    if flop is None or node is None:
        return Spending(flop, tokens, None, None, None, node.hardware.name if node else "", how)
    rate, price = node.flop_s, node.usd_per_flop
    hours = Estimate(
        flop.value / rate.value / 3600, flop.low / rate.high / 3600, flop.high / rate.low / 3600, rate.source
    )
    usd = price and Estimate(flop.value * price.value, flop.low * price.low, flop.high * price.high, price.source)
    found = Spending(flop, tokens, usd, hours, node.hardware.devices, node.hardware.name, how)
    return _capped(found, means.usd)


def _capped(found: Spending, most_usd: float | None) -> Spending:
    """Never more than the budget: where it ends first, fewer tokens are seen."""
    usd = found.usd
    if usd is None or most_usd is None or usd.high <= most_usd:
        return found
    shares = [min(1.0, most_usd / part) for part in (usd.value, usd.low, usd.high)]
    how = f"{found.how}; the budget ends it: at the dear and slow end {100 * shares[2]:.0f} % of that is done"

    def part(whole: Estimate | None) -> Estimate | None:
        if whole is None:
            return None
        return Estimate(whole.value * shares[0], whole.low * shares[1], whole.high * shares[2], whole.source)

    return found._replace(
        flop=part(found.flop), tokens=part(found.tokens), usd=part(usd), hours=part(found.hours), how=how
    )
