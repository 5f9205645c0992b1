"""Money against what it buys: where the ask and other sums stand, and where the data bind. Data; then it is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from keel.report.canvas import COUNT_LABEL, data, log_domain, render, x_log
from keel.report.drawn import Drawn
from keel.report.figures import Table
from keel.report.request_input import Request
from keel.report.request_sums import Sum, grows, rates_of, said, sums
from keel.report.theme import mark
from keel.report.ticks import log_ticks
from keel.units import show_count, show_usd

USD_LABEL = "'$' + replace(format(datum.value, '.2~s'), 'G', 'B')"
LEAST_SHARE, BEYOND = 0.03, 2.0
MOST_LEFT = 0.6  # of the width: words at a disc beyond it stand to its left
WIDE_PX = 500


class Span(NamedTuple):
    """What is seen for a sum at the dear and at the cheap end of price and speed."""

    usd: float
    low: float
    high: float


@dataclass(frozen=True)
class MoneyBuys(Drawn):
    """`spans` rise to where the data bind (`kink_usd`, None where money does) and are flat from there."""

    spans: tuple[Span, ...]
    kink_usd: float | None
    asked: tuple[float, float]
    allowed_usd: float | None
    sums: tuple[Sum, ...]

    key = "money"
    title = "Money against what it buys"

    @classmethod
    def of(cls, made: Request) -> MoneyBuys | None:
        """From a request; None where a sum or an amount is unknown, or nothing is trained."""
        rates, listed = rates_of(made), sums(made)
        if rates is None or made.usd_low is None or made.usd_high is None or not listed:
            return None
        asked, allowed = (made.usd_low, made.usd_high), made.allowed_usd
        if grows(made):
            spans = tuple(Span(item.usd, item.seen, item.seen) for item in listed)
            return cls(spans, None, asked, allowed, listed) if len(spans) > 1 else None
        far = max(BEYOND * made.usd_high, allowed or 0.0)
        marks = sorted({LEAST_SHARE * made.usd_high, rates.cheap * rates.most, made.usd_high, far})
        spans = tuple(Span(usd, min(rates.most, usd / rates.dear), min(rates.most, usd / rates.cheap)) for usd in marks)
        return cls(spans, made.usd_high if made.binds == "data" else None, asked, allowed, listed)

    @property
    def caption(self) -> str:  # type: ignore[override]
        """What the axes and the band are."""
        text = "Tokens seen in training for a sum of money, both axes logarithmic"
        if self.spans[0].low < self.spans[0].high:
            text += "; the band spans the plan's dear and cheap ends of price and speed"
        return f"{text}."

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        text = f"Tokens seen in training against money: the ask, {show_usd(self.asked[0])} to {show_usd(self.asked[1])}"
        if self.kink_usd is None:
            return f"{text}; the money ends before the data do."
        return f"{text}; from {show_usd(self.kink_usd)} on, at {show_count(self.spans[-1].low)} tokens, the data bind."

    def table(self) -> Table:
        """Every sum in numbers."""
        return Table(("sum", "USD", "what it buys"), tuple(said(item) for item in self.sums))

    def height_px(self, width: int) -> int:
        """Lower than wide."""
        return 240 if width > WIDE_PX else 270

    def _drawn(self, width: int) -> str:
        return render(_chart, self, width, self.height_px(width))


def _chart(alt: Any, figure: MoneyBuys, width: int, height: int) -> Any:
    usd = [span.usd for span in figure.spans] + [item.usd for item in figure.sums]
    seen = [end for span in figure.spans for end in (span.low, span.high)]
    x = x_log(alt, "US dollars of compute", usd, "usd", USD_LABEL, 10 if width > WIDE_PX else 5)
    domain = log_domain(seen, 0.1)
    domain[1] *= 1.6 if figure.kink_usd else 1.15
    axis = alt.Axis(title="tokens seen in training", values=log_ticks(*domain)[:: 1 if width > WIDE_PX else 2],
                    labelExpr=COUNT_LABEL, titleAngle=0, titleAlign="left", titleAnchor="end", titleX=0,
                    titleY=-14)  # fmt: skip
    scale = alt.Scale(type="log", domain=domain, nice=False)
    y = alt.Y("low:Q", scale=scale, axis=axis)
    band = data(alt, figure.spans)
    layers = [
        _ask(alt, figure, x),
        band.mark_area(color=mark("band"), opacity=1).encode(x=x, y=y, y2="high:Q"),
        band.mark_line(color=mark("accent"), strokeWidth=2).encode(x=x, y=y),
    ]
    return alt.layer(*layers, *_flat(alt, figure, x, y), *_spots(alt, figure, x, y), *_allowed(alt, figure, x))


def _ask(alt: Any, figure: MoneyBuys, x: Any) -> Any:
    """The ask as a band over the whole height."""
    low, high = figure.asked
    band = data(alt, [{"usd": low, "end": max(high, low * 1.03)}])
    return band.mark_rect(color=mark("pale"), opacity=0.5).encode(
        x=x, x2="end:Q", y=alt.YValue("height"), y2=alt.Y2Value(0)
    )


def _flat(alt: Any, figure: MoneyBuys, x: Any, y: Any) -> list[Any]:
    """Where more money buys nothing: dashed, with its words."""
    if figure.kink_usd is None:
        return []
    beyond = [span for span in figure.spans if span.usd >= figure.kink_usd]
    line = data(alt, beyond).mark_line(color=mark("warn"), strokeWidth=3, strokeDash=[5, 3]).encode(x=x, y=y)
    spot = data(
        alt, [{"usd": beyond[-1].usd, "low": beyond[-1].low, "text": "data bind: more money buys nothing more"}]
    )
    words = spot.mark_text(color=mark("warn"), align="right", dy=-12, fontWeight="bold").encode(x=x, y=y, text="text:N")
    return [line, words]


def _spots(alt: Any, figure: MoneyBuys, x: Any, y: Any) -> list[Any]:
    """The sums as discs on the line, the ask as a diamond; those that a dashed line does not name are named."""
    layers = []
    ends = figure.spans[0].usd, figure.spans[-1].usd
    for item in figure.sums:
        asked = item.name == "the ask"
        row = data(alt, [{"usd": item.usd, "low": item.seen, "text": f"{item.name}, {show_usd(item.usd)}"}])
        shape, role, size = ("diamond", "accent", 95) if asked else ("circle", "dot", 42)
        layers.append(row.mark_point(shape=shape, filled=True, size=size, opacity=1, color=mark(role)).encode(x=x, y=y))
        if item.usd > figure.asked[1] * 1.001 and figure.kink_usd is not None:
            continue
        far = math.log(item.usd / ends[0]) / math.log(ends[1] / ends[0])
        # The line rises to the right: below it is room on a disc's right, above it on its left.
        side = {"align": "left", "dx": 8, "dy": 15} if far < MOST_LEFT else {"align": "right", "dx": -6, "dy": -11}
        weight = "bold" if asked else "normal"
        text = row.mark_text(color=mark("accent" if asked else "muted"), fontWeight=weight, **side)
        layers.append(text.encode(x=x, y=y, text="text:N"))
    return layers


def _allowed(alt: Any, figure: MoneyBuys, x: Any) -> list[Any]:
    """What the study would spend at most."""
    if figure.allowed_usd is None:
        return []
    spot = data(alt, [{"usd": figure.allowed_usd, "text": f"allowed, {show_usd(figure.allowed_usd)}"}])
    rule = spot.mark_rule(color=mark("muted"), strokeWidth=1, strokeDash=[2, 2]).encode(x=x)
    words = spot.mark_text(color=mark("muted"), align="right", baseline="bottom", dx=-6, dy=-6)
    return [rule, words.encode(x=x, y=alt.YValue("height"), text="text:N")]
