"""Losses on views of images on two ranks: the weights of one process, and of DINO one centre."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import view_cases

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Mapping[str, Any]]:
    """What each of two ranks found."""
    folder = tmp_path_factory.mktemp("ranks")
    root = Path(view_cases.__file__).parents[3]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root / "tests")])}
    program = [sys.executable, view_cases.__file__]
    started = [subprocess.Popen([*program, str(rank), str(folder)], env=paths) for rank in range(2)]
    try:
        assert [each.wait(timeout=240) for each in started] == [0, 0]
    finally:
        for each in started:
            each.kill()
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(2)]


@pytest.mark.parametrize("name", view_cases.OPTIONS)
def test_ranks_change_no_weight(name: str, ranks: list[Mapping[str, Any]]) -> None:
    made, _, step = view_cases.stepped(name, [8])
    for found in ranks:
        assert float(np.abs(found[f"{name} weights"] - view_cases.flat(made).numpy()).max()) < 1e-10
        assert float(found[f"{name} mean"]) == pytest.approx(step.terms[name], rel=1e-10)


def test_two_ranks_have_one_centre(ranks: list[Mapping[str, Any]]) -> None:
    """That of all images of the step, not of each rank's own."""
    centre = view_cases.stepped("dino", [8])[1]["centre"].numpy()
    half = view_cases.stepped("dino", [4])[1]["centre"].numpy()
    assert all(float(np.abs(found["dino centre"] - centre).max()) < 1e-12 for found in ranks)
    assert float(np.abs(half - centre).max()) > 1e-3
