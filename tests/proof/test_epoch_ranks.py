"""Two ranks begin their epochs alike: what each read of half the images, put together, is the same on both."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import digits
import numpy as np
import pytest
import reordering

from keel.files import write_json
from keel.plan.spec import SCHEMA

pytestmark = pytest.mark.proof


def test_all_ranks_end_with_the_same_bits(tmp_path: Path) -> None:
    """Of a loss that chooses what it sees, and of one that clusters."""
    root = digits.write(tmp_path, 60)
    store, spec = digits.stored(root), reordering.spec_of(root)
    clustered = replace(spec, objective="deepercluster", options={"clusters": 8, "every": 1})
    expected = {"plain": {"sizes", "scale"}, "clustered": {"labels", "kept", "largest"}}
    for name, each in zip(expected, (spec, clustered), strict=True):
        write_json(tmp_path / f"spec-{name}.json", SCHEMA, each.json())
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    program = [sys.executable, reordering.__file__]
    started = [subprocess.Popen([*program, str(rank), str(tmp_path), str(store.folder)], env=env) for rank in range(2)]
    try:
        assert [each.wait(timeout=120) for each in started] == [0, 0]
    finally:
        for each in started:
            each.kill()
    for name, keys in expected.items():
        first, second = (dict(np.load(tmp_path / f"{name}-{rank}.npz")) for rank in range(2))
        assert first.keys() == second.keys() == keys | {"losses", "order"}
        assert all(np.array_equal(value, second[key]) for key, value in first.items())
        assert np.isfinite(first["losses"]).all()
