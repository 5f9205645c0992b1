"""A figure that draws itself: an SVG file for any background, markup for a notebook, its numbers beneath."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from keel.files import write_bytes
from keel.report.figures import Table
from keel.report.markup import esc, folded, table
from keel.report.svg import inline, standalone, themed

WIDE_PX, NARROW_PX = 760, 358
MOST_ROWS = 200


class Drawn:
    """The base of every figure of a fit; `height_px` at full width."""

    key: ClassVar[str]
    title: ClassVar[str]
    caption: ClassVar[str]

    @property
    def desc(self) -> str:
        """One sentence that says what the picture shows."""
        raise NotImplementedError

    def table(self) -> Table:
        """The figure's numbers."""
        raise NotImplementedError

    @property
    def note(self) -> str:
        """What the drawing leaves out, if anything."""
        return ""

    def height_px(self, width: int) -> int:
        """The height that suits a width."""
        return 400 if width > 500 else 340

    def drawing(self, width: int, name: str, css_class: str = "") -> str:
        """Markup for a page that brings the colours; `name` is its ids' beginning."""
        return inline(themed(self._drawn(width), name, self.title, self.desc, css_class))

    def shown(self) -> str:
        """A part of a page: the title, a drawing for wide columns and one for phones, the caption, the numbers."""
        return f"<h3>{esc(self.title)}</h3>{self.figure()}{self.numbers()}"

    def figure(self) -> str:
        """The drawings with their caption alone."""
        sides = (("wide", WIDE_PX), ("narrow", NARROW_PX))
        drawings = "".join(self.drawing(width, f"{self.key}-{kind}", kind) for kind, width in sides)
        return f"<figure>{drawings}{self._said()}</figure>"

    def _said(self) -> str:
        return f"<figcaption>{esc(f'{self.caption} {self.note}'.strip())}</figcaption>"

    def svg(self, width: int = WIDE_PX) -> str:
        """A picture of its own, light or dark as its reader's screen is."""
        drawn = self._drawn(width)
        # Pictures of one notebook share its ids.
        return standalone(themed(drawn, f"{self.key}-{sha256(drawn.encode()).hexdigest()[:8]}", self.title, self.desc))

    def save(self, path: str | Path, width: int = WIDE_PX) -> None:
        """Write the picture as SVG."""
        write_bytes(Path(path), self.svg(width).encode("ascii", "xmlcharrefreplace"))

    def numbers(self) -> str:
        """The table as markup, folded; a long one ends with a line that says so."""
        found = self.table()
        rows = [[esc(cell) for cell in row] for row in found.rows[:MOST_ROWS]]
        more = f"<p>and {len(found.rows) - MOST_ROWS} more</p>" if len(found.rows) > MOST_ROWS else ""
        return folded("The numbers of this figure", table(found.header, rows) + more, "data")

    def _repr_html_(self) -> str:
        return f"<figure>{self.svg()}{self._said()}</figure>{self.numbers()}"

    def _drawn(self, width: int) -> str:
        from keel.report.fit_charts import draw

        return draw(self, width, self.height_px(width))
