"""Every loss and family split over two ranks; the hardest of them stand in test_sharded.py."""

from __future__ import annotations

import pytest
from sharded_ranks import Ranks, agree, work
from sharding import CASES, HARD

pytestmark = [pytest.mark.proof, pytest.mark.nightly]
OTHERS = [name for name in CASES if name not in HARD]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    return work(tmp_path_factory.mktemp("sharded"), OTHERS)


@pytest.mark.parametrize("name", OTHERS)
def test_the_gradient_is_that_of_one_process(name: str, ranks: Ranks) -> None:
    agree(name, ranks)
