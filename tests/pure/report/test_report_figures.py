"""Each figure's data is right, and its drawing follows both themes."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from report_fixture import FLOP_PER, build, law, points, wobble

from keel.errors import StudyError
from keel.report import artefacts
from keel.report.bar import Bar
from keel.report.charts import draw
from keel.report.figures import Figure, LossCompute, Record, TrainingCurves
from keel.report.metrics import read, thin
from keel.report.picture import picture
from keel.report.svg import inline, themed
from keel.report.ticks import log_ticks

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def found(whole: Path) -> artefacts.Artefacts:
    return artefacts.read(whole)


def test_loss_against_compute(found: artefacts.Artefacts) -> None:
    figure = LossCompute.from_(found)
    assert figure is not None
    assert figure.bar is not None
    name, _, params, tokens = points()[-1]
    assert [dot.run for dot in figure.dots] == [point[0] for point in points()[:-1]]
    assert all(dot.seen for dot in figure.dots)
    assert figure.dots[0].value == pytest.approx(law(14_000, 200_000) * (1 + wobble(points()[0][0])))
    assert figure.bar.run == name
    assert figure.bar.flop == FLOP_PER * params * tokens
    assert figure.bar.low < figure.bar.measured < figure.bar.high  # type: ignore[operator]
    assert figure.bar.hit
    assert len(figure.band) == 25
    assert all(at.low < at.value < at.high for at in figure.band)
    assert [bar.measured for bar in figure.further] == [None]
    assert "hit" in figure.desc
    assert len(figure.table().rows) == len(figure.dots) + 2 + 1 + 25


def test_before_a_fit_the_branches_are_shown(tmp_path: Path) -> None:
    figure = LossCompute.from_(artefacts.read(build(tmp_path, runs=4, fit=False)))
    assert figure is not None
    assert figure.bar is None
    assert figure.band == ()
    assert sorted(dot.run for dot in figure.dots) == sorted(point[0] for point in points()[:4])
    assert draw(figure, 500, 300).startswith("<svg")


def test_nothing_to_draw_is_none(tmp_path: Path) -> None:
    folder = build(tmp_path, runs=0)
    nothing = artefacts.read(folder)
    assert [kind.from_(nothing) for kind in (LossCompute, TrainingCurves, Record)] == [None] * 3
    with pytest.raises(StudyError, match="nothing to draw"):
        picture(folder, tmp_path / "x.svg")


def test_training_curves_are_thinned(found: artefacts.Artefacts) -> None:
    figure = TrainingCurves.from_(found)
    assert figure is not None
    assert len(figure.curves) == 18
    assert max(len(curve.steps) for curve in figure.curves) <= 200
    assert sum(curve.held_out for curve in figure.curves) == 2


def test_thinning_keeps_the_mean(found: artefacts.Artefacts) -> None:
    figure = TrainingCurves.from_(found)
    assert figure is not None
    steps = figure.curves[0].steps[:150]
    for most in (1, 7, 50):
        less = thin(steps, most)
        assert len(less) <= most
    assert thin(steps, 1)[0].loss == pytest.approx(sum(step.loss for step in steps) / 150)


def test_a_resumed_log_counts_each_step_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [{"forecast_sha256": "ab", "spec_sha256": "cd"}]
    rows += [{"step": step, "tokens": step * 10, "loss": 5.0} for step in (1, 2, 3)]
    rows += [{"step": step, "tokens": step * 10, "loss": 4.0} for step in (2, 3, 4)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text + '{"step": 5, "tokens": 50, "loss": NaN}\n{"step": 6, "to')
    log = read(path)
    assert log is not None
    assert [(step.tokens, step.loss) for step in log.curve] == [(10, 5.0), (20, 4.0), (30, 4.0), (40, 4.0)]
    assert (log.forecast_sha256, log.steps, log.unreadable, log.not_finite) == ("ab", 4, 1, 1)


def test_the_record_counts_hits(tmp_path: Path, found: artefacts.Artefacts) -> None:
    figure = Record.from_(found)
    assert figure is not None
    assert figure.words == "4 of 4"
    missed = Record.from_(artefacts.read(build(tmp_path, miss=True)))
    assert missed is not None
    assert missed.words == "3 of 4"
    assert [row[1] for row in missed.table().rows] == ["hit", "hit", "hit", "miss"]


def test_figures_are_frozen(found: artefacts.Artefacts) -> None:
    figure = Record.from_(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        figure.bars = ()  # type: ignore[union-attr, misc]


def test_an_interval_shows_enough_digits_to_tell_a_miss() -> None:
    bar = Bar("r", 1e12, 1.55, 1.5212, 1.6112, 0.9, 1.6149, False)
    assert bar.forecast_words == "1.550 (1.521-1.611)"
    assert bar.outcome_words == "1.615: miss"


@pytest.mark.parametrize("kind", [LossCompute, TrainingCurves, Record])
@pytest.mark.parametrize("width", [358, 760])
def test_a_drawing_has_classes_in_place_of_colours(found: artefacts.Artefacts, kind: type, width: int) -> None:
    figure: Figure = kind.from_(found)  # type: ignore[attr-defined]
    root = themed(draw(figure, width, 340), "name", figure.title, figure.desc, "wide")
    _, _, drawn_width, _ = (float(part) for part in root.get("viewBox", "").split())
    assert drawn_width == pytest.approx(width, abs=14)
    colours = {element.get(key) for element in root.iter() for key in ("fill", "stroke")}
    assert not {colour for colour in colours if colour and colour.startswith("#")}
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert "http" not in inline(root).replace('xmlns="http://www.w3.org/2000/svg"', "")


@pytest.mark.parametrize("runs", [None, 1, 9, 10])
def test_the_picture_stands_alone(tmp_path: Path, runs: int | None) -> None:
    folder = build(tmp_path, runs=runs)
    picture(folder, tmp_path / "loss.svg")
    text = (tmp_path / "loss.svg").read_text(encoding="ascii")
    root = ET.fromstring(text)
    assert "prefers-color-scheme:dark" in text
    assert "var(" not in text
    assert "<script" not in text
    assert root.find(f"{SVG}rect") is not None
    assert len(text) < 100_000


def test_ticks() -> None:
    assert log_ticks(8e10, 3e11) == [1e11, 2e11]
    assert log_ticks(8e10, 3e12) == pytest.approx([1e11, 3e11, 1e12, 3e12])
