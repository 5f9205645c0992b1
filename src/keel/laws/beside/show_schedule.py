"""A fit of curves for people, in the manner of show.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_CURVES = 20


def text(result: Mapping[str, Any], source: str) -> str:
    """The whole printout; `result` is what --json has."""
    parts = [_curves(result, source), _law(result)]
    if result["points"]:
        parts.append(_points(result["points"]))
    if result["annealed"]:
        parts.append(_annealed(result["annealed"]))
    elif not result["points"]:
        parts.append("[[Annealed]] none: every checkpoint's rate has fallen from its peak already, or still rises")
    return "\n\n".join(parts + (["\n".join(f"! {note}" for note in result["notes"])] if result["notes"] else []))


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  " + "  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines)


def _curves(result: Mapping[str, Any], source: str) -> str:
    named = ", ".join(f"{role} = {name}" for role, name in result["columns"].items() if role != "unit")
    lines = [("curve", "points", "steps", "lr peak", "last", "loss at end", "misfit")]
    for one in result["curves"][:MOST_CURVES]:
        steps = f"{one['first_step']:g} to {one['last_step']:g}"
        lines.append((one["id"], str(one["points"]), steps, f"{one['peak_lr']:.3g}", f"{one['last_lr']:.3g}",
                      f"{one['last_loss']:.4g}", f"{100 * one['misfit']:.2g} %"))  # fmt: skip
    more = len(result["curves"]) - MOST_CURVES
    tail = f"\n  and {more} more (--json names all)" if more > 0 else ""
    head = f"[[Curves]] read from {source}: {len(result['curves'])} curves, loss in {result['columns']['unit']}"
    lent = f"\n  decays also from {result['like']}" if result["like"] else ""
    return f"{head}\n  {named}{lent}\n{_aligned(lines)}{tail}"


def _law(result: Mapping[str, Any]) -> str:
    law, level = result["law"], result["level"]
    hidden = f"{law['folds']} curves hidden in turn" if law["folds"] else "no curve could be hidden: a prior's"
    lines = [f"[[Law]] {law['formula']}"]
    lines += [
        f"      {name:<6} {p['value']:<10.4g} {100 * level:g} %: {p['low']:.4g} to {p['high']:.4g}"
        for name, p in law["constants"].items()
    ]
    return "\n".join([*lines, f"  RMS miss at the end of a curve not seen {100 * law['miss']:.2g} % ({hidden})"])


def _points(points: Sequence[Mapping[str, Any]]) -> str:
    end = points[-1]
    lines = [f"[[Forecast]] {end['schedule']}"]
    for point in points:
        low, high, value = point["low"], point["high"], point["value"]
        lines.append(
            f"  step {point['step']:g}: {value:.4g} {point['unit']}, {100 * point['level']:g} %: {low:.4g} to "
            f"{high:.4g} (-{100 * (1 - low / value):.2g} %, +{100 * (high / value - 1):.2g} %)"
        )
    lines.append(f"  {10 ** end['distance']:.3g} x the largest summed learning rate of a curve" if end["distance"]
                 else "  within the largest summed learning rate of a curve")  # fmt: skip
    return "\n".join([*lines, *(f"  ! {said}" for said in end["warnings"])])


def _annealed(points: Sequence[Mapping[str, Any]]) -> str:
    last = {point["curve"]: point for point in points}.values()
    head = (
        f"[[Annealed]] the last checkpoint at its peak rate, as if the last {100 * points[0]['share']:g} % of its "
        f"steps had decayed to 0"
    )
    lines = [("curve", "step", "measured", "annealed", f"{100 * points[0]['level']:g} %")]
    lines += [
        (
            p["curve"],
            f"{p['step']:g}",
            f"{p['measured']:.4g}",
            f"{p['value']:.4g}",
            f"{p['low']:.4g} to {p['high']:.4g}",
        )
        for p in last
    ]
    more = len(points) - len(last)
    return f"{head}\n{_aligned(lines)}" + (f"\n  and {more} earlier checkpoints (--json)" if more else "")
