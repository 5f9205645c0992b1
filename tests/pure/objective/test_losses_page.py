"""docs/losses.md says what the code does: every loss, option, default and test by name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from losses_page import PAGE, given, served, table, uses

from keel.objective import OBJECTIVES

TESTS = Path(__file__).resolve().parents[2]
OPTION, DEFAULT, SOURCE = 1, 2, 4


def test_every_loss_is_described() -> None:
    assert [row[0] for row in table("What each does")] == list(OBJECTIVES)


@pytest.mark.parametrize(("heading", "rows"), [("What each needs", served), ("What each unlocks and precludes", uses)])
def test_tables_of_facts_are_those_of_the_code(heading: str, rows: object) -> None:
    """Where this fails, `python tests/pure/objective/losses_page.py` prints the rows."""
    assert callable(rows)
    assert ["| " + " | ".join(row) + " |" for row in table(heading)] == list(rows())


def test_every_option_stands_with_its_default_and_its_source() -> None:
    rows = table("Options")
    assert all(len(row) == SOURCE + 1 and all(row) for row in rows)
    found = [(loss, row[OPTION], row[DEFAULT]) for row in rows for loss in row[0].split(", ")]
    assert len(found) == len(set(found))
    assert set(found) == given()


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 40
    sources = {path.name: path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")}
    assert [pair for pair in named if f"def {pair[1]}(" not in sources.get(pair[0], "")] == []
    bugs = table("Known bugs that are avoided")
    assert {f"H{number}" for number in range(1, 9)} <= {row[0].split()[0] for row in bugs}
    assert all("::" in row[-1] for row in [*bugs, *table("Bad input")])


def test_the_loss_of_a_user_is_the_one_that_is_proven() -> None:
    """tests/tensor/prove/test_suite.py proves it, and counts its lines."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code
    assert len(code[1].splitlines()) <= 30
    shown = next(node for node in ast.parse(code[1]).body if isinstance(node, ast.ClassDef))
    users = ast.parse((TESTS / "tensor" / "prove" / "users.py").read_text(encoding="utf-8"))
    proven = next(node for node in users.body if isinstance(node, ast.ClassDef) and node.name == shown.name)
    assert ast.dump(shown) == ast.dump(proven)


def test_the_trainers_numbers_are_those_of_the_notebook() -> None:
    notebook = (PAGE.parent / "lab-notebook.md").read_text(encoding="utf-8")
    rows = [row for row in table("What the common trainer gets wrong") if "keel" not in row[0]]
    numbers = re.findall(r"\d*\.\d+|\de-\d", " ".join(cell for row in rows for cell in row[2:]))
    assert len(numbers) > 8
    assert [number for number in numbers if number not in notebook] == []
