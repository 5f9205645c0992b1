"""Each target of a table's rows: its forecast from a fit of its own, or its refusal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keel.errors import Refusal
from keel.laws import refuse
from keel.laws.design.optimum import optimum
from keel.laws.ensemble import Ensemble, build
from keel.laws.forecast import Forecast, forecast_from
from keel.laws.forecasts import Fits, aimed
from keel.laws.law import Row, Target


class Targeted(NamedTuple):
    """Forecasts, refusals, the optimum of the last budget asked for (`best`), the fit of the first forecast (`lead`)
    and that of each."""

    best: dict[str, Any] | None
    forecasts: list[Forecast]
    refusals: list[Refusal]
    lead: Ensemble
    fits: list[Ensemble]


def targeted(
    rows: Sequence[Row], unit: str, at: Sequence[Mapping[str, float]], level: float, flop_from: str
) -> Targeted:
    """One forecast or refusal for each target of `at` (as in verb.py); without targets, the fit alone.

    Example:
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> found = targeted(rows, "nats_per_token", [{"params": n, "tokens": 2e10} for n in (1e9, 1e14)], 0.9, "6 N D")
        >>> len(found.forecasts), len(found.refusals)
        (1, 1)
    """
    best: dict[str, Any] | None = None
    base = build(rows, unit) if not at or any("compute" in aim for aim in at) else None
    forecasts: list[Forecast] = []
    refusals: list[Refusal] = []
    ensembles: list[Ensemble] = []
    fits = Fits()
    for aim in at:
        unique = aim.get("unique_tokens", math.nan)
        if "compute" in aim and base is not None:
            best = optimum(base, float(aim["compute"]), unique_tokens=aim.get("unique_tokens"), level=level)
            if best is None:
                refusals.append(Refusal(f"no optimum at {aim['compute']:.3g} flop", "no law tells sizes apart here",
                                        "add runs of other sizes at the same compute"))  # fmt: skip
                continue
            target = Target(best["params"], best["tokens"], best["flop"], unique)
        else:
            target = Target(float(aim["params"]), float(aim["tokens"]), aim.get("flop"), unique)
        made: Forecast | Refusal | None = refuse.refuse(rows, target, unit)
        if made is None:
            ensemble = aimed(rows, unit, target, fits)
            made = forecast_from(ensemble, target, level, flop_from)
            ensembles += [ensemble] if isinstance(made, Forecast) else []
        forecasts.append(made) if isinstance(made, Forecast) else refusals.append(made)
    lead = ensembles[0] if ensembles else base or build(rows, unit)
    return Targeted(best, forecasts, refusals, lead, ensembles)
