"""The figures of images drawn as static SVG: classes as bars, measures as panels."""

from __future__ import annotations

from typing import Any

from keel.report.bar import Bar
from keel.report.canvas import data, render, x_log, y_flat
from keel.report.class_balance import ClassBalance
from keel.report.drawn import Drawn
from keel.report.reached import Panel, Reached, Spot
from keel.report.theme import mark

GAP_PX, AXIS_PX, LABEL_PX = 26, 52, 150


def draw(figure: Drawn, width: int, height: int) -> str:
    """SVG text in stand-in colours (see theme.ROLES)."""
    drawers: dict[type[Any], Any] = {ClassBalance: _classes, Reached: _panels}
    return render(drawers[type(figure)], figure, width, height)


def _classes(alt: Any, figure: ClassBalance, width: int, height: int) -> Any:
    """Two parts of a bar, both counts at its end."""
    rows: list[dict[str, Any]] = [
        {"place": place, "label": each.label, "zero": 0.0, "train": each.train, "all": each.train + each.heldout,
         "words": f"{each.train:,.0f} + {each.heldout:,.0f}"}
        for place, each in enumerate(figure.classes)
    ]  # fmt: skip
    most = max(row["all"] for row in rows) or 1.0
    axis = alt.Axis(title=None, labelLimit=LABEL_PX, labelExpr="datum.label", ticks=False, domain=False)
    y = alt.Y("label:N", sort=alt.EncodingSortField("place"), axis=axis)
    flat = alt.Axis(title="images", tickCount=5, format=",d")
    letters = max(len(row["words"]) for row in rows)
    room = 1 + (8 * letters + 12) / (width - LABEL_PX)
    x = {"scale": alt.Scale(domain=[0, most * room], nice=False), "axis": flat}
    bars = data(alt, rows)
    return alt.layer(
        bars.mark_bar(color=mark("dot"), height=13).encode(y=y, x=alt.X("zero:Q", **x), x2="train:Q"),
        bars.mark_bar(color=mark("accent"), height=13).encode(y=y, x=alt.X("train:Q", **x), x2="all:Q"),
        bars.mark_text(align="left", dx=6, color=mark("muted")).encode(y=y, x=alt.X("all:Q", **x), text="words:N"),
    )


def _panels(alt: Any, figure: Reached, width: int, height: int) -> Any:
    """Two panels in a row where there is room."""
    columns = min(len(figure.panels), 2 if width > 500 else 1)
    size = {"width": (width - columns * AXIS_PX - (columns - 1) * GAP_PX) // columns, "height": height}
    made = [_panel(alt, panel).properties(**size) for panel in figure.panels]
    return alt.concat(*made, columns=columns, spacing=GAP_PX)


def _panel(alt: Any, panel: Panel) -> Any:
    places: list[Spot | Bar] = [*panel.spots, *panel.bars]
    ends = [end for at in places for end in (at.low, at.high)]
    floor = [panel.floor.value] if panel.floor else []
    room = 0.08 * (max(ends + floor) - min(ends + floor)) or 0.05
    x = x_log(alt, "training compute (FLOP)", [at.flop for at in places], most=6)
    domain = (max(0.0, min(ends + floor) - room), min(1.0, max(ends + floor) + room))
    y = y_flat(alt, "value", panel.name, domain, format=".0%")
    layers = _floor(alt, panel, y)
    for bar in panel.bars:
        one = data(alt, [bar])
        rule = one.mark_rule(color=mark("pale"), strokeWidth=11)
        layers.append(rule.encode(x=x, y=alt.Y("low:Q"), y2="high:Q"))
        tick = one.mark_tick(color=mark("accent"), thickness=2, width=24, orient="horizontal")
        layers.append(tick.encode(x=x, y=y))
    spots = data(alt, panel.spots)
    joined = [at for at in panel.spots if at.params]
    line = data(alt, joined).mark_line(color=mark("dot"), strokeWidth=1, opacity=0.45)
    layers += [line.encode(x=x, y=y, detail="params:N")] if joined else []
    layers.append(spots.mark_rule(color=mark("dot"), opacity=0.5).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"))
    for held, shape, role, dot in ((False, "circle", "dot", 34), (True, "diamond", "accent", 85)):
        if those := [at for at in panel.spots if at.held_out is held]:
            point = data(alt, those).mark_point(shape=shape, filled=True, size=dot, opacity=1, color=mark(role))
            layers.append(point.encode(x=x, y=y))
    return alt.layer(*layers)


def _floor(alt: Any, panel: Panel, y: Any) -> list[Any]:
    """What is reached without looking, with its name."""
    if panel.floor is None:
        return []
    one = data(alt, [{"value": panel.floor.value, "text": f"{panel.floor.words} {panel.floor.value:.1%}"}])
    text = one.mark_text(align="right", dx=-4, dy=-7, color=mark("muted"))
    return [one.mark_rule(color=mark("muted")).encode(y=y), text.encode(x=alt.value("width"), y=y, text="text:N")]
