"""The figures of a fit drawn as static SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keel.report.bar import Bar
from keel.report.canvas import COUNT_LABEL, SIGNED, data, key, log_domain, render, x_log, y_flat
from keel.report.drawn import Drawn
from keel.report.figures import Place
from keel.report.fit_figures import FitLoss, LossMap, Residuals
from keel.report.fitted import Measured, every, thinned
from keel.report.law_figures import CELL_PX, Backtest, Correlations, Matrix, signed
from keel.report.theme import mark
from keel.report.ticks import log_ticks
from keel.report.words import percent, plural

GAP_PX = 14


def draw(figure: Drawn, width: int, height: int) -> str:
    """SVG text in stand-in colours (see theme.ROLES)."""
    drawers: dict[type[Any], Any] = {
        FitLoss: _loss, LossMap: _map, Residuals: _residuals, Correlations: _correlations, Backtest: _backtest,
    }  # fmt: skip
    return render(drawers[type(figure)], figure, width, height)


def _loss(alt: Any, figure: FitLoss, width: int, height: int) -> Any:
    runs = thinned(figure.runs)
    bars = (*figure.targets, *every(figure.held))
    spots: list[Place | Bar] = [*figure.band, *bars]
    values = [run.value for run in runs] + [end for at in spots for end in (at.low, at.high)]
    values += [bar.measured for bar in bars if bar.measured is not None]
    flops = [run.flop for run in runs] + [at.flop for at in spots]
    span = max(values) - min(values) or 0.1
    x = x_log(alt, "training compute (FLOP)", flops)
    y = y_flat(alt, "value", figure.unit, (min(values) - 0.08 * span, max(values) + 0.06 * span))
    layers = []
    if figure.band:
        band = data(alt, figure.band)
        layers.append(band.mark_area(color=mark("band")).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"))
        layers.append(band.mark_line(color=mark("muted"), strokeWidth=1).encode(x=x, y=y))
    seen = [run for run in runs if not run.held_out]
    sized = data(alt, seen).mark_line(color=mark("dot"), strokeWidth=1, opacity=0.45)
    layers += [sized.encode(x=x, y=y, detail="params:N"), *_dots(alt, seen, x, y)]
    layers += _bars(alt, bars, x, y)
    lone = {run.run for run in figure.without_forecast}
    if bare := [run for run in runs if run.held_out and run.run in lone]:
        layers.append(data(alt, bare).mark_point(shape="diamond", size=50, color=mark("accent")).encode(x=x, y=y))
    rising = figure.band and figure.band[-1].value > figure.band[0].value
    return alt.layer(*layers, *key(alt, _loss_key(figure), width, 20.0 if rising else None))


def _dots(alt: Any, runs: Sequence[Measured], x: Any, y: Any) -> list[Any]:
    """Runs as discs; those the laws do not believe, open."""
    near, far = ([run for run in runs if run.far is off] for off in (False, True))
    layers = [data(alt, near).mark_circle(color=mark("dot"), size=34, opacity=1).encode(x=x, y=y)] if near else []
    return layers + (
        [data(alt, far).mark_point(color=mark("warn"), size=40, opacity=1).encode(x=x, y=y)] if far else []
    )


def _diamonds(alt: Any, rows: Sequence[dict[str, Any]], x: Any, y: Any) -> list[Any]:
    """What the fit has not seen, or not at first."""
    spots = data(alt, rows).mark_point(shape="diamond", filled=True, size=50, opacity=1, color=mark("accent"))
    return [spots.encode(x=x, y=y)] if rows else []


def _bars(alt: Any, bars: Sequence[Bar], x: Any, y: Any) -> list[Any]:
    """Thin intervals; on each what was measured, else a tick at the forecast."""
    layers = []
    if bars:
        rule = data(alt, bars).mark_rule(color=mark("pale"), strokeWidth=5)
        layers.append(rule.encode(x=x, y=alt.Y("low:Q"), y2="high:Q"))
    for hit, shape, role, size in ((True, "diamond", "accent", 60), (False, "cross", "warn", 80)):
        if those := [bar for bar in bars if bar.hit is hit]:
            point = data(alt, those).mark_point(shape=shape, filled=True, size=size, opacity=1, color=mark(role))
            layers.append(point.encode(x=x, y=alt.Y("measured:Q")))
    if open_ := [bar for bar in bars if bar.measured is None]:
        tick = data(alt, open_).mark_tick(color=mark("accent"), thickness=2, width=16, orient="horizontal")
        layers.append(tick.encode(x=x, y=y))
    return layers


def _loss_key(figure: FitLoss) -> list[tuple[str, str]]:
    far = sum(run.far for run in figure.runs)
    rows = [("dot", plural(sum(not run.held_out for run in figure.runs) - far, "run"))]
    rows += [("far", f"{far} down-weighted")] if far else []
    rows += [("band", f"laws, {percent(figure.level)}")] if figure.band else []
    rows += [("bar", f"forecast, {percent(figure.targets[0].level)}")] if figure.targets else []
    for hit, word in ((True, "hit"), (False, "miss")):
        if count := sum(bar.hit is hit for bar in figure.held):
            rows.append((word, f"{count} held out: {word}"))
    bare = len(figure.without_forecast)
    return rows + ([("open", f"{bare} held out: no forecast")] if bare else [])


def _map(alt: Any, figure: LossMap, width: int, height: int) -> Any:
    points = [point for line in figure.lines for point in line.points]
    sizes, tokens = ([point[i] for point in points] for i in (0, 1))
    x, y = (
        _log(alt, channel, name, span) for channel, name, span in ((alt.X, "params", sizes), (alt.Y, "tokens", tokens))
    )
    lines = [{"line": i, "params": n, "tokens": d} for i, line in enumerate(figure.lines) for n, d in line.points]
    grey = data(alt, lines).mark_line(color=mark("dot"), strokeWidth=1, opacity=0.6)
    layers = [grey.encode(x=x, y=y, detail="line:N")]
    if figure.path:
        path = data(alt, figure.path)
        band = path.mark_area(color=mark("pale"), opacity=0.55, clip=True, orient="horizontal")
        layers.append(band.encode(x=alt.X("low:Q"), x2="high:Q", y=y))
        layers.append(path.mark_line(color=mark("accent"), strokeWidth=2).encode(x=x, y=y))
    layers += _dots(alt, [run for run in thinned(figure.runs) if not run.held_out], x, y)
    held = [run._asdict() for run in thinned(figure.runs) if run.held_out]
    layers += _diamonds(alt, [{"params": n, "tokens": d} for n, d in figure.targets] + held, x, y)
    ends = [
        {"params": line.points[-1][0], "tokens": line.points[-1][1], "text": f"{line.value:.3g}"}
        for line in figure.lines
    ]
    label = data(alt, ends).mark_text(align="right", baseline="bottom", dx=-4, dy=-2, color=mark("muted"))
    return alt.layer(*layers, label.encode(x=x, y=y, text="text:N"))


def _log(alt: Any, channel: Any, field: str, values: Sequence[float]) -> Any:
    """A log axis of counts that ends where its values do."""
    domain = [min(values), max(values)]
    flat = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": 0, "titleY": -12}
    made = alt.Axis(
        title=field, grid=False, values=log_ticks(*domain), labelExpr=COUNT_LABEL, **(flat if channel is alt.Y else {})
    )
    return channel(f"{field}:Q", scale=alt.Scale(type="log", domain=domain, nice=False), axis=made)


def _residuals(alt: Any, figure: Residuals, width: int, height: int) -> Any:
    """A panel for each coordinate, on one error axis; side by side, or one below the other on a phone."""
    runs = thinned(figure.runs)
    columns = 3 if width > 500 else 1
    panel = {"width": (width - 56 - GAP_PX * (columns - 1)) // columns, "height": height}
    errors = [0.0, *(run.error for run in runs)]
    room = 0.08 * (max(errors) - min(errors)) or 0.01
    domain = (min(errors) - room, max(errors) + room)
    zero = alt.Chart(alt.Data(values=[{}])).mark_rule(color=mark("muted"), strokeWidth=1).encode(y=alt.YDatum(0))
    panels = []
    for place, (field, title) in enumerate(
        (("params", "params"), ("tokens", "tokens"), ("flop", "training compute (FLOP)"))
    ):
        labels = {"labelExpr": SIGNED} if place % columns == 0 else {"labels": False}
        y = y_flat(alt, "error", "", domain, format="+.2~%", **labels)
        label = {} if field == "flop" else {"label": COUNT_LABEL}
        x = x_log(alt, title, [getattr(run, field) for run in runs], field, most=5, **label)
        layers = [*_dots(alt, [run for run in runs if not run.apart], x, y)]
        layers += _diamonds(alt, [run._asdict() for run in runs if run.apart], x, y)
        panels.append(alt.layer(zero, *layers, **panel))
    return alt.concat(*panels, columns=columns, spacing=GAP_PX)


def _correlations(alt: Any, figure: Correlations, width: int, height: int) -> Any:
    """The lower triangle of each leading law's matrix, blue for +, orange for -, with its numbers."""
    columns = min(len(figure.laws), 3 if width > 500 else 1)
    label = 8 + 7 * max(len(name) for law in figure.laws for name in law.names)
    room = (width - 12 - GAP_PX * (columns - 1)) // columns - label
    panels = [_triangle(alt, law, room, CELL_PX * (len(law.names) - 1)) for law in figure.laws]
    return alt.concat(*panels, columns=columns, spacing=GAP_PX)


