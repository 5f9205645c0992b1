"""Which laws speak for which kind of model, each side by side with its interval, its range and what it cannot say.

No law is averaged with another, and no encoder is sized by a decoder's law: a masked model wants other tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from keel.laws.law import FLOP_PER_PARAM_TOKEN, Law
from keel.laws.published import PUBLISHED
from keel.size.ask import Ask, LawSize
from keel.size.optima import Point, best, least_size
from keel.size.ratios import MASKED, by_ratio
from keel.size.time import Estimate

TOLERANCE = 0.01  # of the loss: a smaller model that loses no more is worth its ease
STACKS_FACTOR = 4.0  # either way, judged: about the gap between Kaplan's and Hoffmann's sizes where they are furthest
NORMAL_90 = 1.645


class Spread(NamedTuple):
    """Interval of a law's size: exp(+-z sqrt(s^2 + (r ln(C/C0))^2)), or an exponent's range turned about C0."""

    flop: float
    exponent_low: float = 0.0
    exponent_high: float = 0.0
    log_sd: float = 0.0
    exponent_sd: float = 0.0
    source: str = ""

    def factors(self, flop: float, exponent: float) -> tuple[float, float]:
        """Lower and upper end over the middle, 90 % (or the 10-90 % that was printed)."""
        far = math.log(flop / self.flop)
        if self.log_sd:
            half = NORMAL_90 * math.hypot(self.log_sd, self.exponent_sd * far)
            return math.exp(-half), math.exp(half)
        ends = sorted(math.exp((end - exponent) * far) for end in (self.exponent_low, self.exponent_high))
        return min(1.0, ends[0]), max(1.0, ends[1])


class Way(NamedTuple):
    """A published law as a way to a size. `why_not`: why it is shown and does not set the band."""

    law: str
    note: str = ""
    why_not: str = ""
    spread: Spread | None = None


_MIDDLE = 1.34e20  # the geometric middle of Hoffmann's budgets, 6e18 to 3e21
_OVER = "its runs see 5 tokens a parameter or more: a law of over-training, not of the best size"
DECODER: tuple[Way, ...] = (
    Way("chinchilla-besiroglu", "the point of the answer comes from this law",
        spread=Spread(2e19, log_sd=0.026, exponent_sd=0.0209,
                      source="90 %: 150 bootstrap fits of the 240 points (docs/lab-notebook.md)")),
    Way("hoffmann-1-size", spread=Spread(_MIDDLE, 0.488, 0.502, source="10-90 % of the exponent, as printed")),
    Way("hoffmann-2-size", spread=Spread(_MIDDLE, 0.462, 0.534, source="10-90 % of the exponent, as printed")),
    Way("hoffmann-3-size", "its printed interval is far too narrow (Besiroglu et al. 2024)",
        spread=Spread(_MIDDLE, 0.454, 0.455, source="10-90 % of the exponent, as printed")),
    Way("deepseek-flop-per-token", "N = M / 6, attention inside M; no interval printed"),
    Way("muennighoff", "repeats and excess size count for less; no interval printed"),
    Way("busbridge-supervised", "no interval printed"),
    Way("krajewski-dense", "constants printed to 2-3 digits; no interval printed"),
    Way("gadre-c4", why_not=_OVER), Way("gadre-rpj", why_not=_OVER), Way("gadre-rw", why_not=_OVER),
    Way("kaplan-optimal-size", why_not="biased to large models on few tokens: head FLOP ignored, long warm-up, "
        "untuned small models (Porian et al. 2024, arXiv:2406.19146)"),
)  # fmt: skip
DIFFUSION = (
    Way("dit-size", "of diffusion transformers, none for U-Nets; tokens are those of image and text",
        spread=Spread(1e18, log_sd=math.log(2.0) / NORMAL_90,
                      source="a factor 2 either way by judgement: k is printed to one digit, no interval")),
)  # fmt: skip
WAYS: Mapping[str, tuple[Way, ...]] = {"decoder": DECODER, "encoder-decoder": DECODER, "diffusion": DIFFUSION}
STACKS_NOTE = (
    "no compute-optimal law of a denoising encoder-decoder is published (Zhang et al. 2025, arXiv:2510.26622, find "
    "exponents about a decoder's and print no constants): a decoder's law, a factor 4 either way by judgement"
)


def sizes(ask: Ask) -> tuple[LawSize, ...]:
    """Every law that speaks for the category, or against it; empty without budget and data."""
    if ask.flop is None and ask.cap is None:
        return ()
    if ask.category == "encoder":
        return tuple(by_ratio(ratio, ask) for ratio in MASKED)
    if ask.category == "vision-language":
        return tuple(_accuracy(name, ask) for name in PUBLISHED if name.startswith("cherti-"))
    found = [size for way in WAYS.get(ask.category, ()) if (size := _size(way, ask)) is not None]
    return tuple(_stacks(size) for size in found) if ask.category == "encoder-decoder" else tuple(found)


def _size(way: Way, ask: Ask) -> LawSize | None:
    law, cap, unique = PUBLISHED[way.law], ask.cap, ask.unique
    fresh = unique.value if unique is not None and ask.unit == "tokens" else None
    middle = best(law, _at(ask.flop), _most(cap), fresh)
    if middle is None:
        return None
    here = (_at(ask.flop), _most(cap))
    places = [(_at(ask.flop, end), _most(cap, end)) for end in ("low", "high")]
    ends = [middle if place == here else best(law, *place, fresh) for place in places]
    low, high = (end or middle for end in ends)
    down, up = _factors(way, law, middle)
    least = least_size(law, middle, TOLERANCE, fresh)
    params = middle.params
    return LawSize(
        law=way.law, params=params,
        params_low=min(low.params, params) * down, params_high=max(high.params, params) * up,
        tokens=middle.tokens, epochs=_epochs(middle.tokens, ask), loss=middle.loss, flop=middle.flop,
        modality_match=True, valid=valid_text(law), outside=outside_text(law, middle, fresh), source=law.origin,
        note="; ".join(filter(None, (way.note, way.spread.source if way.spread else ""))),
        counts=law.counts.get("params", law.unit), in_band=not way.why_not, why_not=way.why_not,
        data_bound=middle.data_bound, formula=law.formula, least_params=least,
    )  # fmt: skip


def _factors(way: Way, law: Law, point: Point) -> tuple[float, float]:
    if way.spread is None:
        return 1.0, 1.0
    return way.spread.factors(point.flop, law.constants.get("a", 0.5))


def _stacks(size: LawSize) -> LawSize:
    """A decoder's answer as it may be shown for an encoder-decoder."""
    assert size.params_low is not None
    assert size.params_high is not None
    least = size.least_params / STACKS_FACTOR if size.least_params else None
    return size._replace(
        params_low=size.params_low / STACKS_FACTOR, params_high=size.params_high * STACKS_FACTOR, least_params=least,
        modality_match=False, note="; ".join(filter(None, (STACKS_NOTE, size.note))),
    )  # fmt: skip


