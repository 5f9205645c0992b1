"""order(seed, epoch) is a permutation and a pure function of its key."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from keel.corpus.order import order


@pytest.mark.parametrize("num_windows", [0, 1, 2, 1000])
@pytest.mark.parametrize("seed", [0, 7, 2**63])
def test_each_window_once(num_windows, seed):
    assert sorted(order(num_windows, seed, 3).tolist()) == list(range(num_windows))


def test_keys_give_other_orders():
    orders = {tuple(order(500, seed, epoch).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16
    first = np.array([order(500, seed, 0)[0] for seed in range(400)])
    assert abs(first.mean() - 250) < 30


def test_a_fresh_process_gives_the_same():
    code = "from keel.corpus.order import order; print(order(50, 3, 2).tolist())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(order(50, 3, 2).tolist())
