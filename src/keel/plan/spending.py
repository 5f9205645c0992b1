"""What a route costs: FLOP, money, hours on one node; by formula, with the ends of price, speed and epochs."""

from __future__ import annotations

from typing import Any, NamedTuple

from keel.answer import Number
from keel.choose.category import trains
from keel.choose.holdings import Holdings
from keel.choose.kind import Category
from keel.laws.law import FLOP_PER_PARAM_TOKEN
from keel.plan.basis import Basis
from keel.plan.means import Means
from keel.size.ask import LATENT
from keel.size.band import Band
from keel.size.time import Estimate

EPOCHS_CONTINUED = 4.0
CONTINUED = "one epoch; high: 4 epochs, about as good as fresh text (Muennighoff et al. 2023, arXiv:2305.16264)"
EPOCHS_TUNED = 3.0
TUNED = "3 epochs, as BERT's (Devlin et al. 2019, arXiv:1810.04805, appendix A.3); low: 1, high: 6"
TOKENS_AN_EXAMPLE, LONGEST_EXAMPLE = 128.0, 512.0  # where its length is unknown; a longer one is cut, as BERT's
# Patches of a picture of 224 pixels and its class token: 16 pixels a side; 32 to 14.
PATCHES = Estimate(197.0, 50.0, 257.0, "(224 / 16)^2 + 1 patches an image; 32 and 14 pixels a side")
CAPTION_TOKENS = 77.0
ROUNDING = 1.0 + 1e-9


class Spending(NamedTuple):
    """`flop`, `usd` and `hours` of one node with their ends; None: not known. `tokens`: how many are seen.

    `share`: how much of the route the budget pays at the middle of price and speed.
    """

    flop: Estimate | None
    tokens: Estimate | None
    usd: Estimate | None
    hours: Estimate | None
    devices: int | None
    node: str
    how: str
    share: float = 1.0

    def json(self, nodes: int = 1) -> dict[str, Any]:
        """As in `keel plan --json`: ends of the money, hours on `nodes` nodes and their devices in all."""
        hours = self.hours and self.hours.times(1 / nodes)
        return {
            "flop": self.flop.value if self.flop else None, **_ends("usd", self.usd), **_ends("hours", hours),
            **_ends("tokens", self.tokens), "nodes": nodes, "devices": self.devices * nodes if self.devices else None,
            "hardware": self.node, "how": self.how, "share": self.share,
        }  # fmt: skip

    def numbers(self) -> list[Number]:
        """The route's cost with where it comes from."""
        named = (("cost.flop", self.flop, "flop"), ("cost.usd", self.usd, "usd"), ("cost.hours", self.hours, "hours"))
        return [Number(name, found.value, unit, found.low, found.high, self.how, source=found.source)
                for name, found, unit in named if found is not None]  # fmt: skip


