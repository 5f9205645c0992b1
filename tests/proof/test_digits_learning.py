"""Handwritten digits are told apart on images that were never trained on; where the product is broken they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import digits
import numpy as np
import pytest
from torch import Tensor

from keel.corpus.images.store import Store
from keel.model.vision import VisionTrunk
from keel.run.finish import finish
from keel.run.pictures import Pictures
from keel.run.train import Place, train

pytestmark = pytest.mark.proof
RIGHT = 0.97
RUNS: dict[str, dict[str, Any]] = {
    "vit": {"steps": 240, "size": {"width": 64, "context": 4, "head_width": 16, "patch": 4}},
    "resnet-basic": {"steps": 90},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits.write(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return digits.stored(root)


def learnt(family: str, root: Path, store: Store, folder: Path) -> dict[str, Any]:
    """The result of a short run."""
    steps = RUNS[family]["steps"]
    spec = digits.spec_of(family, root, 64, **RUNS[family], warmup_steps=steps // 10, decay_start=steps // 2)
    place = folder / "runs" / family
    trained = train(spec, Place(folder=place, workers=1), store, spec.steps, set(), lambda _: None, lambda: False)
    return finish(spec, place, store, trained)


@pytest.mark.parametrize("family", RUNS)
def test_digits_are_told_apart(family: str, root: Path, store: Store, tmp_path: Path) -> None:
    result = learnt(family, root, store, tmp_path)
    assert result["ok"]
    assert result["accuracy"]["images"] >= 100
    assert result["accuracy"]["value"] > RIGHT
    assert result["class_nats"] < 0.25


def shuffled(patch: Callable[..., None]) -> None:
    """Labels of training go to other images; those of the judge are right."""
    made = Pictures._sample

    def other(self: Pictures, number: int, array: np.ndarray) -> Any:
        found = made(self, number, array)
        held = bool(self.store.heldout()[number])
        return found if held else found._replace(label=int(self.labels[(number * 7 + 3) % len(self.labels)]))

    patch(Pictures, "_sample", other)


def cut(patch: Callable[..., None]) -> None:
    """The head's gradient does not reach the body."""
    made = VisionTrunk.nll

    def nll(self: VisionTrunk, pooled: Tensor, labels: Tensor) -> Tensor:
        return made(self, pooled.detach(), labels)

    patch(VisionTrunk, "nll", nll)


@pytest.mark.parametrize("mutant", [shuffled, cut])
def test_a_broken_product_does_not_tell_them(
    mutant: Callable[..., None], root: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch.setattr)
    assert learnt("resnet-basic", root, store, tmp_path)["accuracy"]["value"] < RIGHT
