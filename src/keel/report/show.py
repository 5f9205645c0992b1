"""A figure -> the markup of the page: one drawing for wide columns, one for phones, a caption, the numbers."""

from __future__ import annotations

from keel.report.charts import draw
from keel.report.figures import Figure
from keel.report.markup import esc, folded, table
from keel.report.svg import inline, themed

WIDE_PX, NARROW_PX = 760, 358


def shown(
    figure: Figure | None, name: str, caption: str, wide_px: int = 400, narrow_px: int = 340, data: bool = True
) -> str:
    """A figure in both widths, and its numbers unless they stand beside it; nothing for nothing."""
    if figure is None:
        return ""
    drawings = "".join(
        inline(themed(draw(figure, width, height), f"{name}-{kind}", figure.title, figure.desc, kind))
        for kind, width, height in (("wide", WIDE_PX, wide_px), ("narrow", NARROW_PX, narrow_px))
    )
    numbers = figure.table()
    rows = [[esc(cell) for cell in row] for row in numbers.rows]
    below = folded("The numbers of this figure", table(numbers.header, rows), "data") if data else ""
    return f"<figure>{drawings}<figcaption>{esc(caption)}</figcaption></figure>{below}"
