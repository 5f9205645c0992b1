"""Two and four ranks have the gradient of one process; pulling only one's own features has another, as measured."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pair_cases
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.tensor
Array = NDArray[Any]
# open_clip 3.3.0's default loss under the library's own averaging over ranks: norm and cosine against one process.
MEASURED = {2: (0.60, 0.956), 4: (0.44, 0.806)}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[int, int], Mapping[str, Array]]:
    """What every rank found, by how many there were and which it was."""
    folder = tmp_path_factory.mktemp("ranks")
    root = Path(pair_cases.__file__).parents[3]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root / "tests")])}
    program = [sys.executable, pair_cases.__file__]
    started = [subprocess.Popen([*program, str(rank), str(folder)], env=paths) for rank in range(4)]
    try:
        assert [each.wait(timeout=240) for each in started] == [0] * 4
    finally:
        for each in started:
            each.kill()
    return {
        (world, rank): dict(np.load(folder / f"{world}-{rank}.npz")) for world in (2, 4) for rank in range(world)
    }  # fmt: skip


def whole(name: str, twins: bool = False) -> tuple[Array, float]:
    """The gradient and mean of the whole step in one process."""
    found, mean = pair_cases.gradient(pair_cases.loss(name), [16], twins=twins)
    return found.numpy(), mean


@pytest.mark.parametrize("twins", [False, True])
@pytest.mark.parametrize("name", pair_cases.LOSSES)
def test_ranks_and_micro_batches_do_not_change_the_gradient(
    name: str, twins: bool, ranks: Mapping[tuple[int, int], Mapping[str, Array]]
) -> None:
    """2 ranks x 2 x 4 and 4 ranks x 1 x 4 pairs, against 1 x 16: twins are found on other ranks too."""
    expected, mean = whole(name, twins)
    for of, found in ranks.items():
        assert float(np.abs(found[f"{name} {twins}"] - expected).max()) <= 1e-6 * float(np.abs(expected).max()), of
        assert float(found[f"{name} {twins} mean"]) == pytest.approx(mean, rel=1e-9)


def against(found: Array, expected: Array) -> tuple[float, float]:
    """Ratio of norms, and cosine."""
    norm, size = float(np.linalg.norm(found)), float(np.linalg.norm(expected))
    return norm / size, float(found @ expected) / norm / size


def expected_of(world: int, share: float) -> tuple[float, float]:
    """Where the towers have 1 / W of their gradient and the temperature, a share of the norm, has all of it."""
    norm = math.sqrt((1 - share**2) / world**2 + share**2)
    return norm, ((1 - share**2) / world + share**2) / norm


@pytest.mark.parametrize("world", [2, 4])
def test_ones_own_features_alone_are_caught(
    world: int, ranks: Mapping[tuple[int, int], Mapping[str, Array]]
) -> None:  # fmt: skip
    expected, mean = whole("clip")
    scale = len(expected) - 1  # the last number of all
    share = abs(float(expected[scale])) / float(np.linalg.norm(expected))
    found = ranks[world, 0]
    # The loss shows nothing of it: it is that of the whole step.
    assert float(found["meaned False mean"]) == pytest.approx(mean, rel=1e-9)
    assert against(found["meaned False"], expected) == pytest.approx(expected_of(world, share), rel=1e-6)
    assert against(found["meaned False"], expected)[0] < 0.65
    assert against(found["own rows False"], expected)[1] < 0.9


def test_what_was_measured_of_the_common_trainer_is_that_mistake() -> None:
    """One share of the temperature explains both numbers at both counts of ranks."""
    share = math.sqrt((MEASURED[2][0] ** 2 - 1 / 4) / (1 - 1 / 4))
    assert expected_of(2, share) == pytest.approx(MEASURED[2], abs=0.005)
    assert expected_of(4, share) == pytest.approx(MEASURED[4], abs=0.01)
