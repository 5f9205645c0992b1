"""The forecast benchmark's plots as SVG files that read well on white and on dark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from forecast_score import Score, coverage_by_family, pooled
from forecast_task import LEVEL, LEVELS

from keel.report.canvas import data, render, x_log, y_flat
from keel.report.svg import standalone, themed
from keel.report.theme import mark

PANEL_PX, GAP_PX = 230, 34
REPLAY_WIDTH_PX, REPLAY_HEIGHT_PX = 330, 220
ENDS = (0.4, 1.0)
NEAR_AXIS = 0.1
# Of each strategy in order: colour role and dashes.
STROKES = (("accent", []), ("warn", [6, 3]), ("dot", [2, 3]), ("muted", [9, 3, 2, 3]))
SPLIT_SHOWN = "gap10"
REPLAY_TITLE = "Forecast error against compute spent, by the order in which runs are made"
Lines = Mapping[str, Sequence[tuple[float, float]]]


class At(NamedTuple):
    """A point of a coverage line."""

    level: float
    share: float
    line: str


def coverage(scores: Sequence[Score], path: Path) -> bool:
    """Share of held-out runs inside against the nominal level, a panel a method; False where there is none."""
    shown: dict[str, list[Score]] = {}
    for one in scores:
        if one.split == SPLIT_SHOWN and one.hits:
            shown.setdefault(one.method, []).append(one)
    if not shown:
        return False
    at = "; ".join(f"{method}: {pooled(found):.2f} at {LEVEL:.0%}" for method, found in shown.items())
    title = "Share of held-out runs inside the interval, against its level"
    _write(_coverage, shown, "coverage", title, f"{at}. Thin lines: families.", path)
    return True


def _coverage(alt: Any, shown: Mapping[str, Sequence[Score]], *_: int) -> Any:
    panels = [_panel(alt, method, found) for method, found in shown.items()]
    return alt.concat(*panels, columns=3, spacing=GAP_PX)


def _panel(alt: Any, method: str, scores: Sequence[Score]) -> Any:
    by_level = {level: coverage_by_family(scores, level) for level in LEVELS}
    thin = [At(level, share, family) for level, found in by_level.items() for family, share in found.items()]
    bold = [At(level, pooled(scores, level), "all runs") for level in LEVELS]
    axis = {"format": ".0%", "values": [0.5, 0.8, 0.9]}
    scale = alt.Scale(domain=list(ENDS), nice=False)
    x = alt.X("level:Q", scale=scale, axis=alt.Axis(title="level of the interval", grid=False, **axis))
    y = y_flat(alt, "share", "held-out runs inside", (0.0, 1.0), format=".0%")
    ideal = data(alt, [At(end, end, "ideal") for end in ENDS]).mark_line(color=mark("muted"), strokeDash=[4, 3])
    families = data(alt, thin).mark_line(color=mark("dot"), strokeWidth=1, opacity=0.55)
    runs = data(alt, bold)
    line = runs.mark_line(color=mark("accent"), strokeWidth=2.5).encode(x=x, y=y)
    dots = runs.mark_circle(color=mark("accent"), size=46, opacity=1).encode(x=x, y=y)
    layers = [ideal.encode(x=x, y=y), families.encode(x=x, y=y, detail="line:N"), line, dots, *_worst(alt, thin, x, y)]
    num = sum(len(one.hits[LEVEL]) for one in scores if one.hits)
    return alt.layer(*layers, title=f"{method}, {num} runs", width=PANEL_PX, height=PANEL_PX)


def _worst(alt: Any, thin: Sequence[At], x: Any, y: Any) -> list[Any]:
    """The name of the family worst covered at LEVEL, below its line, or above where the axis is too near."""
    least = min((at for at in thin if at.level == LEVEL), key=lambda at: at.share)
    side = {"baseline": "bottom", "dy": -4} if least.share < NEAR_AXIS else {"baseline": "top", "dy": 4}
    text = data(alt, [least]).mark_text(align="right", dx=-4, color=mark("muted"), **side)
    return [text.encode(x=x, y=y, text="line:N")]


def replay(panels: Mapping[str, Lines], path: Path, title: str = REPLAY_TITLE) -> None:
    """Error in % against cumulative FLOP: a panel a set, a line a strategy [(flop, error)], the first in the accent."""
    names = _strategies(panels)
    if len(names) > len(STROKES):
        raise ValueError(f"{len(names)} strategies, but {len(STROKES)} kinds of line")
    _write(_replay, panels, "replay", title, f"Sets: {', '.join(panels)}. Strategies: {', '.join(names)}.", path)


def _strategies(panels: Mapping[str, Lines]) -> list[str]:
    return list(dict.fromkeys(name for lines in panels.values() for name in lines))


def _replay(alt: Any, panels: Mapping[str, Lines], *_: int) -> Any:
    names = _strategies(panels)
    drawn = [_replay_panel(alt, name, lines, names, first=not i) for i, (name, lines) in enumerate(panels.items())]
    return alt.concat(*drawn, columns=2, spacing=GAP_PX)


def _replay_panel(alt: Any, name: str, lines: Lines, names: Sequence[str], first: bool) -> Any:
    flops = [flop for points in lines.values() for flop, _ in points]
    worst = max(error for points in lines.values() for _, error in points)
    x, y = (
        x_log(alt, "compute spent (FLOP)", flops),
        y_flat(alt, "error", "forecast error, %", (0.0, worst * (1.08 + 0.1 * len(names)))),
    )
    layers = []
    for strategy, points in lines.items():
        role, dash = STROKES[names.index(strategy)]
        drawn = data(alt, [{"flop": flop, "error": error} for flop, error in points])
        marked = drawn.mark_line(color=mark(role), strokeWidth=2, interpolate="step-after", strokeDash=dash)
        layers.append(marked.encode(x=x, y=y))
    layers += _names(alt, names) if first else []
    return alt.layer(*layers, title=name, width=REPLAY_WIDTH_PX, height=REPLAY_HEIGHT_PX)


def _names(alt: Any, names: Sequence[str]) -> list[Any]:
    """Which stroke is which, in the room left above the lines."""
    layers = []
    for place, (name, (role, dash)) in enumerate(zip(names, STROKES)):
        y, one = alt.value(10 + 17 * place), data(alt, [{"text": name}])
        line = one.mark_rule(color=mark(role), strokeWidth=2, strokeDash=dash)
        left = REPLAY_WIDTH_PX - 130
        layers.append(line.encode(x=alt.value(left), x2=alt.value(left + 24), y=y))
        text = one.mark_text(align="left", baseline="middle", color=mark("muted"))
        layers.append(text.encode(x=alt.value(left + 30), y=y, text="text:N"))
    return layers


def _write(make: Callable[..., Any], shown: Any, name: str, title: str, desc: str, path: Path) -> None:
    root = themed(render(make, shown, 0, 0), name, title, desc)
    path.write_bytes(standalone(root).encode("ascii", "xmlcharrefreplace"))