def _ends(name: str, found: Estimate | None) -> dict[str, float | None]:
    value, low, high = found.ends if found else (None, None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


NOTHING = Estimate(0.0, 0.0, 0.0, "nothing is trained")


def unit_tokens(held: Holdings, category: Category) -> Estimate | None:
    """Tokens that one sample makes in a model of the category; None where a sample is a token."""
    if held.unit == "tokens":
        return None
    if category == "diffusion":
        return LATENT
    if held.unit == "images":
        return PATCHES
    return Estimate(PATCHES.value + CAPTION_TOKENS, PATCHES.low + CAPTION_TOKENS, PATCHES.high + CAPTION_TOKENS,
                    f"{PATCHES.source}, and a text of 77 tokens; an upper end, since each meets its own half of the "
                    "model alone")  # fmt: skip


def spend(route: str, base: Basis | None, held: Holdings, band: Band, means: Means, category: Category) -> Spending:
    """The cost of a route, as far as the budget goes; of `collect` and `use`, nothing."""
    if route in ("use", "collect"):
        return _priced(NOTHING, NOTHING, means, "nothing is trained")
    if route == "scratch":
        return _fresh(band, means) if trains(held, category) else _priced(None, None, means, "the data cannot train it")
    tokens, how = _tuned(held, category) if route == "fine-tune" else _continued(held, category)
    if tokens is None:
        return _priced(None, None, means, how)
    if base is None or base.worked is None:
        return _priced(None, tokens, means, "the size of the base is unknown")
    flop = tokens.times(FLOP_PER_PARAM_TOKEN * base.worked)
    return _priced(flop, tokens, means, f"6 x {base.worked:.3g} parameters x {tokens.value:.3g} tokens: {how}")


def _fresh(band: Band, means: Means) -> Spending:
    if band.params is None:
        return _priced(None, None, means, "no law gives a size here")
    if band.flop is None or band.tokens is None:
        return _priced(None, None, means, "neither a budget nor the data say how long to train")
    flop = Estimate(band.flop, band.flop, band.flop, band.point_law)
    seen = Estimate(band.tokens, band.tokens, band.tokens, band.point_law)
    epochs = f", {band.epochs:.3g} epochs" if band.epochs else ""
    return _priced(flop, seen, means, f"6 N D of the recommended size{epochs}")


def _continued(held: Holdings, category: Category) -> tuple[Estimate | None, str]:
    """Tokens of going on with all the data, and by which convention."""
    one, per = held.unique, unit_tokens(held, category)
    if one is None:
        return None, f"how many {held.unit} there are is unknown"
    if per is not None:
        one = Estimate(one.value * per.value, one.low * per.low, one.high * per.high, per.source)
    how = CONTINUED if per is None else f"{CONTINUED}; {per.source}"
    return Estimate(one.value, one.low, EPOCHS_CONTINUED * one.high, how), how


def _tuned(held: Holdings, category: Category) -> tuple[Estimate | None, str]:
    """Tokens of fine-tuning on all examples, and by which convention."""
    examples, per = _examples(held), unit_tokens(held, category)
    if examples is None:
        return None, "how many examples there are is unknown"
    if per is not None:
        each, said = per.value, per.source
    elif held.document_tokens is not None:
        each, said = min(LONGEST_EXAMPLE, held.document_tokens), "as long as a mean document, at most 512 tokens"
    else:
        each, said = TOKENS_AN_EXAMPLE, "128 tokens an example: a convention, their length is unknown"
    once, how = examples * each, f"{TUNED}; {said}"
    return Estimate(EPOCHS_TUNED * once, once, 2 * EPOCHS_TUNED * once, how), how


def _examples(held: Holdings) -> float | None:
    """The most that can be fine-tuned on: labels, pairs, or the rows that are learnt from; None: unknown."""
    pairs = held.pairs or (held.unique.value if held.unit == "pairs" and held.unique else None)
    asked = held.documents if held.supervised else None
    rows = [float(number) for number in held.rows.values() if number is not None]
    return max(filter(None, (held.labels, pairs, asked, *rows)), default=None)


def _priced(flop: Estimate | None, tokens: Estimate | None, means: Means, how: str) -> Spending:
    node = means.node
    name = node.hardware.name if node else ""
    if flop is None or node is None:
        return _capped(Spending(flop, tokens, None, None, None, name, how), means)
    rate, price = node.flop_s, node.usd_per_flop
    hours = Estimate(flop.value / rate.value / 3600, flop.low / rate.high / 3600, flop.high / rate.low / 3600,
                     rate.source)  # fmt: skip
    usd = price and Estimate(flop.value * price.value, flop.low * price.low, flop.high * price.high, price.source)
    return _capped(Spending(flop, tokens, usd, hours, node.hardware.devices, name, how), means)


def _capped(found: Spending, means: Means) -> Spending:
    """Never more than the budget after its reserves: where it ends first, fewer tokens are seen."""
    shares = [min(_part(found.usd, end, means.training_usd), _part(found.flop, end, means.stated_flop))
              for end in range(3)]  # fmt: skip
    if min(shares) == 1.0:
        return found

    def part(whole: Estimate | None) -> Estimate | None:
        if whole is None:
            return None
        ends = [end * share for end, share in zip(whole.ends, shares)]
        return Estimate(ends[0], min(ends), max(ends), whole.source)

    how = (f"{found.how}; the budget ends it: {100 * shares[0]:.3g} % of that is done, and {100 * shares[2]:.3g} % at "
           "its upper end")  # fmt: skip
    return found._replace(flop=part(found.flop), tokens=part(found.tokens), usd=part(found.usd),
                          hours=part(found.hours), how=how, share=shares[0])  # fmt: skip


def _part(whole: Estimate | None, end: int, most: float | None) -> float:
    """How much of an amount's end a limit allows."""
    if whole is None or most is None or whole.ends[end] <= most * ROUNDING:
        return 1.0
    return most / whole.ends[end]
