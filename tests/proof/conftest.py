"""One tiny study, planned once; every test works on a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import kill
import pytest


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny study that has been looked at and planned."""
    folder = tmp_path_factory.mktemp("planned") / "study"
    kill.make(folder)
    return folder


@pytest.fixture
def study(planned: Path, tmp_path: Path) -> Path:
    """A fresh copy of it."""
    return Path(shutil.copytree(planned, tmp_path / "study"))
