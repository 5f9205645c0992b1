"""Rows of the benchmark's table, and the line that names the machine. No torch here."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

HEAD = ("what", "keel", "peer", "unit", "ratio", "rounds", "target", "met")


class Row(NamedTuple):
    """Two measured values, their paired ratio keel / peer by round, and the target ("" when there is none)."""

    what: str
    ours: float
    theirs: float
    unit: str
    ratios: tuple[float, ...]
    target: str = ""

    @property
    def ratio(self) -> float:
        """The median over rounds."""
        return statistics.median(self.ratios)

    def met(self) -> str:
        """Whether the target holds: targets read ">= 2.3" or "<= 0.5"."""
        if not self.target:
            return ""
        sense, bound = self.target.split()
        return "yes" if (self.ratio >= float(bound) if sense == ">=" else self.ratio <= float(bound)) else "NO"


def cells(row: Row) -> tuple[str, ...]:
    """A row as the table prints it; "rounds" shows the smallest and largest paired ratio."""
    spread = f"{min(row.ratios):.2f}-{max(row.ratios):.2f}" if len(row.ratios) > 1 else ""
    return (
        row.what,
        _number(row.ours),
        _number(row.theirs),
        row.unit,
        f"{row.ratio:.2f}",
        spread,
        row.target,
        row.met(),
    )


def markdown(rows: Iterable[Row]) -> str:
    """The table."""
    lines: list[Sequence[str]] = [HEAD, ("---",) * len(HEAD), *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """CPU, cores and versions in one line."""
    names = ("torch", "transformers", "accelerate", "datasets", "tokenizers")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"{_cpu()}; {cores()} cores, load {load}; {platform.platform()}; Python {platform.python_version()}, {versions}"
    )


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
