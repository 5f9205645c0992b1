"""The second step, from loss to accuracy, for people, in the manner of show.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.units import show_count


def text(result: Mapping[str, Any]) -> str:
    """The task and its forecasts; `result` is what --json has."""
    return "\n\n".join([_task(result["task"]), *map(_forecast, result["forecasts"])])


def _task(task: Mapping[str, Any]) -> str:
    lines = [f"[[Task]] {task['column']} = {task['formula']}", f"  L = {task['via']}, L_mid = {task['loss_mid']:.4g}"]
    lines += [
        f"      {name:<6} {p['value']:<10.4g} {100 * task['level']:g} %: {p['low']:.4g} to {p['high']:.4g}"
        for name, p in task["constants"].items()
    ]
    out = f", {len(task['left_out'])} runs without an accuracy left out" if task["left_out"] else ""
    folds = f"{task['folds']} back-tests" if task["folds"] else "no back-test"
    lines.append(f"  {task['pairs']} pairs{out}; chance {task['chance']:g}; {folds}")
    lines.append(f"  lowest loss with an accuracy {task['lowest_loss']:.4g}; runs scatter by "
                 f"{100 * task['scatter']:.2g} points")  # fmt: skip
    return "\n".join(lines)


def _forecast(found: Mapping[str, Any]) -> str:
    via = found["via"]
    parts = ", ".join(f"{name} {width:.2g}" for name, width in found["width_parts"].items())
    low, high = found["low"], found["high"]
    lines = [
        f"[[Forecast]] {show_count(found['params'])} params, {show_count(found['tokens'])} tokens, "
        f"{found['flop']:.3g} flop",
        f"  {found['value']:.4g} {found['unit']}, {100 * found['level']:g} %: {low:.4g} to {high:.4g}",
        f"  half-widths by cause: {parts}",
        f"  via {via['column']} {via['value']:.4g} {via['unit']}, {100 * via['level']:g} %: {via['low']:.4g} to "
        f"{via['high']:.4g}",
        f"  {10 ** found['distance']:.3g} x the compute of the largest run used",
    ]
    lines += [f"  ! {said}" for said in found["warnings"]]
    return "\n".join([*lines, *(f"  ! loss: {said}" for said in via["warnings"])])
