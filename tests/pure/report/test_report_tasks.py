"""The tasks on the page and in the status: made from scores by the same code that a run uses, and safe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_fixture import build
from test_report_page import EVIL, page_of

from keel.evaluate.choice import Judged, choose
from keel.evaluate.tasks.result import compared
from keel.evaluate.uses.case import Case
from keel.files import write_json
from keel.report import artefacts
from keel.report.status import status
from keel.report.task_figures import TaskScores
from keel.report.use_cases import said, tasks

CASE = Case("era", "text-classification", "probe", "era.jsonl", {}, "accuracy", {}, 0.05, "yours", 0.7)


def judged(run: str, params: int, share: float, tokens: int = 100) -> Judged:
    right, beside = ((np.arange(400) < round(part * 400)).astype(float) for part in (share, 0.55))
    made = compared("probe", {"accuracy": right}, {"accuracy": beside}, baseline="bag of words", train=1600)
    return Judged(run, params, tokens, "r", made.json())


def made(name: str = "era") -> dict[str, Any]:
    """One use case on four models, one of which could not serve, and one of few runs."""
    models = [judged("small", 14_000, 0.5), judged("short", 48_000, 0.6, 50), judged("middle", 48_000, 0.79),
              judged("large", 203_000, 0.8)]  # fmt: skip
    mute = Judged("mute", 20_000, 100, "r", None, "an encoder writes no answers")
    first = choose(CASE._replace(name=name), [*models, mute])
    second = choose(CASE._replace(name="gaps", accept=None), models[3:])
    return {"level": 0.95, "use_cases": [first, second]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planned study whose tasks were judged."""
    made_ = build(tmp_path_factory.mktemp("tasks"), runs=0)
    write_json(made_ / "use_cases.json", "keel.use_cases/1", made())
    return made_


def test_the_figure_holds_scores_baseline_bar_and_choice(folder: Path) -> None:
    figure = TaskScores.of(artefacts.read(folder).uses)
    assert figure is not None
    era, gaps = figure.panels
    assert [(at.run, at.stands, at.chosen) for at in era.scores] == [
        ("small", True, False), ("short", False, False), ("middle", True, True), ("large", True, False),
    ]  # fmt: skip
    assert (era.metric, era.baseline, era.beside, era.accept, gaps.accept) == (
        "accuracy",
        0.55,
        "bag of words",
        0.7,
        None,
    )
    assert all(at.low < at.value < at.high for at in era.scores)
    assert "era: accuracy of 4 models from 0.500 to 0.800, bag of words 0.550" in figure.desc
    assert len(figure.table().rows) == 5
    for width in (760, 358):
        drawn = figure.drawing(width, "t")
        for words in ("era", "gaps", "bag of words 0.550", "accept 0.7", "params"):
            assert words in drawn
    assert TaskScores.of(None) is None
    assert TaskScores.of({"use_cases": [choose(CASE, [])]}) is None


def test_the_page_says_who_will_do_and_shows_why(folder: Path) -> None:
    page = page_of(folder)
    assert "The tasks" in page.headings
    first = page.words.index("era: middle (48k params, 0.790) is at most 0.05 worse than large (203k params, 0.800)")
    assert first < page.words.index("The tasks"), "it belongs to the answer"
    for words in ("an encoder writes no answers", "not worse", "worse", "met", "missed", "1,600 to learn from",
                  "400 to be judged by", "2 comparisons, each at the one-sided level 0.975", "bag of words: 0.550",
                  "trained for less, which are not compared", "Not judged: an encoder writes no answers (mute)",
                  "one size was judged: large"):  # fmt: skip
        assert words in page.words, words
    assert sum(tag == "svg" for tag, _ in page.seen) == 2


def test_the_status_says_it_too(folder: Path) -> None:
    answer = status(folder)
    assert said(artefacts.read(folder).uses)[0] in answer.text
    assert answer.result["tasks"][0]["chosen"] == "middle"
    assert status(build(folder / "bare", runs=0)).result["tasks"] == []


def test_hostile_names_stay_words(tmp_path: Path) -> None:
    folder = build(tmp_path, runs=0)
    hostile = json.loads(json.dumps(made(EVIL)).replace("middle", json.dumps(f"m{EVIL}")[1:-1]))
    write_json(folder / "use_cases.json", "keel.use_cases/1", hostile)
    page = page_of(folder)
    assert {tag for tag, _ in page.seen}.isdisjoint({"script", "img"})
    assert EVIL in page.words


def test_no_task_is_no_section(tmp_path: Path) -> None:
    assert tasks(artefacts.read(build(tmp_path, runs=0))) == ""
