"""The figure of the tasks drawn as static SVG."""

from __future__ import annotations

from typing import Any

from keel.report.canvas import COUNT_LABEL, data, render, x_log, y_flat
from keel.report.task_figures import Panel, TaskScores
from keel.report.theme import mark

GAP_PX, AXIS_PX = 26, 52
MOST_PANELS = 12


def draw(figure: TaskScores, width: int, height: int) -> str:
    """SVG text in stand-in colours (see theme.ROLES)."""
    return render(_panels, figure, width, height)


def _panels(alt: Any, figure: TaskScores, width: int, height: int) -> Any:
    """Two panels in a row where there is room."""
    columns = min(len(figure.panels), 2 if width > 500 else 1)
    size = {"width": (width - columns * AXIS_PX - (columns - 1) * GAP_PX) // columns, "height": height}
    made = [_panel(alt, panel).properties(**size) for panel in figure.panels[:MOST_PANELS]]
    return alt.concat(*made, columns=columns, spacing=GAP_PX)


def _panel(alt: Any, panel: Panel) -> Any:
    ends = [end for at in panel.scores if at.stands for end in (at.low, at.high)]
    ends += [at.value for at in panel.scores] + [panel.baseline] + ([] if panel.accept is None else [panel.accept])
    room = 0.1 * (max(ends) - min(ends)) or 0.05
    params = [at.params for at in panel.scores]
    x = x_log(alt, "params", params, "params", most=4, label=COUNT_LABEL)
    y = y_flat(alt, "value", f"{panel.name}: {panel.metric}", (max(0.0, min(ends) - room), min(1.0, max(ends) + room)))
    layers = _lines(alt, panel, y)
    short = [at for at in panel.scores if not at.stands]
    if short:
        layers.append(data(alt, short).mark_circle(color=mark("dot"), size=16, opacity=0.55).encode(x=x, y=y))
    for chosen, shape, role, dot in ((False, "circle", "dot", 40), (True, "diamond", "accent", 90)):
        if those := [at for at in panel.scores if at.stands and at.chosen is chosen]:
            rule = data(alt, those).mark_rule(color=mark(role), strokeWidth=1.5)
            layers.append(rule.encode(x=x, y=alt.Y("low:Q"), y2="high:Q"))
            point = data(alt, those).mark_point(shape=shape, filled=True, size=dot, opacity=1, color=mark(role))
            layers.append(point.encode(x=x, y=y))
    return alt.layer(*layers)


def _lines(alt: Any, panel: Panel, y: Any) -> list[Any]:
    """The baseline with its name, and the bar where the study sets one."""
    layers = []
    lines: list[tuple[float, str, str, list[int]]] = [
        (panel.baseline, f"{panel.beside} {panel.baseline:.3f}", "muted", [])
    ]
    lines += [] if panel.accept is None else [(panel.accept, f"accept {panel.accept:g}", "warn", [4, 3])]
    for value, words, role, dash in lines:
        one = data(alt, [{"value": value, "text": words}])
        layers.append(one.mark_rule(color=mark(role), strokeDash=dash or [1, 0]).encode(y=y))
        text = one.mark_text(align="left", dx=4, dy=-7, color=mark(role))
        layers.append(text.encode(x=alt.value(0), y=y, text="text:N"))
    return layers
