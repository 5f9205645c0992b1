"""A fit's figures: their data is the fit's, they draw in both widths, and no text of a file becomes markup."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keel.files import write_json
from keel.laws.diagnose import diagnosis
from keel.laws.ensemble import build
from keel.laws.forecast import Forecast, forecast_from
from keel.laws.law import Target
from keel.laws.read.table import read
from keel.laws.verb import fit_json
from keel.report.drawn import MOST_ROWS, Drawn
from keel.report.fit_charts import draw
from keel.report.fit_figures import FitLoss, LossMap, Residuals, figures
from keel.report.fit_page import document, headline, summary
from keel.report.fitted import MOST_DRAWN, runs_of, thinned
from keel.report.law_figures import Backtest, Correlations
from keel.report.page import report
from keel.report.svg import themed

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
FIGURES = {"loss": FitLoss, "map": LossMap, "residuals": Residuals, "correlations": Correlations, "backtest": Backtest}


def truth(params: float, tokens: float) -> float:
    return 1.8172 + 477.84 / params**0.3473 + 2143.86 / tokens**0.3672


def runs(value: Any = truth, noise: float = 0.004) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {"id": f"{n:.0e}x{r}", "N": n, "D": r * n, "loss": value(n, r * n) * math.exp(noise * rng.standard_normal())}
        for n in (2e7, 5e7, 1e8, 2e8, 4e8) for r in (10, 20, 40)
    ]  # fmt: skip


def fitted(rows: list[dict[str, Any]], unit: str = "nats_per_token", level: float = 0.9) -> dict[str, Any]:
    """fit.json's tree with two runs held out and one target forecast."""
    table = read(rows, {"unit": unit, "params_count": "total"})
    held = [row for row in table.rows if row.params == 4e8 and row.tokens > 5e9]
    ensemble = build([row for row in table.rows if row not in held], unit)
    found = forecast_from(ensemble, Target(1e9, 2e10), level, table.flop_from)
    assert isinstance(found, Forecast)
    tree = fit_json(ensemble, table, frozenset(row.id for row in held), [found], None, level)
    tree["leverage"] = [{"id": held[0].id, "change": 0.02, "share": 0.4}]
    return tree | {"diagnosis": diagnosis(ensemble, held, [(1e9, 2e10)], level)}


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    rows = runs()
    rows[4]["loss"] *= 1.3
    found: dict[str, Any] = json.loads(json.dumps(fitted(rows)))
    return found


def test_all_figures_are_there(tree: dict[str, Any]) -> None:
    assert {name: type(figure) for name, figure in figures(tree).items()} == FIGURES


def test_loss_shows_every_run_and_what_became_of_the_hidden(tree: dict[str, Any]) -> None:
    figure = FitLoss.of(tree)
    assert figure is not None
    by_run = {run.run: run for run in figure.runs}
    assert len(by_run) == 15
    assert [name for name, run in by_run.items() if run.far] == ["5e+07x20"]
    assert {run.run for run in figure.runs if run.held_out} == {"4e+08x20", "4e+08x40"} == {b.run for b in figure.held}
    assert all(bar.hit is (bar.low <= by_run[bar.run].value <= bar.high) for bar in figure.held)
    assert [bar.flop for bar in figure.targets] == [6 * 1e9 * 2e10]
    assert all(at.low < at.value < at.high for at in figure.band)
    assert figure.band[-1].flop == pytest.approx(1.2e20)
    assert "held-out runs lie in their interval" in figure.desc
    assert len(figure.table().rows) == 15 + 2 + 1 + len(figure.band)


def test_a_target_that_was_held_out_is_shown_once(tree: dict[str, Any]) -> None:
    held = tree["diagnosis"]["held_out"][0]
    again = [tree["forecasts"][0] | {key: held[key] for key in ("params", "tokens", "flop", "value", "low", "high")}]
    figure = FitLoss.of(tree | {"forecasts": again})
    assert figure is not None
    assert figure.targets == ()
    assert len(figure.held) == 2


