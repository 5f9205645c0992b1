"""What the figure of classes shows: how many images each has on both sides of the split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keel.report.drawn import Drawn
from keel.report.figures import Table
from keel.report.runs import Tree
from keel.report.words import clean, number, plural

MOST_BARS = 24


class Class(NamedTuple):
    """Images of a class on both sides of the split."""

    label: str
    train: float
    heldout: float


@dataclass(frozen=True)
class ClassBalance(Drawn):
    """How many images of each class, the largest first; of many classes both ends."""

    classes: tuple[Class, ...]
    listed: int
    count: int

    key = "classes"
    title = "Images of each class"
    caption = "Grey: to train on. Blue, at the end of each bar: held out."

    @classmethod
    def of(cls, seen: Tree | None) -> ClassBalance | None:
        """From images.json; None where no class is named."""
        classes = (seen or {}).get("classes")
        rows = classes.get("each") if isinstance(classes, Mapping) else None
        made = tuple(_class(row) for row in rows or () if isinstance(row, Mapping))
        return cls(_ends(made), len(made), int(number(classes, "count") or len(made))) if made else None

    @property
    def note(self) -> str:
        """What the drawing leaves out, if anything."""
        half = len(self.classes) // 2
        ends = f"The {half} largest and the {half} smallest of {self.listed:,}" if self.listed > 2 * half + 1 else ""
        all_ = f"images.json lists the {self.listed:,} largest of {self.count:,}." if self.listed < self.count else ""
        return " ".join(part for part in (f"{ends}." if ends else "", all_) if part)

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        return f"Images to train on and held out, of {len(self.classes)} of {plural(self.count, 'label')}."

    def table(self) -> Table:
        """Both counts."""
        rows = [(each.label, f"{each.train:,.0f}", f"{each.heldout:,.0f}") for each in self.classes]
        return Table(("class", "to train on", "held out"), tuple(rows))

    def height_px(self, width: int) -> int:
        """A line a class."""
        return 56 + 22 * len(self.classes)

    def _drawn(self, width: int) -> str:
        from keel.report.image_charts import draw

        return draw(self, width, self.height_px(width))


def _class(row: Mapping[str, Any]) -> Class:
    return Class(clean(row.get("label")), number(row, "train") or 0.0, number(row, "heldout") or 0.0)


def _ends(classes: tuple[Class, ...]) -> tuple[Class, ...]:
    half = MOST_BARS // 2
    return classes if len(classes) <= MOST_BARS else classes[:half] + classes[-half:]
