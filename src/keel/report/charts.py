"""The study's figures drawn as static SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keel.report.bar import Bar
from keel.report.canvas import SIGNED, data, key, render, x_log, y_flat
from keel.report.figures import Curve, Figure, LossCompute, Record, TrainingCurves
from keel.report.metrics import thin
from keel.report.theme import mark
from keel.report.ticks import log_ticks
from keel.report.words import percent, plural

MAX_PANELS = 12


def draw(figure: Figure, width: int, height: int) -> str:
    """SVG text in stand-in colours (see theme.ROLES)."""
    drawers: dict[type[Any], Any] = {
        LossCompute: _loss_compute, TrainingCurves: _training_curves, Record: _record,
    }  # fmt: skip
    return render(drawers[type(figure)], figure, width, height)


def _loss_compute(alt: Any, figure: LossCompute, width: int, height: int) -> Any:
    values = [dot.value for dot in figure.dots] + [end for at in figure.band for end in (at.low, at.high)]
    flops = [dot.flop for dot in figure.dots] + [at.flop for at in figure.band]
    bar = figure.bar
    if bar:
        values += [bar.low, bar.high, bar.value if bar.measured is None else bar.measured]
        flops.append(bar.flop)
    for far in figure.further:
        values += [far.low, far.high]
        flops.append(far.flop)
    span = max(values) - min(values) or 0.1
    x = x_log(alt, "training compute (FLOP)", flops)
    room = 0.16 if bar else 0.08
    y = y_flat(alt, "value", f"held-out {figure.measure}", (min(values) - room * span, max(values) + 0.06 * span))
    low_high = {"y": alt.Y("low:Q"), "y2": "high:Q"}
    layers = []
    if figure.band:
        band = data(alt, figure.band)
        layers.append(band.mark_area(color=mark("band")).encode(x=x, **low_high))
        layers.append(band.mark_line(color=mark("muted"), strokeWidth=1).encode(x=x, y=y))
    if figure.dots:
        dots = data(alt, figure.dots)
        sized = dots.mark_line(color=mark("dot"), strokeWidth=1, opacity=0.45).encode(x=x, y=y, detail="params:N")
        layers += [sized] if any(dot.params for dot in figure.dots) else []
        layers.append(dots.mark_circle(color=mark("dot"), size=34, opacity=1).encode(x=x, y=y))
    for far in figure.further:
        layers += _bar(alt, far, x, y, width=4)
        layers += _said(alt, [(f"target {far.forecast_words}", "muted", "normal", 17)], far.flop, far.low, x, y)
    if bar:
        layers += _forecast(alt, bar, x, y)
    layers += key(alt, _loss_key(figure), width)
    return alt.layer(*layers)


def _bar(alt: Any, bar: Bar, x: Any, y: Any, width: int = 11) -> list[Any]:
    """An interval as a bar with a tick at the forecast."""
    one = data(alt, [bar])
    return [
        one.mark_rule(color=mark("pale"), strokeWidth=width).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        one.mark_tick(color=mark("accent"), thickness=2, width=width + 13, orient="horizontal").encode(x=x, y=y),
    ]


def _forecast(alt: Any, bar: Bar, x: Any, y: Any) -> list[Any]:
    """The sealed forecast with the measured point on it; both said in words below."""
    one = data(alt, [bar])
    layers = _bar(alt, bar, x, y)
    if bar.measured is not None:
        shape, role, size = ("diamond", "accent", 85) if bar.hit else ("cross", "warn", 200)
        point = one.mark_point(shape=shape, filled=True, size=size, opacity=1, color=mark(role), stroke=mark("paper"))
        layers.append(point.encode(x=x, y=alt.Y("measured:Q")))
    low = min(bar.low, bar.measured or bar.low)
    role = "accent" if bar.hit is not False else "warn"
    outcome = f"measured {bar.outcome_words}" if bar.measured is not None else bar.outcome_words
    words = [(f"forecast {bar.forecast_words}", "muted", "normal", 17), (outcome, role, "bold", 33)]
    return layers + _said(alt, words, bar.flop, low, x, y)


def _said(alt: Any, words: Sequence[tuple[str, str, str, int]], flop: float, value: float, x: Any, y: Any) -> list[Any]:
    """Lines of (text, role, weight, pixels below the point), set against the right edge of a bar."""
    layers = []
    for text, tone, weight, dy in words:
        spot = data(alt, [{"flop": flop, "value": value, "text": text}])
        line = spot.mark_text(align="right", dx=10, dy=dy, color=mark(tone), fontWeight=weight)
        layers.append(line.encode(x=x, y=y, text="text:N"))
    return layers


def _loss_key(figure: LossCompute) -> list[tuple[str, str]]:
    """Glyph and words for each kind of mark that is there."""
    bar, seen = figure.bar, sum(dot.seen for dot in figure.dots)
    rows = []
    if figure.dots:
        other = len(figure.dots) - seen
        words = f"{plural(seen, 'run')} it saw" + (f", {other} more" if other else "")
        rows.append(("dot", words if bar and seen else plural(len(figure.dots), "run")))
    if figure.band:
        rows.append(("band", "fitted law and band"))
    if bar:
        rows.insert(0, ("bar", "sealed forecast" + (f", {percent(bar.level)}" if bar.level else "")))
        if bar.measured is not None:
            rows.insert(1, ("hit" if bar.hit else "miss", f"measured: {'hit' if bar.hit else 'miss'}"))
    return rows


def _training_curves(alt: Any, figure: TrainingCurves, width: int, height: int) -> Any:
    """One panel a size, on common axes: a trunk with its branches; all in one panel where sizes are many."""
    groups: dict[str, list[Curve]] = {}
    for curve in figure.curves:
        groups.setdefault(curve.group, []).append(curve)
    if len(groups) > MAX_PANELS:
        groups = {"all runs": list(figure.curves)}
    columns = min(len(groups), 3 if width > 500 else 2)
    panel = {"width": (width - 24 - 14 * (columns - 1)) // columns, "height": 96 if len(groups) > 1 else height}
    losses = [step.loss for curve in figure.curves for step in curve.steps]
    tokens = [step.tokens for curve in figure.curves for step in curve.steps]
    x_domain = [max(min(tokens), max(tokens) / 1e4), max(tokens) * 1.05]
    room = 0.03 * (max(losses) - min(losses) or 1.0)
    y_domain = [min(losses) - room, max(losses) + room]
    panels = []
    for place, (name, curves) in enumerate(groups.items()):
        x_axis = alt.Axis(title=None, format="~s", values=log_ticks(*x_domain), labels=place + columns >= len(groups))
        x = alt.X("tokens:Q", scale=alt.Scale(type="log", domain=x_domain, nice=False, clamp=True), axis=x_axis)
        y_axis = alt.Axis(title=None, tickCount=4, labels=place % columns == 0)
        y = alt.Y("loss:Q", scale=alt.Scale(domain=y_domain, zero=False, nice=False), axis=y_axis)
        lines = [_line(alt, curve, x, y) for curve in curves]
        panels.append(alt.layer(*lines, title=name, **panel))
    return alt.concat(*panels, columns=columns, spacing=14)


def _line(alt: Any, curve: Curve, x: Any, y: Any) -> Any:
    """A branch is short: fewer points say as much."""
    steps = thin(curve.steps, 40 if curve.branch else 200)
    rows = [{"tokens": step.tokens, "loss": step.loss} for step in steps]
    line = data(alt, rows).mark_line(color=mark("accent" if curve.held_out else "dot"), strokeWidth=1.1, clip=True)
    return line.encode(x=x, y=y)


def _record(alt: Any, figure: Record, width: int, height: int) -> Any:
    """One row a forecast; its name and outcome stand above the bar, so that long names cost no width."""
    rows: list[dict[str, Any]] = [
        {"run": bar.run, "low": bar.low / bar.value - 1, "high": bar.high / bar.value - 1, "word": bar.outcome_words,
         "error": (bar.measured or bar.value) / bar.value - 1, "hit": bar.hit}
        for bar in figure.bars
    ]  # fmt: skip
    reach = 1.12 * max(abs(row[key]) for row in rows for key in ("low", "high", "error")) or 0.01
    axis = alt.Axis(title="relative to the forecast", format="+.1%", tickCount=5, labelExpr=SIGNED)
    x = {"scale": alt.Scale(domain=[-reach, reach], nice=False), "axis": axis}
    y = alt.Y("run:N", sort=None, axis=None)
    zero = alt.Chart(alt.Data(values=[{}])).mark_rule(color=mark("line"), strokeWidth=1.5).encode(x=alt.XDatum(0))
    bars = data(alt, rows).mark_rule(color=mark("pale"), strokeWidth=9, yOffset=7)
    names = data(alt, rows).mark_text(align="left", dy=-9, color=mark("muted"))
    layers = [zero, bars.encode(x=alt.X("low:Q", **x), x2="high:Q", y=y)]
    layers.append(names.encode(x=alt.XValue(0), y=y, text="run:N"))
    for hit, shape, role, size in ((True, "diamond", "accent", 80), (False, "cross", "warn", 180)):
        if those := [row for row in rows if row["hit"] is hit]:
            points = data(alt, those).mark_point(
                shape=shape, filled=True, size=size, opacity=1, color=mark(role), stroke=mark("paper"), yOffset=7
            )
            layers.append(points.encode(x="error:Q", y=y))
            said = data(alt, those).mark_text(align="right", dy=-9, color=mark(role))
            layers.append(said.encode(x=alt.XValue("width"), y=y, text="word:N"))
    return alt.layer(*layers)