def test_a_held_out_run_without_forecast_is_shown(tree: dict[str, Any]) -> None:
    kept = tree["diagnosis"] | {"held_out": tree["diagnosis"]["held_out"][:1]}
    figure = FitLoss.of(tree | {"diagnosis": kept})
    assert figure is not None
    assert [run.run for run in figure.without_forecast] == ["4e+08x40"]
    assert "1 held out: no forecast" in figure.svg(400)


def test_residuals_are_measured_over_fitted(tree: dict[str, Any]) -> None:
    figure = Residuals.of(tree, frozenset({"2e+07x10"}))
    assert figure is not None
    for run, row in zip(figure.runs, sorted(tree["rows"], key=lambda row: row["flop"])):
        assert run.error == pytest.approx(row["value"] / row["fitted"] - 1)
    assert figure.worst == pytest.approx(0.3, abs=0.02)
    assert {run.what for run in figure.runs} == {
        "in the fit", "down-weighted", "held out", "forecast first, then fitted",
    }  # fmt: skip


def test_the_map_names_its_lines_and_path(tree: dict[str, Any]) -> None:
    figure = LossMap.of(tree)
    assert figure is not None
    assert figure.targets == ((1e9, 2e10),)
    assert all(best.low <= best.params <= best.high for best in figure.path)
    rows = figure.table().rows
    assert sum(row[-1] == "compute-optimal" for row in rows) == len(figure.path)
    assert "tokens per param go from" in figure.desc
    flat = json.loads(json.dumps(tree))
    flat["diagnosis"]["map"]["path"] = []
    without = LossMap.of(flat)
    assert without is not None
    assert "no law in use tells sizes apart" in without.desc
    assert draw(without, 500, 300).startswith("<svg")


def test_correlations_and_back_test_say_their_worst(tree: dict[str, Any]) -> None:
    made = Correlations.of(tree)
    assert made is not None
    strongest = made.table().rows[0]
    assert strongest[3] in made.desc
    tested = Backtest.of(tree)
    assert tested is not None
    assert tested.laws[0] == "all laws, weighted"
    assert 0 <= tested.inside <= 1
    assert len(tested.table().rows) == tested.num_points


def test_a_back_test_outside_its_band_is_counted() -> None:
    points = [{"run": "r", "fold": 1, "ahead": 2.0, "mixture": miss, "laws": [miss]} for miss in (0.01, -0.2, 0.3, 0.0)]
    growth = [{"ahead": 1.0, "half_width": 0.02}, {"ahead": 2.0, "half_width": 0.05}]
    tree = {"laws": ["tied"], "num_points": 9, "points": points, "growth": growth}
    figure = Backtest.of({"level": 0.9, "diagnosis": {"backtest": tree}})
    assert figure is not None
    assert figure.inside == 0.5
    assert "4 of 9 hidden runs" in figure.desc


def test_a_file_of_another_keel_shows_what_it_can(tree: dict[str, Any]) -> None:
    old = {key: value for key, value in tree.items() if key != "diagnosis"}
    assert set(figures(old)) == {"loss", "residuals"}
    assert figures({}) == {}
    assert figures({"rows": [{"id": "x", "params": "many"}], "diagnosis": None}) == {}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", [358, 760])
def test_drawings_follow_the_theme_and_the_width(tree: dict[str, Any], name: str, width: int) -> None:
    figure = figures(tree)[name]
    root = themed(draw(figure, width, figure.height_px(width)), name, figure.title, figure.desc, "wide")
    _, _, drawn_width, _ = (float(part) for part in root.get("viewBox", "").split())
    assert drawn_width == pytest.approx(width, abs=24)
    colours = {element.get(key) for element in root.iter() for key in ("fill", "stroke")}
    assert not {colour for colour in colours if colour and colour.startswith("#")}
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]


def test_a_picture_stands_alone(tree: dict[str, Any], tmp_path: Path) -> None:
    figure = figures(tree)["loss"]
    figure.save(tmp_path / "loss.svg")
    text = (tmp_path / "loss.svg").read_text(encoding="ascii")
    assert ET.fromstring(text).find(f"{SVG}rect") is not None
    assert "prefers-color-scheme:dark" in text
    assert "var(" not in text
    assert "<script" not in text


