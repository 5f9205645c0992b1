"""What a plan loads: heavy libraries stay on disk, so that the answer comes at once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "datasets", "tokenizers", "pandas", "scipy.optimize", "altair", "pyarrow")


def imported(arguments: list[str]) -> set[str]:
    """Every module that `keel` loads with these arguments, as -X importtime lists them."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "keel", *arguments], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return set(re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", done.stderr, re.MULTILINE))


def heavy(modules: set[str]) -> list[str]:
    return sorted(name for name in modules if name.startswith(tuple(f"{root}." for root in HEAVY)) or name in HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    modules = imported(arguments)
    assert "keel.cli" in modules
    assert heavy(modules) == []
    assert "numpy" not in modules


def test_a_real_plan_loads_nothing_heavy(looked: Path) -> None:
    modules = imported(["plan", "--study", str(looked)])
    assert (looked / "plan.json").exists()
    assert {"keel.plan.build", "keel.study"} <= modules
    assert heavy(modules) == []
