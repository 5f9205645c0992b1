"""Two ranks at work on what one process does as well, and how their gradients are compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import sharding

from keel.prove import world
from keel.prove.cells import gap

BOUND = 1e-6


class Ranks(NamedTuple):
    """Where two ranks worked, and what the first and the second of them told."""

    folder: Path
    told: tuple[dict[str, Any], dict[str, Any]]


def work(folder: Path, cases: Sequence[str]) -> Ranks:
    """Both ranks' work, beside what one process makes of the same; that is there before they start."""
    world.make(folder / "world")
    for reads in ("images", "image-text"):
        world.corpus_of(reads, folder / "world")  # written once, by one process
    for name, case in sharding.RUNS.items():
        sharding.go(case, folder, f"{name}-one", sharding.MIDDLE, sharded=False)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    env = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*torchrun, sharding.__file__, str(folder), *cases], env=env, capture_output=True, text=True, timeout=200
    )
    for error in folder.glob("*.error"):
        pytest.fail(error.read_text())
    assert (folder / "1.json").exists(), done.stderr[-3000:]
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1))
    return Ranks(folder, (first, second))


def read(path: Path) -> dict[str, np.ndarray]:
    """Saved arrays by name."""
    with np.load(path) as saved:
        return {name: saved[name] for name in saved.files}


def flat(grads: dict[str, np.ndarray]) -> np.ndarray:
    """All gradients in one vector, by name."""
    return np.concatenate([grads[name].ravel() for name in sorted(grads)])


def agree(name: str, ranks: Ranks) -> None:
    """The case's gradient, and what is told of it, is that of one process."""
    bench = sharding.bench_of(sharding.CASES[name], ranks.folder)
    alone = sharding.gradient(bench, ranks.folder / "one" / f"{name}.npz", sharded=False)
    one, two = (read(ranks.folder / where / f"{name}.npz") for where in ("one", "sharded"))
    assert one.keys() == two.keys()
    assert gap(flat(one), flat(two)) < BOUND
    for told in ranks.told:
        assert told["gradients"][name]["terms"] == pytest.approx(alone.terms, rel=1e-9)
        assert told["gradients"][name]["norms"] == dict.fromkeys(alone.terms)  # not measured, and said
