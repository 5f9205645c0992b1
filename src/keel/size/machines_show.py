"""Machines as lines for people: memory, the front of nodes, hours and USD, balance, deadline, strong scaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keel.size.fit import Fit, Fix
from keel.size.hardware import Hardware
from keel.size.scale import Deadline, Point, experiments_a_week
from keel.size.speed import Speed, both_lines
from keel.size.strong import Strong
from keel.units import show_bytes, show_count, show_duration, show_usd

HEAD = ("", "nodes", "devices", "time", "from", "to", "USD", "")


class Shown(NamedTuple):
    """What is shown of a run on machines; `types`: node, speed, fit on one node, first fix, fewest nodes."""

    params: float
    tokens: float
    flop: float
    batch_tokens: float
    critical_tokens: float | None
    types: tuple[tuple[Hardware, Speed, Fit, Fix, int | None], ...]
    front: tuple[Point, ...]
    best: tuple[Point, str] | None
    deadline: Deadline | None
    serving_bytes: float


def lines(shown: Shown) -> tuple[str, ...]:
    """All of it, a line each."""
    found = []
    for hardware, fast, fit, fix, least in shown.types:
        found += [*memory_lines(hardware, fit, fix, least), f"  speed    {both_lines(fast)}"]
    found.append(f"serving   {show_bytes(shown.serving_bytes)} in 16 bits, one request at full context")
    found += ["", *front_lines(shown.front)]
    if beaten := [row[0].name for row in shown.types if row[0].name not in {point.hardware for point in shown.front}]:
        found.append(f"beaten in nodes, time and USD at once, or not timed: {', '.join(beaten)}")
    if shown.best is not None:
        point, said = shown.best
        found += ["", said, _weekly(point)]
    if shown.deadline is not None:
        found.append(f"deadline {shown.deadline.line}")
    found.append(_batch(shown))
    return tuple(found)


def memory_lines(hardware: Hardware, fit: Fit, fix: Fix, least: int | None) -> tuple[str, ...]:
    """Whether one node holds it, and the first change that makes it fit."""
    has = "unknown" if fit.usable_bytes is None else f"{show_bytes(fit.usable_bytes)} usable"
    found = [f"{hardware.name}: {hardware.devices} x {hardware.accelerator.name}",
             f"  memory   {show_bytes(fit.need_bytes)} a device with whole copies, {has}: {fit.note}"]  # fmt: skip
    if fit.fits is False:
        found.append(f"  to fit   {fix.what} ({show_bytes(fix.fit.need_bytes)} a device)")
    if least is not None and least > 1:
        found.append(f"  at least {least:,} nodes, all shared and recomputed")
    return tuple(found)


def front_lines(front: Sequence[Point]) -> tuple[str, ...]:
    """The front as a table: type, nodes, devices, time to quality with its range, USD, what to know."""
    if not front:
        return ("no type can be timed",)
    rows = [HEAD, *(_row(point) for point in front)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    found = []
    for row in rows:
        cells = [cell.rjust(size) for cell, size in zip(row[1:-1], widths[1:-1])]
        found.append("  ".join([row[0].ljust(widths[0]), *cells, row[-1]]).rstrip())
    return tuple(found)


def strong_lines(found: Strong, more: Sequence[int] = (), usd_per_hour: float | None = None) -> tuple[str, ...]:
    """What measured (nodes, minutes) say of more nodes, and what they cannot.

    Example:
        >>> from keel.size.strong import strong
        >>> print("\\n".join(strong_lines(strong([(1, 99), (8, 13.5)]), (16,))))
        1 to 8 nodes: 7.33 times as fast, 91.7 % of ideal; serial share 1.30 % (0.69 to 1.93) at most
        16 nodes: 7.39 min (6.96 to 9.58)
        cannot tell: one ratio cannot separate serial work from communication; a serial part and a bandwidth-bound \
all-reduce cost the same at every n
        would tell: the time on 64 nodes, and the others, to 1 %
    """
    first, last, share = found.points[0], found.points[-1], found.serial_share
    said = f"{first.nodes} to {last.nodes} nodes: {found.speed_up:.3g} times as fast, "
    said += f"{100 * found.efficiency:.1f} % of ideal"
    if found.explanations[0].name.startswith("serial"):
        said += f"; serial share {100 * share.value:.2f} % ({100 * share.low:.2f} to {100 * share.high:.2f})"
        said += " at most"
    rows = [said]
    for nodes in more:
        time = found.minutes(nodes)
        usd = "" if usd_per_hour is None else f", {show_usd(found.usd(nodes, usd_per_hour).value)} a run"
        rows.append(f"{nodes} nodes: {time.value:.2f} min ({time.low:.2f} to {time.high:.2f}){usd}")
    rows.append(f"cannot tell: {found.cannot}")
    if found.tells.nodes:
        rows.append(
            f"would tell: the time on {found.tells.nodes} nodes, and the others, to {100 * found.tells.error:g} %"
        )
    return tuple(rows)


def _row(point: Point) -> tuple[str, ...]:
    hours = point.quality_hours
    usd = "no price" if point.usd is None else show_usd(point.usd.value)
    return (point.hardware, f"{point.nodes:,}", f"{point.devices:,}", _hours(hours.value), _hours(hours.low),
            _hours(hours.high), usd, point.note)  # fmt: skip


def _hours(value: float) -> str:
    return show_duration(3600 * value)


def _weekly(point: Point) -> str:
    each = experiments_a_week(point.quality_hours.value)
    if each >= 1:
        return f"that is {each:,.0f} such runs a week"
    return f"one such run takes {point.quality_hours.value / 168:.3g} weeks"


def _batch(shown: Shown) -> str:
    said = f"batch    {show_count(shown.batch_tokens, 'tokens')} a step"
    if shown.critical_tokens is None:
        return f"{said}; its critical size is unknown"
    return f"{said}; critical size about {show_count(shown.critical_tokens, 'tokens')} (Kaplan, at the law's loss)"
