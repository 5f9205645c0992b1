"""Ladders with a known truth, and the public runs where they are at hand."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from keel import cli
from keel.laws import Row

Truth = Callable[[float, float], float]


def chinchilla(params: float, tokens: float) -> float:
    """The additive law with the constants of Besiroglu et al. 2024."""
    return 1.8172 + 477.84 / params**0.3473 + 2143.86 / tokens**0.3672


def ladder(
    truth: Truth = chinchilla,
    sizes: Sequence[float] = (2e7, 5e7, 1e8, 2e8, 4e8),
    ratios: Sequence[float] = (10, 20, 40),
    noise: float = 0.001,
    seed: int = 0,
) -> list[Row]:
    """Runs of every size at every tokens-per-param ratio, with lognormal noise on the loss."""
    rng = np.random.default_rng(seed)
    return [
        Row(f"{n:.0e}x{r}", n, r * n, 6 * n * r * n, truth(n, r * n) * float(np.exp(noise * rng.standard_normal())))
        for n in sizes
        for r in ratios
    ]


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
    folder = Path(named) if named else Path(__file__).parents[3].parent / "shared" / "scaling"
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
