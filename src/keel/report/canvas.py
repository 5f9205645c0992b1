"""What all charts share: quiet axes in role colours, log axes, and the way from a chart to SVG text.

Altair is imported when something is drawn, here alone.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

from keel.report.theme import mark
from keel.report.ticks import log_ticks

FONT_PX = 12
KEY_ROW_PX, KEY_LETTER_PX = 18, 6.4
# What stands in a key: shape, role, size, filled; and a line across it.
GLYPHS = {
    "dot": ("circle", "dot", 34, True), "far": ("circle", "warn", 40, False), "band": ("square", "band", 190, True),
    "bar": ("square", "pale", 110, True), "hit": ("diamond", "accent", 70, True),
    "open": ("diamond", "accent", 50, False), "miss": ("cross", "warn", 70, True),
}  # fmt: skip
LINES = {"band": ("muted", 1), "bar": ("accent", 2)}
SIGNED = "datum.value == 0 ? '0' : datum.label"
FLOP_LABEL = "replace(format(datum.value, '.0e'), '+', '')"
COUNT_LABEL = "replace(format(datum.value, '.2~s'), 'G', 'B')"


def altair() -> Any:
    """The library, loaded now."""
    return importlib.import_module("altair")


def render(make: Callable[[Any, Any, int, int], Any], figure: Any, width: int, height: int) -> str:
    """SVG text in stand-in colours (see theme.ROLES) of the chart that `make(altair, figure, width, height)` gives."""
    # Vega-Lite's own compiler finds our mistakes; altair's check of every part against the schema takes twice the time.
    with importlib.import_module("altair.utils.schemapi").debug_mode(False):
        spec = make(altair(), figure, width, height).to_dict(validate=False)
    size = {"width": width, "height": height, "autosize": {"type": "fit", "contains": "padding"}, "padding": 6}
    version = ".".join(altair().SCHEMA_VERSION.lstrip("v").split(".")[:2])
    quiet = spec | ({} if "concat" in spec else size) | {"config": _config()}
    drawn: str = importlib.import_module("vl_convert").vegalite_to_svg(quiet, vl_version=version)
    return drawn


def _config() -> dict[str, Any]:
    """Quiet axes in role colours."""
    axis = {
        "domainColor": mark("line"), "tickColor": mark("line"), "gridColor": mark("line"), "gridOpacity": 0.6,
        "labelColor": mark("muted"), "titleColor": mark("muted"), "labelFontSize": FONT_PX, "titleFontSize": FONT_PX,
        "titleFontWeight": "normal", "labelPadding": 5, "tickSize": 4, "titlePadding": 8,
    }  # fmt: skip
    return {
        "font": "sans-serif", "background": "transparent", "aria": False, "view": {"stroke": None}, "axis": axis,
        "axisY": {"domain": False, "ticks": False}, "axisX": {"grid": False}, "text": {"fontSize": FONT_PX},
        "title": {"anchor": "start", "color": mark("muted"), "fontSize": FONT_PX, "fontWeight": "normal", "offset": 4},
    }  # fmt: skip


def log_domain(values: Sequence[float], pad: float = 0.06) -> list[float]:
    """Both ends of a log axis: a little beyond the values."""
    ends = min(values), max(values)
    room = 10 ** max(pad * math.log10(ends[1] / ends[0]), 2 * pad)
    return [ends[0] / room, ends[1] * room]


def x_log(
    alt: Any, title: str | None, values: Sequence[float], field: str = "flop", label: str = FLOP_LABEL, most: int = 12
) -> Any:
    """A log axis with room at both ends and at most `most` ticks."""
    domain = log_domain(values)
    ticks = log_ticks(*domain)
    axis = alt.Axis(title=title, values=ticks[:: -(-len(ticks) // most) or 1], labelExpr=label)
    return alt.X(f"{field}:Q", scale=alt.Scale(type="log", domain=domain, nice=False), axis=axis)


def y_flat(alt: Any, field: str, title: str, domain: Sequence[float], *, log: bool = False, **axis: Any) -> Any:
    """The title lies flat above the axis, where it can be read."""
    flat = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": 0, "titleY": -12} | axis
    kind: dict[str, Any] = {"type": "log"} if log else {"zero": False}
    scale = alt.Scale(domain=list(domain), nice=False, **kind)
    return alt.Y(f"{field}:Q", scale=scale, axis=alt.Axis(title=title, tickCount=5, **flat))


def data(alt: Any, rows: Sequence[Any]) -> Any:
    """A chart of rows (NamedTuples or dicts).

    A tuple, because altair copies lists and dicts of data with every layer; and channels are named (`XValue`), because
    it looks through all its classes for what a plain `value` is.
    """
    return alt.Chart(alt.Data(values=tuple(row._asdict() if hasattr(row, "_asdict") else row for row in rows)))


def key(alt: Any, rows: Sequence[tuple[str, str]], width: int, left: float | None = None) -> list[Any]:
    """A key of (glyph, words) in the upper right, where loss against compute leaves room, or at `left` pixels."""
    long = KEY_LETTER_PX * max(len(words) for _, words in rows)
    right = alt.X2Value("width" if left is None else left + 20 + long)
    left = width - 72 - long if left is None else left
    ground = alt.Chart(alt.Data(values=[{}])).mark_rect(color=mark("paper"), opacity=1)
    below = alt.Y2Value(10 + KEY_ROW_PX * len(rows) - 9)
    layers = [ground.encode(x=alt.XValue(left - 12), x2=right, y=alt.YValue(0), y2=below)]
    for place, (glyph, words) in enumerate(rows):
        y = alt.YValue(10 + KEY_ROW_PX * place)
        one = alt.Chart(alt.Data(values=[{"text": words}]))
        layers += _glyph(alt, one, glyph, left, y)
        text = one.mark_text(align="left", baseline="middle", color=mark("muted"))
        layers.append(text.encode(x=alt.XValue(left + 14), y=y, text="text:N"))
    return layers


def _glyph(alt: Any, one: Any, glyph: str, left: float, y: Any) -> list[Any]:
    shape, role, size, filled = GLYPHS[glyph]
    point = one.mark_point(shape=shape, filled=filled, size=size, opacity=1, color=mark(role))
    made = [point.encode(x=alt.XValue(left), y=y)]
    if glyph in LINES:
        tone, stroke = LINES[glyph]
        line = one.mark_rule(color=mark(tone), strokeWidth=stroke)
        made.append(line.encode(x=alt.XValue(left - 7), x2=alt.X2Value(left + 7), y=y))
    return made
