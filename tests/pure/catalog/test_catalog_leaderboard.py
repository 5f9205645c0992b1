"""Snapshots of leaderboards: ranks, stability over tasks and time, flags, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import study_error

from keel.catalog.board import leaderboard
from keel.catalog.leaderboard import drift, kendall, overall, ranks, standings
from keel.catalog.snapshots import Entry, Snapshot, read
from keel.catalog.store import Catalogue

HEAD = "model,date,licence,contaminated,mnli,fid\n"
FIRST = HEAD + "roberta-base,2025-01-01,mit,n,87,9\nopt-1.3b,2025-01-01,,,88,8\nbert-base-uncased,2025-01-01,,y,84,30\n"


@pytest.fixture
def write(tmp_path: Path):
    def file(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return file


def test_ranks_are_those_of_scipy_with_ties_shared() -> None:
    scores = [3.0, 1.0, 3.0, 2.0, 5.0, 5.0, 5.0]
    snapshot = Snapshot("s", "", ("acc",), tuple(Entry(str(i), {"acc": x}, "", None) for i, x in enumerate(scores)))
    found = ranks(snapshot, "acc")
    assert [found[str(i)] for i in range(7)] == [4.5, 7.0, 4.5, 6.0, 2.0, 2.0, 2.0]  # scipy.stats.rankdata of -scores


# Values of scipy.stats.kendalltau, its variant b.
@pytest.mark.parametrize(("x", "y", "tau"), [
    ([1, 2, 3, 4], [1, 3, 2, 4], 0.666666667), ([1, 2, 2, 4], [4, 3, 2, 1], -0.912870929),
    ([1, 1, 2, 3, 3], [2, 1, 1, 3, 2], 0.500000000),
])  # fmt: skip
def test_tau_is_that_of_scipy(x: list[float], y: list[float], tau: float) -> None:
    assert kendall(x, y) == pytest.approx(tau)


def test_less_is_better_where_the_task_is_a_distance(write) -> None:
    snapshot = read(write("a.csv", FIRST))[0]
    assert ranks(snapshot, "fid")["opt-1.3b"] == 1
    assert ranks(snapshot, "mnli")["bert-base-uncased"] == 3


def test_the_order_of_lines_and_columns_changes_nothing(write) -> None:
    lines = FIRST.splitlines()
    turned = "\n".join([lines[0], *reversed(lines[1:])])
    assert standings(read(write("a.csv", FIRST)), 1) == standings(read(write("b.csv", turned)), 1)


def test_a_long_table_is_the_same_as_a_wide_one(write) -> None:
    long = "model,task,score\nroberta-base,mnli,87\nroberta-base,fid,9\nopt-1.3b,mnli,88\nopt-1.3b,fid,8\n"
    wide = "model,mnli,fid\nroberta-base,87,9\nopt-1.3b,88,8\n"
    assert standings(read(write("a.csv", long))) == standings(read(write("b.csv", wide)))


def test_a_missing_score_is_no_place_in_the_top_and_no_place_at_all(write) -> None:
    found = {one.model: one for one in standings(read(write("a.csv", "model,a,b\nx,1,\ny,2,3\n")), 1)}
    assert (found["x"].places, found["x"].missing, found["x"].top_share) == (1, 1, 0.0)
    assert overall(read(write("a.csv", "model,a,b\nx,1,\ny,2,3\n"))[0]).keys() == {"y"}


def test_dates_in_one_file_are_snapshots_and_their_orders_are_compared(write) -> None:
    text = "model,date,a\nx,2026-01-01,1\ny,2026-01-01,2\nx,2025-01-01,2\ny,2025-01-01,1\n"
    found = drift(read(write("a.csv", text)))
    assert [(one.tau, one.models) for one in found] == [(-1.0, 2)]


def test_licences_and_contamination_are_flagged_from_the_base_and_the_snapshot(known: Catalogue, write) -> None:
    answer = leaderboard(known, [write("a.csv", FIRST)], "permissive", 2)
    rows = {row["model"]: row for row in answer.result["standings"]}
    assert "non-commercial" in rows["opt-1.3b"]["flags"][0]
    assert rows["opt-1.3b"]["unknown"] == ["contamination unknown"]
    assert rows["bert-base-uncased"]["flags"] == ["contaminated, says the snapshot"]
    assert answer.result["consistent"] == ["roberta-base"]
    assert "not your data" in answer.text
    assert "nothing can be said about stability over time" in answer.text


def test_an_order_that_does_not_last_is_told(known: Catalogue, write) -> None:
    turned = (
        HEAD + "roberta-base,2026-01-01,,,80,30\nopt-1.3b,2026-01-01,,,81,20\nbert-base-uncased,2026-01-01,,,90,1\n"
    )
    answer = leaderboard(known, [write("a.csv", FIRST), write("b.csv", turned)], "", 2)
    assert "the order changed much" in answer.problems[0].what


@pytest.mark.parametrize(("text", "words"), [
    ("name_of_it,a\nx,1\n", ["no column 'model'"]), ("model,date\nx,2025\n", ["no task is scored"]),
    ("model,a\n", ["holds no models"]), ("model,a\nx,1\nx,2\n", ["is there twice"]),
    ("model,a\n,1\n", ["names no model"]),
    ("model,a\nx,good\ny,inf\n", ["'good' is no score", "'inf' is no score"]),
    ("model,contaminated,a\nx,maybe,1\n", ["contaminated is 'maybe'"]),
])  # fmt: skip
def test_a_file_that_is_no_snapshot_is_told(write, text: str, words: list[str]) -> None:
    with study_error(*words):
        read(write("a.csv", text))


def test_all_files_are_read_before_any_is_refused(known: Catalogue, write, tmp_path: Path) -> None:
    with study_error("--top is 0", "gone.csv is not there", "no column 'model'"):
        leaderboard(known, [tmp_path / "gone.csv", write("a.csv", "x,y\n1,2\n")], "", 0)
