"""The lambda sweep as an SVG file that reads well on white and on dark: a row a corpus, a panel a measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keel.report.canvas import data, log_domain, render, y_flat
from keel.report.svg import standalone, themed
from keel.report.theme import mark

PANEL_PX, HEIGHT_PX, GAP_PX = 300, 180, 40
BETTER = {"R@1": "higher is better", "bits a byte": "lower is better"}


class Line(NamedTuple):
    """A ratio's mean of one measure on one corpus; `share` is the contrast's of both weights."""

    corpus: str
    measure: str
    ratio: str
    share: float
    value: float
    low: float
    high: float


def draw(lines: Sequence[Line], path: Path) -> None:
    """Write the figure."""
    wins = [min(of, key=lambda one: one.value if one.measure != "R@1" else -one.value) for of in panels(lines)]
    said = "; ".join(f"{one.corpus}, {one.measure}: {one.ratio} ({one.value:.3f})" for one in wins)
    root = themed(render(_grid, lines, 0, 0), "lambdas", "CoCa by the weights of its two losses", f"Best: {said}.")
    path.write_bytes(standalone(root).encode("ascii", "xmlcharrefreplace"))


def panels(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines of each corpus and measure, in order."""
    names = dict.fromkeys((one.corpus, one.measure) for one in lines)
    return [[one for one in lines if (one.corpus, one.measure) == name] for name in names]


def _grid(alt: Any, lines: Sequence[Line], *_: int) -> Any:
    return alt.concat(*[_panel(alt, of) for of in panels(lines)], columns=2, spacing=GAP_PX)


def _panel(alt: Any, lines: Sequence[Line]) -> Any:
    """Bits on a logarithm: without captioning they are those of fresh weights, fifty times the others."""
    first, logarithm = lines[0], lines[0].measure != "R@1"
    ends = [end for one in lines for end in (one.low, one.high)]
    room = 0.08 * (max(ends) - min(ends)) or 0.05
    domain = log_domain(ends) if logarithm else (min(ends) - room, max(ends) + room)
    order = [one.ratio for one in lines]
    x = alt.X("ratio:N", sort=order, axis=alt.Axis(title="lambda_con : lambda_cap", labelAngle=0, grid=False))
    y = y_flat(alt, "value", f"{first.measure}, {BETTER[first.measure]}", domain, log=logarithm)
    plain = data(alt, lines)
    layers = [
        plain.mark_line(color=mark("dot"), strokeWidth=1, opacity=0.5).encode(x=x, y=y),
        plain.mark_rule(color=mark("dot"), strokeWidth=1.5).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        plain.mark_circle(color=mark("dot"), size=40, opacity=1).encode(x=x, y=y),
    ]
    sign = -1 if first.measure == "R@1" else 1
    win = data(alt, [min(lines, key=lambda one: sign * one.value)])
    layers.append(
        win.mark_point(shape="diamond", filled=True, size=90, opacity=1, color=mark("accent")).encode(x=x, y=y)
    )
    return alt.layer(*layers).properties(width=PANEL_PX, height=HEIGHT_PX, title=first.corpus)
