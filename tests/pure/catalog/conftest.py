"""The shipped catalogue, and a folder whose catalog/ is laid over it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keel import cli
from keel.catalog.store import Catalogue


@pytest.fixture(scope="session")
def known() -> Catalogue:
    return Catalogue()


@pytest.fixture
def lay(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file of the study's folder catalog/; gives the study's folder."""

    def write(name: str, text: str) -> Path:
        (tmp_path / "catalog").mkdir(exist_ok=True)
        (tmp_path / "catalog" / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture(scope="session")
def keel_catalog() -> Callable[..., tuple[int, dict[str, Any], str]]:
    """`keel catalog ...`: exit code, the JSON object, and what a person reads."""

    def call(*arguments: str) -> tuple[int, dict[str, Any], str]:
        done = CliRunner().invoke(cli.app, ["catalog", *arguments, "--json"])
        said = CliRunner().invoke(cli.app, ["catalog", *arguments])
        assert said.exit_code == done.exit_code
        assert "Traceback" not in said.output
        return done.exit_code, json.loads(done.stdout), said.output

    return call
