"""Retrieved pictures, and accuracy or recall beside nats: what is read is held against its form, then shown."""

from __future__ import annotations

import json
from pathlib import Path

import images_fixture as made
import pytest
from test_report_page import EVIL, Page

from keel.errors import StudyError
from keel.files import read_json, write_json
from keel.report.artefacts import read
from keel.report.page import report
from keel.report.reached import Reached
from keel.report.results import runs
from keel.report.retrieved_page import retrieved
from keel.report.status import status
from keel.report.thumbnail import is_picture

RECALL = {"R@1": {"value": 0.75, "low": 0.7, "high": 0.8}, "R@10": {"value": 0.9, "low": 0.85, "high": 0.95}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sizes; the smallest does not find what the largest does."""
    (tmp_path / "study.toml").write_text(made.STUDY.format(field='text = "twin"', task="image-text-retrieval"))
    for name, params, rank, right in (("mid", 2e4, 2.0, 1), ("big", 9e4, 1.0, 0), ("tiny", 1e3, 31.5, -1)):
        recall = {"image_of_caption": RECALL, "caption_of_image": RECALL}
        run = made.run(tmp_path, name, "retrieval_nats", params, candidates=400, recall=recall, objective="clip")
        made.retrieved(run, rank, right)
    return tmp_path


def page_of(folder: Path) -> Page:
    return Page(retrieved(read(folder)))


def test_the_largest_run_is_shown_with_the_smallest_beside_it(folder: Path) -> None:
    page = page_of(folder)
    assert page.words.count("a small red circle on white") == 1, "one caption, two answers"
    assert page.words.index("big rank 1") < page.words.index("tiny rank 31.5: not among these")
    assert "mid" not in page.words
    assert "400 held out" in page.words
    shown = [attrs for tag, attrs in page.seen if tag == "img"]
    assert len(shown) == 10
    assert [attrs["alt"] for attrs in shown if "right" in str(attrs["alt"])] == ["image 0, the right one"]
    assert page.words.count("\u2713") == 1, "a mark, not a colour alone"


def test_runs_that_were_asked_other_captions_say_both(folder: Path) -> None:
    made.retrieved(folder / "runs/tiny", 3, 2, caption="another")
    words = page_of(folder).words
    assert words.index("a small red circle on white") < words.index("another")


def test_one_run_stands_alone_and_none_makes_no_section(folder: Path) -> None:
    for name in ("mid", "tiny"):
        (folder / f"runs/{name}/retrieved.json").unlink()
    assert "beside it" not in page_of(folder).words
    (folder / "runs/big/retrieved.json").unlink()
    assert retrieved(read(folder)) == ""


BAD = [
    "data:image/svg+xml;base64,PHN2Zz4=", "https://example.org/a.png", "data:image/png;base64,PHN2Zz4=",
    'data:image/png;base64,iVBORw0KGgo=" onerror="x', "data:image/jpeg;base64,iVBORw0KGgo=", "data:image/png;base64,",
    "data:image/png;base64,iVBORw0KGgo=\n", "data:image/png;base64,iVBORw0KGgo" + "A" * 70_001, "", None, 3,
]  # fmt: skip


@pytest.mark.parametrize("uri", BAD)
def test_another_address_than_a_small_picture_is_refused(folder: Path, uri: object) -> None:
    assert not is_picture(uri)
    path = folder / "runs/big/retrieved.json"
    tree = read_json(path, "keel.retrieved/1")
    tree["rows"][0]["found"][2]["png"] = uri
    path.write_text(json.dumps(tree))
    with pytest.raises(StudyError) as caught:
        report(folder)
    assert [problem.what for problem in caught.value.problems] == ["rows[0].found[2] cannot be read"]
    assert caught.value.problems[0].where.endswith("retrieved.json")


def test_all_that_is_wrong_is_named_at_once(folder: Path) -> None:
    write_json(folder / "runs/big/retrieved.json", "keel.retrieved/1", {
        "candidates": None, "rows": [{"caption": 3}, {"caption": "a", "rank": 1, "found": [{"image": 1, "right": 1}]}],
    })  # fmt: skip
    (folder / "runs/mid/retrieved.json").write_text('{"schema": "keel.retrieved/2"}')
    with pytest.raises(StudyError) as caught:
        read(folder)
    assert [problem.what for problem in caught.value.problems][:3] == [
        "candidates cannot be read", "rows[0] cannot be read", "rows[1].found[0] cannot be read",
    ]  # fmt: skip
    assert "mid" in caught.value.problems[3].where


def test_hostile_captions_stay_words_and_long_ones_are_cut_aloud(folder: Path) -> None:
    made.retrieved(folder / "runs/big", 1, 0, caption=EVIL)
    made.retrieved(folder / "runs/tiny", 1, 0, caption="x" * 1000)
    page = page_of(folder)
    assert EVIL in page.words
    assert "script" not in {tag for tag, _ in page.seen}
    assert "x ... (1,000 characters)" in page.words


def test_recall_stands_beside_nats_in_the_table_the_figure_and_the_status(folder: Path) -> None:
    found = read(folder)
    page = Page(runs(found))
    assert "R@1 of captionsR@1 of imagesforecast" in page.words
    assert page.words.count("0.7500.70\u20130.80") == 6, "three runs, both ways"
    figure = Reached.of(found)
    assert figure is not None
    assert [panel.name for panel in figure.panels] == ["R@1 of captions", "R@1 of images"]
    assert figure.panels[0].floor is not None
    assert figure.panels[0].floor.value == 1 / 400
    answer = status(folder)
    assert "0.750 (0.70-0.80)" in answer.text
    assert answer.result["runs"][0]["beside"]["R@1 of images"]["low"] == 0.7


def test_accuracy_is_held_against_its_forecast_and_the_largest_class(tmp_path: Path) -> None:
    folder = made.classes(tmp_path)
    reached = {"value": 0.9, "low": 0.86, "high": 0.93}
    run = made.run(folder, "big", "class_nats", 9e4, accuracy=reached)
    sealed = {"unit": "accuracy", "value": 0.7, "low": 0.6, "high": 0.8, "level": 0.9}
    forecast = {
        "run": "big",
        "unit": "class_nats",
        "value": 1.2,
        "low": 1.0,
        "high": 1.4,
        "level": 0.9,
        "flop": 4.86e13,
    }
    write_json(run / "forecast.json", "keel.forecast/1", forecast | {"beside": {"accuracy": sealed}})
    score = {"measured": 1.25, "hit": True, "beside": {"accuracy": {**sealed, "measured": 0.9, "hit": False}}}
    write_json(run / "score.json", "keel.score/1", score)
    found = read(folder)
    words = Page(runs(found)).words
    assert "1.20 (1.00\u20131.40)hit" in words
    assert "0.9000.86\u20130.93sealed 0.60\u20130.80miss" in words
    figure = Reached.of(found)
    assert figure is not None
    each = [row["heldout"] for row in found.images["classes"]["each"]] if found.images else []
    assert figure.panels[0].floor == (max(each) / sum(each), "the largest class alone")
    assert figure.panels[0].bars[0].hit is False


def test_text_studies_have_no_such_column(whole: Path) -> None:
    found = read(whole)
    assert found.beside == ()
    assert Reached.of(found) is None
    assert found.sheet is None
