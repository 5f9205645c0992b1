"""Runs of a plan as lines of a table: the ladder, and its arms with their one change and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keel.units import show_count, show_duration

LEAST_WIDTH = 28


def show_runs(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A heading, and a line a run."""
    wide = _wide(runs)
    return [f"{'run':<{wide}}{HEADINGS}  teaches", *(f"{_line(item, wide)}  {_taught(item)}" for item in runs)]


def show_arms(arms: Mapping[str, Any], ladder: Sequence[Mapping[str, Any]]) -> list[str]:
    """The arms under their baseline; nothing where there are none."""
    runs = arms.get("runs")
    if not runs:
        return []
    known = {item["id"]: item for item in ladder}
    base = known[runs[0]["baseline"]]
    wide = _wide([base, *runs])
    total = f"{show_duration(arms['totals']['s'])} here, {show_count(arms['totals']['flop'])} FLOP"
    lines = ["", f"arms    one change each against {base['id']}, at equal FLOP: {total}; `keel run --arms` runs them",
             f"{'arm':<{wide}}{HEADINGS}  change", f"{_line(base, wide)}  the baseline"]  # fmt: skip
    for item in runs:
        lines.append(f"{_line(item, wide)}  {item['why']}")
        lines += [f"{'':<{wide}}  follows: {derived}" for derived in [_derived(item)] if derived]
    return lines


HEADINGS = f"{'params':>8}{'tokens':>8}{'steps':>7}{'FLOP':>10}{'time':>14}"


def _line(item: Mapping[str, Any], wide: int) -> str:
    cost = item["cost"]
    return (
        f"{item['id']:<{wide}}{show_count(item['params']['total']):>8}{show_count(item['tokens']):>8}"
        f"{item['spec']['steps']:>7}{cost['flop']:>10.2g}{show_duration(cost['s']):>14}"
    )


def _wide(runs: Sequence[Mapping[str, Any]]) -> int:
    return max(LEAST_WIDTH, *(len(item["id"]) + 2 for item in runs))


def _taught(item: Mapping[str, Any]) -> str:
    return ("HELD OUT: " if item["held_out"] and item["kind"] == "branch" else "") + str(item["why"])


def _derived(item: Mapping[str, Any]) -> str:
    """What follows from the change: "family llama -> bert, steps 120 -> 210"."""
    found = []
    for name, (before, now) in item["derived"].items():
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found += [f"{name}.{key} {_plain(before.get(key))} -> {_plain(now.get(key))}"
                      for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]  # fmt: skip
        else:
            found.append(f"{name} {_plain(before)} -> {_plain(now)}")
    return ", ".join(found)


def _plain(value: Any) -> str:
    return "none" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
