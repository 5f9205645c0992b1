"""fit.json's tree, read: the runs with what the fit made of them, the forecasts, the unit.

The tree may be a file's, written by hand or by another keel: what is missing is left out, what is text is cleaned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from keel.report.bar import Bar, bar_of
from keel.report.words import clean, number

Tree = Mapping[str, Any]
MOST_DRAWN = 250  # of a kind
T = TypeVar("T")


class Measured(NamedTuple):
    """A run: `error` = measured / fitted - 1; `far` = the laws do not believe it; `held_out` = not seen by the fit.

    `late`: it was forecast first, and fitted afterwards.
    """

    run: str
    params: float
    tokens: float
    flop: float
    value: float
    error: float
    far: bool
    held_out: bool
    late: bool = False

    @property
    def apart(self) -> bool:
        """It was not, or not at first, among the runs fitted."""
        return self.held_out or self.late

    @property
    def what(self) -> str:
        """Its part in the fit, in words."""
        known = "forecast first, then fitted" if self.late else "down-weighted" if self.far else "in the fit"
        return "held out" if self.held_out else known


def runs_of(fitted: Tree) -> tuple[Measured, ...]:
    """The fit's rows by compute; those with a hole are left out."""
    far = {item.get("id") for item in items(fitted, "down_weighted")}
    found = []
    for row in items(fitted, "rows"):
        cells = [number(row, key) for key in ("params", "tokens", "flop", "value", "fitted")]
        params, tokens, flop, value, fit = (cell or 0.0 for cell in cells)
        if params > 0 and tokens > 0 and flop > 0 and fit != 0:
            apart = bool(row.get("held_out"))
            name, known = clean(row.get("id")), row.get("id") in far
            found.append(Measured(name, params, tokens, flop, value, value / fit - 1, known and not apart, apart))
    return tuple(sorted(found, key=lambda run: run.flop))


def thinned(runs: Sequence[Measured]) -> tuple[Measured, ...]:
    """The runs that a drawing shows, by compute: every k-th of each kind where they are many."""
    kinds: dict[str, list[Measured]] = {}
    for run in runs:
        kinds.setdefault(run.what, []).append(run)
    kept = [run for kind in kinds.values() for run in every(kind)]
    return tuple(sorted(kept, key=lambda run: run.flop))


def every(some: Sequence[T]) -> Sequence[T]:
    """At most MOST_DRAWN of them, evenly."""
    return some[:: -(-len(some) // MOST_DRAWN) or 1]


def drawn_words(runs: Sequence[Measured]) -> str:
    """How many of the runs are drawn, where not all are."""
    some = len(thinned(runs))
    return "" if some == len(runs) else f"{some} of {len(runs)} runs are drawn."


def items(tree: Any, *keys: str) -> list[Tree]:
    """The objects in the list at a path of keys; none where there is no such list."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return [item for item in tree if isinstance(item, Mapping)] if isinstance(tree, (list, tuple)) else []


def unit_of(fitted: Tree) -> str:
    """The loss's unit in words."""
    return clean(str(fitted.get("unit") or "loss").replace("_", " "))


def targets_of(fitted: Tree) -> tuple[tuple[Bar, float, float], ...]:
    """Every forecast with its params and tokens, cheapest first."""
    found = []
    for item in items(fitted, "forecasts"):
        bar, params, tokens = (
            bar_of(str(item.get("run") or ""), item, item),
            number(item, "params"),
            number(item, "tokens"),
        )
        if bar and params and tokens:
            found.append((bar, params, tokens))
    return tuple(sorted(found, key=lambda target: target[0].flop))