def _accuracy(name: str, ask: Ask) -> LawSize:
    """Cherti's laws: the error that a budget reaches at the best of five sizes, and no size."""
    law = PUBLISHED[name]
    flop = _at(ask.flop)
    gmac = None if flop is None else flop / FLOP_PER_PARAM_TOKEN / 1e9  # training is three forward passes, 2 FLOP a MAC
    loss = None if gmac is None else float(law.at(gmac=gmac))
    outside = law.outside(gmac=gmac) if gmac else {}
    return LawSize(
        name, None, None, None, None, None, loss, flop, True, valid_text(law), _factors_text(outside), law.origin,
        "gives the error by GMAC x samples, not the best size: compare released sizes, or run a ladder",
        in_band=False, why_not="it has no size optimum", formula=law.formula,
    )  # fmt: skip


def _at(flop: Estimate | None, end: str = "value") -> float | None:
    return None if flop is None else float(getattr(flop, end))


def _most(cap: Estimate | None, end: str = "value") -> float:
    return math.inf if cap is None else float(getattr(cap, end))


def _epochs(tokens: float, ask: Ask) -> float | None:
    """Passes over the unique data, at least one."""
    if ask.unique is None:
        return None
    return max(1.0, tokens / (ask.unique.value * ask.per_unit.value))


def valid_text(law: Law) -> str:
    """The range that a law was seen in: "params 5.7e+07-1.6e+10, tokens 5e+09-5e+11"."""
    return ", ".join(f"{name} {low:.3g}-{high:.3g}" for name, (low, high) in law.valid.items()) or "not stated"


def outside_text(law: Law, point: Point, unique: float | None) -> str:
    """How far a point lies outside a law's range; "" inside."""
    where = {"params": point.params, "tokens": point.tokens, "flop": point.flop}
    if unique is not None:
        where["unique_tokens"] = unique
    given = {name: where[name] for name in law.coords if name in where}
    return _factors_text(law.outside(**given)) if set(given) == set(law.coords) else ""


def _factors_text(outside: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {factor:.3g}x above" if factor > 1 else f"{name} {1 / factor:.3g}x below"
        for name, factor in outside.items()
    )
