"""A sound loss passes; one that is broken fails the check that is for it, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import users
from helpers import study_error

from keel.prove import world
from keel.prove.checks import CHECKS
from keel.prove.checks import suite as begun
from keel.prove.result import Result
from keel.prove.suite import Suite

pytestmark = pytest.mark.tensor
BROKEN = {
    "Misnamed": "contract", "Raises": "contract", "Mean": "sums", "AllPositions": "counts", "DividesByNothing": "empty",
    "AnyGenerator": "randomness", "Dropout": "randomness", "AnyToken": "statistics", "TwiceBack": "gradient",
    "Detached": "gradient", "OnPadding": "padding", "BatchStatistics": "invariance", "StateOfItsOwn": "resume",
}  # fmt: skip


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    with begun() as made:
        yield made


def proved(suite: Suite, name: str) -> dict[str, Result]:
    return {result.name: result for result in suite.prove(name)}


def failed(results: dict[str, Result]) -> dict[str, str]:
    return {name: result.why for name, result in results.items() if result.ok is False}


def test_a_users_loss_is_thirty_lines_at_most() -> None:
    source = Path(users.__file__).read_text()
    node = next(one for one in ast.parse(source).body if isinstance(one, ast.ClassDef) and one.name == "Suffix")
    assert node.end_lineno is not None
    assert node.end_lineno - node.lineno + 1 <= 30


@pytest.mark.parametrize("name", ["users:Suffix", "users:NotOnPadding"])
def test_a_sound_loss_of_a_user_is_proven(suite: Suite, name: str) -> None:
    results = proved(suite, name)
    assert list(results) == list(CHECKS)
    assert not failed(results)
    assert results["invariance"].ok is True
    assert results["padding"].ok is (True if name.endswith("Padding") else None)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_loss_fails_the_check_that_is_for_it(suite: Suite, name: str) -> None:
    results = proved(suite, f"users:{name}")
    assert list(failed(results)) == [BROKEN[name]]
    assert results[BROKEN[name]].why
    resting = [check for check, before in CHECKS.items() if BROKEN[name] in before]
    assert all(results[check].ok is None for check in resting)


def test_what_went_wrong_is_said_in_numbers(suite: Suite) -> None:
    mean = proved(suite, "users:Mean")["sums"]
    assert mean.measured == pytest.approx(1.0, abs=1e-6)
    assert "by 1, not by 2" in mean.why
    counts = proved(suite, "users:AllPositions")["counts"]
    assert "'suffix' counts 512 targets, and its sums hold" in counts.why
    raised = proved(suite, "users:Raises")["contract"]
    assert raised.why.startswith("raised KeyError: 'nothing' at users.py:")
    assert "separator" in proved(suite, "users:AnyToken")["statistics"].why


def test_an_engine_that_forgets_ranks_is_caught_on_ranks_alone(suite: Suite) -> None:
    grid = proved(suite, "rankless:Rankless")["invariance"]
    assert grid.ok is False
    cells = dict(part.rsplit(" ", 1) for part in grid.why.split("cells ")[1].split(", "))
    assert all(float(gap) > 0.5 if "ranks" in cell else float(gap) < 1e-9 for cell, gap in cells.items())


@pytest.mark.parametrize(
    ("name", "word"), [("Dies", "rank 1 ended with code 9"), ("RaisesApart", "rank 1 raised ValueError: only here")]
)
def test_a_rank_that_fails_is_told_and_the_next_loss_has_ranks_again(suite: Suite, name: str, word: str) -> None:
    grid = proved(suite, f"dies:{name}")["invariance"]
    assert grid.ok is False
    assert word in grid.why
    assert not failed(proved(suite, "users:Suffix"))


def test_the_tiny_text_has_windows_of_unlike_counts(suite: Suite) -> None:
    why = proved(suite, "mlm")["invariance"].why
    counts = why.split("mlm ")[1].split(";")[0].split("+")
    assert len(set(counts)) > 1


def test_what_is_no_loss_is_refused(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halfway.py").write_text("import users\nraise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, words in {
        "halfway:Loss": ("no licence", "RuntimeError"), "users:np": ("no loss",), "users:Nothing": ("no attribute",),
        "nowhere:Loss": ("nowhere",), "clmm": ("clm",),
    }.items():  # fmt: skip
        with study_error(*words, where=False):
            list(suite.prove(name))
    with study_error("no option 'rat'", where=False):
        list(suite.prove("mlm", {"rat": 0.3}))


def test_options_reach_the_loss(suite: Suite) -> None:
    results = {result.name: result for result in suite.prove("mlm", {"rate": 0.4})}
    assert not failed(results)
    assert "asked for 0.4" in results["statistics"].why


def test_quarters_hold_whole_groups() -> None:
    assert [world.quarter(group) for group in (1, 2, 3, 4, 5)] == [4, 4, 6, 4, 5]
