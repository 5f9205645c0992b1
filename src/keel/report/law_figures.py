"""What speaks for and against the laws themselves: how their constants trade off, and how they missed hidden runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from keel.report.drawn import Drawn
from keel.report.figures import Table
from keel.report.fitted import Tree, items
from keel.report.words import clean, number, percent, plural

PANEL_PX, CELL_PX = 170, 34


class Matrix(NamedTuple):
    """Correlations [p, p] of one law's log constants over the posterior draws."""

    law: str
    weight: float
    names: tuple[str, ...]
    cells: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Correlations(Drawn):
    """Which constants of the leading laws trade off against each other."""

    laws: tuple[Matrix, ...]

    key = "correlations"
    title = "Correlations of the constants"
    caption = (
        "Correlation of the logarithms of each leading law's constants over its posterior: near +1 or -1, the runs fix "
        "a combination of the two, not each alone."
    )

    @classmethod
    def of(cls, fitted: Tree) -> Correlations | None:
        """From fit.json's tree; None without draws."""
        laws = []
        for item in items(fitted, "diagnosis", "correlations"):
            names = tuple(clean(name) for name in item.get("names") or ())
            cells = tuple(tuple(_number(cell) for cell in row) for row in item.get("matrix") or ())
            if names and [len(row) for row in cells] == [len(names)] * len(names):
                laws.append(Matrix(clean(item.get("law")), number(item, "weight") or 0.0, names, cells))
        return cls(tuple(laws)) if laws else None

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        strongest = max(
            ((abs(law.cells[i][j]), law, i, j) for law in self.laws for i in range(len(law.names)) for j in range(i)),
            key=lambda pair: pair[0], default=None,
        )  # fmt: skip
        said = f"Correlations of the log constants of {plural(len(self.laws), 'law')}"
        if strongest is None:
            return f"{said}."
        _, law, i, j = strongest
        return f"{said}; the strongest is {signed(law.cells[i][j])}, {law.names[j]} with {law.names[i]} of {law.law}."

    def height_px(self, width: int) -> int:
        """A cell a constant."""
        return CELL_PX * max(len(law.names) for law in self.laws)

    def table(self) -> Table:
        """Every pair, the strongest first."""
        pairs = [
            (law.law, law.names[j], law.names[i], law.cells[i][j])
            for law in self.laws for i in range(len(law.names)) for j in range(i)
        ]  # fmt: skip
        pairs.sort(key=lambda pair: -abs(pair[3]))
        return Table(("law", "constant", "with", "correlation"), tuple((a, b, c, signed(r)) for a, b, c, r in pairs))


def signed(cell: float) -> str:
    """A correlation in two digits.

    Example:
        >>> signed(0.981), signed(-0.3), signed(-0.001)
        ('+0.98', '-0.30', '0.00')
    """
    return f"{cell:+.2f}" if abs(cell) >= 0.005 else "0.00"


def _number(cell: Any) -> float:
    return float(cell) if isinstance(cell, (int, float)) else 0.0


class Miss(NamedTuple):
    """A hidden run: `ahead` = its compute over the largest run fitted; measured over forecast minus one, by law."""

    run: str
    fold: int
    ahead: float
    errors: tuple[float, ...]


class Growth(NamedTuple):
    """The half-width that past misses give the interval at a distance."""

    ahead: float
    half_width: float


@dataclass(frozen=True)
class Backtest(Drawn):
    """How far the mixture and each leading law missed larger runs that were hidden from them."""

    laws: tuple[str, ...]
    num_points: int
    points: tuple[Miss, ...]
    growth: tuple[Growth, ...]
    level: float

    key = "backtest"
    title = "Back-test"
    caption = (
        "The largest runs are hidden, the laws are fitted to the rest, and each hidden run is compared with its "
        "forecast; again for every cut. The band is what these misses add to the interval, growing with the distance."
    )

    @classmethod
    def of(cls, fitted: Tree) -> Backtest | None:
        """From fit.json's tree; None where no fold was possible."""
        tree = (fitted.get("diagnosis") or {}).get("backtest")
        if not isinstance(tree, dict) or not items(tree, "points"):
            return None
        laws = ("all laws, weighted", *(clean(name) for name in tree.get("laws") or ()))
        points = [
            Miss(clean(at.get("run")), int(number(at, "fold") or 0), number(at, "ahead") or 1.0,
                 (_number(at.get("mixture")), *(_number(miss) for miss in at.get("laws") or ())))
            for at in items(tree, "points")
        ]  # fmt: skip
        growth = [Growth(number(at, "ahead") or 1.0, number(at, "half_width") or 0.0) for at in items(tree, "growth")]
        count, level = number(tree, "num_points") or len(points), number(fitted, "level") or 0.0
        return cls(laws, int(count), tuple(p for p in points if len(p.errors) == len(laws)), tuple(growth), level)

    @property
    def inside(self) -> float:
        """The share of the mixture's misses that the growth curve covers."""
        held = 0
        for point in self.points:
            near = min(self.growth, key=lambda at: abs(at.ahead - point.ahead), default=Growth(1.0, 0.0))
            held += abs(point.errors[0]) <= near.half_width
        return held / len(self.points)

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        folds, far = len({point.fold for point in self.points}), max(point.ahead for point in self.points)
        some = (
            f"{len(self.points)} of {self.num_points}" if len(self.points) < self.num_points else f"{self.num_points}"
        )
        return (
            f"Misses of {some} hidden runs in {plural(folds, 'cut')}, up to {far:.3g} times the compute fitted; "
            f"{percent(self.inside)} of the weighted laws' lie in the {percent(self.level)} band."
        )

    def height_px(self, width: int) -> int:
        """Of one panel."""
        return PANEL_PX

    def table(self) -> Table:
        """Every miss listed, by cut and distance."""
        ordered = sorted(self.points, key=lambda point: (point.fold, point.ahead))
        rows = [
            (str(p.fold), p.run, f"{p.ahead:.3g} x", *(f"{100 * error:+.2f} %" for error in p.errors)) for p in ordered
        ]
        return Table(("cut", "hidden run", "compute ahead", *self.laws), tuple(rows))
