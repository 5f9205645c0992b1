"""The first figure alone, as an SVG file that reads well on a white page and on a dark one."""

from __future__ import annotations

from pathlib import Path

from keel.answer import Answer
from keel.errors import StudyError
from keel.files import write_bytes
from keel.report.artefacts import read
from keel.report.charts import draw
from keel.report.figures import LossCompute
from keel.report.svg import standalone, themed

WIDTH_PX, HEIGHT_PX = 760, 420


def picture(study_folder: Path, path: Path) -> Answer:
    """Write the loss-against-compute figure of a study to `path`.

    Raises:
        StudyError: nothing to draw yet.
    """
    found = read(study_folder)
    figure = LossCompute.from_(found)
    if figure is None:
        raise StudyError(
            "there is nothing to draw", why="no run is finished and no forecast is sealed",
            fix="run `keel run` first", where=str(study_folder),
        )  # fmt: skip
    root = themed(draw(figure, WIDTH_PX, HEIGHT_PX), "loss", figure.title, figure.desc)
    write_bytes(path, standalone(root).encode("ascii", "xmlcharrefreplace"))
    return Answer(result={"desc": figure.desc}, text=figure.desc, reads=list(found.reads), writes=[str(path)])
