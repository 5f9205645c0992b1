"""One tiny study, planned once and carried out once; every test works on a copy."""

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


@pytest.fixture(scope="session")
def finished(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> kill.Finished:
    """The same study, carried out; not to be changed."""
    folder = Path(shutil.copytree(planned, tmp_path_factory.mktemp("finished") / "study"))
    return kill.Finished(folder, kill.finish(folder))


@pytest.fixture
def study(planned: Path, tmp_path: Path) -> Path:
    """A fresh copy of the planned study."""
    return Path(shutil.copytree(planned, tmp_path / "study"))


@pytest.fixture
def done(finished: kill.Finished, tmp_path: Path) -> Path:
    """A fresh copy of the finished study."""
    return Path(shutil.copytree(finished.folder, tmp_path / "study"))
