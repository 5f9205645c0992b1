"""The fixture study, built once: reports of it are made many times."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from report_fixture import build


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with everything done; not to be changed."""
    return build(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A study with everything done, to be changed."""
    return Path(shutil.copytree(whole, tmp_path / whole.name))