def _triangle(alt: Any, law: Matrix, width: int, height: int) -> Any:
    rows = [
        {"row": law.names[i], "column": law.names[j], "size": abs(law.cells[i][j]), "text": signed(law.cells[i][j]),
         "sign": law.cells[i][j] > 0}
        for i in range(len(law.names)) for j in range(i)
    ]  # fmt: skip
    quiet = {"domain": False, "ticks": False, "grid": False, "title": None, "labelAngle": 0}
    x = alt.X("column:N", sort=list(law.names), axis=alt.Axis(**quiet))
    y = alt.Y("row:N", sort=list(law.names), axis=alt.Axis(**quiet))
    shade = alt.Opacity("size:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 0.75]), legend=None)
    layers = []
    for sign, role in ((True, "accent"), (False, "warn")):
        if those := [row for row in rows if row["sign"] is sign]:
            layers.append(data(alt, those).mark_rect(color=mark(role)).encode(x=x, y=y, opacity=shade))
    text = data(alt, rows).mark_text(color=mark("ink"), baseline="middle").encode(x=x, y=y, text="text:N")
    return alt.layer(*layers, text, title=f"{law.law}, weight {percent(law.weight)}", width=width, height=height)


def _backtest(alt: Any, figure: Backtest, width: int, height: int) -> Any:
    """A panel for the mixture and one for each leading law, on common axes."""
    columns = (2 if len(figure.laws) == 4 else len(figure.laws)) if width > 500 else 1
    panel = {"width": (width - 60 - GAP_PX * (columns - 1)) // columns, "height": height}
    misses = [abs(error) for point in figure.points for error in point.errors]
    reach = 1.1 * max([*misses, *(at.half_width for at in figure.growth)]) or 0.01
    domain = log_domain([point.ahead for point in figure.points])
    band = [{"ahead": at.ahead, "low": -at.half_width, "high": at.half_width} for at in figure.growth]
    band = [at for at in band if domain[0] <= at["ahead"] <= domain[1]]
    zero = alt.Chart(alt.Data(values=[{}])).mark_rule(color=mark("muted"), strokeWidth=1).encode(y=alt.YDatum(0))
    panels = []
    for place, law in enumerate(figure.laws):
        last = place + columns >= len(figure.laws)
        axis = alt.Axis(title="compute ahead of the runs fitted" if last else None, values=log_ticks(*domain),
                        labelExpr="datum.label + ' x'", labels=last)  # fmt: skip
        x = alt.X("ahead:Q", scale=alt.Scale(type="log", domain=domain, nice=False), axis=axis)
        labels = {"labelExpr": SIGNED} if place % columns == 0 else {"labels": False}
        y = y_flat(alt, "error", "", (-reach, reach), format="+.2~%", **labels)
        rows = [{"ahead": point.ahead, "error": point.errors[place], "fold": point.fold} for point in figure.points]
        area = data(alt, band).mark_area(color=mark("band")).encode(x=x, y=alt.Y("low:Q"), y2="high:Q")
        dots = data(alt, rows).mark_circle(color=mark("accent" if place == 0 else "dot"), size=22, opacity=0.75)
        panels.append(alt.layer(area, zero, dots.encode(x=x, y=y), title=law, **panel))
    return alt.concat(*panels, columns=columns, spacing=GAP_PX)
