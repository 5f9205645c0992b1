"""States of digits that nobody labelled tell them by few labels, as fresh ones do not; broken clusters teach nothing.

All labels would hide it: a linear layer on pixels tells these digits, and so it does on a fresh model's states.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import digits
import numpy as np
import pytest

from keel.corpus.images.store import Store
from keel.evaluate import probed
from keel.model.shapes import SHAPES, Size
from keel.objective import clusters
from keel.run import heldout
from keel.run.pictures import want_of
from keel.run.train import Place, train

pytestmark = [pytest.mark.proof, pytest.mark.nightly]
STEPS, LABELS = 120, 60
SIZE = {"width": 64, "context": 4, "head_width": 16, "patch": 4, "classes": 0}
OPTIONS = {"crop": "random", "least_area": 0.6, "flip": False, "clusters": 24}
# Standard errors of the mean by which a held-out digit costs less than on fresh weights.
SURE = 3.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits.write(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return digits.stored(root)


def sureness(root: Path, store: Store, folder: Path) -> float:
    """Standard errors by which the states that a short run gives are better than fresh ones."""
    spec = digits.spec_of(
        "vit", root, 64, objective="deepcluster", options=OPTIONS, size=SIZE, steps=STEPS, warmup_steps=STEPS // 10,
        decay_start=STEPS // 2,
    )  # fmt: skip
    trained = train(spec, Place(folder=folder), store, STEPS, set(), lambda _: None, lambda: False)
    want = want_of(SHAPES["vit"].shape(Size(**spec.size)), 0)
    few = heldout.labelled_of(trained.objective, store, want, LABELS)
    held = heldout.samples_of(trained.objective, store, want)
    found = probed.judge(trained.parts["model"], few, held, len(store.classes))
    gain = found.random.nats - found.told_by.nats
    return float(gain.mean() / (gain.std(ddof=1) / math.sqrt(len(gain))))


def test_few_labels_tell_digits_on_clustered_states(root: Path, store: Store, tmp_path: Path) -> None:
    found = sureness(root, store, tmp_path)
    assert found > SURE


def shuffled(patch: Callable[..., None]) -> None:
    """Clusters of other images."""
    made = clusters.grouped

    def other(points: Any, supers: int, subs: int, iterations: int, rng: np.random.Generator) -> Any:
        return rng.permutation(made(points, supers, subs, iterations, rng))

    patch(clusters, "grouped", other)


def renamed(patch: Callable[..., None]) -> None:
    """Clusters are named anew each time, and the head goes on."""
    patch(clusters, "matched", lambda old, new, supers, subs: new)


@pytest.mark.parametrize("mutant", [shuffled, renamed])
def test_broken_clusters_teach_nothing(
    mutant: Callable[..., None], root: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch.setattr)
    found = sureness(root, store, tmp_path)
    assert found < SURE