def test_pictures_of_one_notebook_share_no_id(tree: dict[str, Any]) -> None:
    once = figures(tree)["loss"]
    assert isinstance(once, FitLoss)
    other = dataclasses.replace(once, held=())
    ids = [set(re.findall(r' id="([^"]+)"', figure.svg(400))) for figure in (once, other)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_accuracy_rises_and_is_drawn() -> None:
    def accuracy(n: float, d: float) -> float:
        return 1 - 0.25 * truth(n, d) / 2

    found = figures(fitted(runs(accuracy, 0.001), "accuracy"))
    loss = found["loss"]
    assert isinstance(loss, FitLoss)
    assert loss.band[0].value < loss.band[-1].value < 1
    assert isinstance(found["map"], LossMap)
    values = [line.value for line in found["map"].lines]
    assert values == sorted(values)
    assert draw(loss, 400, 200).startswith("<svg")


def test_many_runs_are_thinned_in_the_drawing_and_kept_in_the_numbers() -> None:
    rows = [
        {"id": f"r{i}", "params": 1e6 * (1 + i), "tokens": 1e9, "flop": 6e15 * (1 + i), "value": 3.0, "fitted": 3.1,
         "held_out": i == 7}
        for i in range(3000)
    ]  # fmt: skip
    tree = {"rows": rows, "down_weighted": [{"id": "r11", "why": "far"}], "unit": "loss"}
    shown = thinned(runs_of(tree))
    assert len(shown) <= MOST_DRAWN + 2
    assert {"r7", "r11"} <= {run.run for run in shown}
    assert [run.flop for run in shown] == sorted(run.flop for run in shown)
    figure = Residuals.of(tree)
    assert figure is not None
    assert len(figure.table().rows) == 3000
    assert f"and {3000 - MOST_ROWS} more" in figure.numbers()
    assert f"{len(shown)} of 3000 runs are drawn" in figure._repr_html_()


def _poison(value: Any) -> Any:
    """Every text of a tree made hostile."""
    if isinstance(value, dict):
        return {key: _poison(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_poison(item) for item in value]
    return value + EVIL if isinstance(value, str) else value


def test_hostile_words_stay_words(tree: dict[str, Any]) -> None:
    bad = _poison(tree)
    page = document(bad, f"runs{EVIL}.csv")
    for text in (page, summary(bad), figures(bad)["correlations"]._repr_html_()):
        assert "<script" not in text
        assert "<img" not in text
        assert "&lt;script&gt;" in text or "alert" not in text


def test_the_page_answers_first_and_needs_nothing(tree: dict[str, Any]) -> None:
    page = document(tree, "runs.csv")
    found = tree["forecasts"][0]
    assert headline(tree).startswith(f"1B params on 20B tokens: {found['value']:.2f}")
    assert page.index("1B params on 20B tokens") < page.index("How we know") < page.index("The runs")
    assert page.count("<svg") == 2 * len(FIGURES)
    assert "40 % of the first forecast hangs on <code>4e+08x20</code> (it would move by +2.0&nbsp;% without it)" in page
    assert len(page) < 600_000
    assert not re.search(r"<script|<link|<img|url\((?!#)|@import", page)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_figures_are_frozen(tree: dict[str, Any]) -> None:
    for figure in figures(tree).values():
        assert isinstance(figure, Drawn)
        with pytest.raises(dataclasses.FrozenInstanceError):
            figure.level = 0.5  # type: ignore[attr-defined]


def test_a_study_s_report_shows_what_its_fit_keeps(tree: dict[str, Any], copy: Path) -> None:
    kept = json.loads((copy / "fit.json").read_text())
    write_json(copy / "fit.json", "keel.fit/1", kept | {"diagnosis": tree["diagnosis"]})
    assert report(copy).result["bytes"] < 1_000_000
    page = (copy / "report.html").read_text()
    for kind in (Residuals, LossMap, Backtest, Correlations):
        assert f"<h3>{kind.title}</h3>" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
