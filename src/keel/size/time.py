"""How long: seconds for a stretch of training on this machine, from measured steps, else from the GEMM peak."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

UTILISATION = (0.1, 0.2, 0.5)


class Estimate(NamedTuple):
    """A value with its interval and where it comes from."""

    value: float
    low: float
    high: float
    source: str

    @property
    def ends(self) -> tuple[float, float, float]:
        """Value, low, high."""
        return self[:3]

    def times(self, factor: float, source: str = "") -> Estimate:
        """Each end times a positive factor.

        Example:
            >>> Estimate(2.0, 1.0, 3.0, "measured").times(2)
            Estimate(value=4.0, low=2.0, high=6.0, source='measured')
        """
        return Estimate(factor * self.value, factor * self.low, factor * self.high, source or self.source)


def seconds_per_token(
    machine: Mapping[str, Any], flop_per_token: float, threads: int, precision: Mapping[str, str]
) -> Estimate:
    """Seconds a training token: measured steps interpolated in log FLOP, else FLOP / (MFU x GEMM peak).

    Beyond the measured sizes the nearest step's FLOP rate is kept. The interval is +-25 % around measured steps, and an
    MFU of .1 to .5 without them.

    Source: steps timed by `keel look` (evidence/machine.json); the MFU range is that of benchmarks/ on 2 cores.
    """
    steps = sorted(
        (float(step["flop_per_token"]), 1.0 / float(step["tokens_per_s"]))
        for step in machine.get("steps", [])
        if step["threads"] == threads and all(step["precision"][part] == precision[part] for part in ("body", "head"))
    )
    if steps:
        value = _interpolate(steps, flop_per_token)
        return Estimate(value, 0.75 * value, 1.25 * value, "steps timed by keel look")
    peak = gemm_peak_flop_per_s(machine, threads, precision["body"])
    low, middle, high = (flop_per_token / (share * peak) for share in reversed(UTILISATION))
    return Estimate(middle, low, high, "GEMM peak x MFU .1-.5")


def precision_at(machine: Mapping[str, Any], width: int) -> Mapping[str, Any]:
    """The precision chosen at the measured width nearest by ratio; where only one was measured, that one.

    Example:
        >>> full, half = {"body": "fp32", "head": "fp32"}, {"body": "bf16", "head": "fp32"}
        >>> found = {"precision": {"width": 64, **full, "wider": [{"width": 256, **half}]}}
        >>> precision_at(found, 96)["body"], precision_at(found, 192)["body"]
        ('fp32', 'bf16')
    """
    found: Mapping[str, Any] = machine["precision"]
    if not found.get("wider"):
        return found
    return min([found, *found["wider"]], key=lambda one: abs(math.log(one["width"] / width)))


def _interpolate(steps: list[tuple[float, float]], flop: float) -> float:
    first, last = steps[0], steps[-1]
    if flop <= first[0]:
        return first[1]
    if flop >= last[0]:
        return last[1] * flop / last[0]
    for (x0, y0), (x1, y1) in pairwise(steps):
        if flop <= x1:
            share = math.log(flop / x0) / math.log(x1 / x0)
            return math.exp(math.log(y0) + share * math.log(y1 / y0))
    raise AssertionError("the measured sizes do not enclose the wanted one")


def gemm_peak_flop_per_s(machine: Mapping[str, Any], threads: int, precision: str) -> float:
    """The best measured GEMM rate at this precision and thread count (fp32 of one thread where it is missing)."""
    rows = machine["gemm"]
    fits = [row["flop_per_s"] for row in rows if row["precision"] == precision and row["threads"] == threads]
    return float(max(fits or [row["flop_per_s"] for row in rows]))
