"""Fixtures of laws: ladders with a known truth, and the public runs where they are at hand."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ladders import Truth, chinchilla, ladder
from typer.testing import CliRunner

from keel import cli
from keel.laws import Row


@pytest.fixture
def rows() -> list[Row]:
    return ladder()


@pytest.fixture(scope="session")
def make_ladder() -> Callable[..., list[Row]]:
    return ladder


@pytest.fixture
def truth() -> Truth:
    return chinchilla


@pytest.fixture(scope="session")
def public_runs() -> Path:
    """The folder of published runs: KEEL_SCALING, or ../shared/scaling beside the repository."""
    named = os.environ.get("KEEL_SCALING")
    folder = Path(named) if named else Path(__file__).parents[1].parent / "shared" / "scaling"
    if not folder.is_dir():
        pytest.skip("published runs are not here: set KEEL_SCALING to their folder")
    return folder


@pytest.fixture(scope="session")
def keel_fit() -> Callable[..., tuple[int, dict[str, Any], str]]:
    """`keel fit`: exit code, the JSON object, and what a person reads (with `shown`, or where it ends badly)."""

    def call(path: Path, *flags: str, shown: bool = False) -> tuple[int, dict[str, Any], str]:
        done = CliRunner().invoke(cli.app, ["fit", str(path), *flags, "--json"])
        tree = json.loads(done.stdout)
        assert "Traceback" not in done.output
        if not (shown or done.exit_code):
            return done.exit_code, tree, ""
        said = CliRunner().invoke(cli.app, ["fit", str(path), *flags])
        assert said.exit_code == done.exit_code
        assert "Traceback" not in said.output
        if done.exit_code:
            assert said.stdout == ""
            assert all(p["what"] in said.stderr and p["why"] and p["fix"] for p in tree["problems"])
        return done.exit_code, tree, said.stdout

    return call


@pytest.fixture(scope="session")
def write_csv() -> Callable[..., Path]:
    """Rows with named cells as a CSV file."""

    def call(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return call
