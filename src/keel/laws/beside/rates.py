"""What a table's learning rates say beside its laws: runs off their best rate, and the best rate of each target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from keel.errors import Refusal
from keel.laws.beside.lr_batch import SAME, Surface, fit_rates
from keel.laws.forecast import Forecast
from keel.laws.law import Row, epochs_of
from keel.laws.links import link_of

MOST_ROWS = 2_000  # beyond it the surface costs more than the laws (2.3 CPU s there)
REPEATS = 1.05  # epochs
NAMED_ONLY = "named here, and fitted with the weight the laws give it"


def rates(
    rows: Sequence[Row], unit: str, forecasts: Iterable[Forecast], level: float
) -> tuple[dict[str, Any] | None, list[Refusal]]:
    """The surface of rows with a learning rate as plain values, or None; then why, where rates do vary at one point.

    Runs that repeat their data are left aside: what repeats cost is not the rate's doing.

    Example:
        >>> def loss(n, lr): return (2 + 400 / n**0.3) * (1 + 0.02 * np.log(lr / (2 * n**-0.4)) ** 2)
        >>> rows = [Row(f"{n:.0e} {lr}", n, 20 * n, 120 * n * n, loss(n, lr), lr=lr)
        ...         for n in (1e7, 1e8) for lr in (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3)]
        >>> rates(rows, "nats_per_token", [], 0.9)[0]["sweeps"]
        2
    """
    fresh = [row for row in rows if epochs_of(row) < REPEATS]
    if not _varies(fresh):
        return None, []
    what = "learning rates are not looked at"
    if len(fresh) > MOST_ROWS:
        return None, [
            Refusal(what, f"{len(fresh):,} rows; {MOST_ROWS:,} at most", "keep those of a sweep with --where")
        ]
    to_loss = link_of(unit).to_loss
    values = to_loss(np.array([row.value for row in fresh]))
    try:
        found = fit_rates([row._replace(value=float(value)) for row, value in zip(fresh, values)])
    except (np.linalg.LinAlgError, FloatingPointError) as error:
        found = Refusal(what, f"their surface cannot be fitted: {error}", "keep those of a sweep with --where")
    if isinstance(found, Refusal):
        return None, [found]
    tree = _json(found, forecasts, level)
    aside = len(rows) - len(fresh)
    tree["notes"] += [f"{aside} runs that repeat their data are left aside here"] if aside else []
    return tree, []


def with_rates(fitted: dict[str, Any], rated: dict[str, Any] | None) -> dict[str, Any]:
    """fit.json's content with the rates' own, and the runs off their rate among those named."""
    if rated is None:
        return fitted
    known = {item["id"]: item["why"] for item in fitted["down_weighted"]}
    for item in rated["off"]:
        more = item["why"] if item["id"] in known else f"{item['why']}; {NAMED_ONLY}"
        known[item["id"]] = "; ".join(filter(None, (known.get(item["id"]), more)))
    return fitted | {"lr": rated, "down_weighted": [{"id": id, "why": why} for id, why in known.items()]}


def _varies(rows: Sequence[Row]) -> bool:
    """Whether two runs of one size and token count have rates apart."""
    cells: dict[tuple[float, float], float] = {}
    for row in rows:
        if row.lr > 0 and abs(math.log(cells.setdefault((row.params, row.tokens), row.lr) / row.lr)) > SAME:
            return True
    return False


def _json(found: Surface, forecasts: Iterable[Forecast], level: float) -> dict[str, Any]:
    constants = {
        name: {"value": value, "low": low, "high": high} for name, (value, low, high) in found.constants(level).items()
    }
    best = [
        {"params": one.params, "tokens": one.tokens}
        | {name: _plain(cell) for name, cell in found.best(one.params, one.tokens, level=level)._asdict().items()}
        for one in forecasts
    ]
    return {
        "sweeps": found.edges[2], "swept": found.swept, "constants": constants, "scatter": found.scatter,
        "best": best, "off": found.off(level), "notes": list(found.notes), "level": level,
    }  # fmt: skip


def _plain(cell: Any) -> Any:
    """A value that JSON has: no bound is None, as is a batch that is not fitted."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else list(cell) if type(cell) is tuple else cell
