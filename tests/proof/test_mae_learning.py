"""Hidden pixels of digits that were never trained on are told from what is seen; where the product is broken, not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import digits
import pytest
from torch import Tensor

from keel.corpus.images.store import Store
from keel.evaluate import hidden_pixels
from keel.model.shapes import SHAPES, Size
from keel.model.vision import States, VisionTrunk
from keel.objective.base import Batch
from keel.objective.mae import MAE
from keel.run import heldout
from keel.run.pictures import want_of
from keel.run.train import Place, train

pytestmark = pytest.mark.proof
STEPS = 240
SIZE = {"width": 32, "layers": 2, "head_width": 8, "classes": 0}
# A share of what one value for all pixels leaves; the mean digit, place by place, leaves .87 and more.
TOLD = 0.84


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits.write(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return digits.stored(root)


def left(root: Path, store: Store, folder: Path, mutant: Callable[[pytest.MonkeyPatch], None] | None = None) -> float:
    """What a short run leaves of the error, under the judge of an unbroken product."""
    spec = digits.spec_of(
        "vit", root, 64, objective="mae", options=digits.PLAIN, size=SIZE, steps=STEPS, warmup_steps=STEPS // 10,
        decay_start=STEPS // 2,
    )  # fmt: skip
    place = Place(folder=folder / "runs" / "mae")
    with pytest.MonkeyPatch.context() as patch:
        if mutant is not None:
            mutant(patch)
        trained = train(spec, place, store, STEPS, set(), lambda _: None, lambda: False)
    want = want_of(SHAPES["vit"].shape(Size(**spec.size)), 0)
    found = hidden_pixels.judge(trained.parts, trained.objective, heldout.samples_of(trained.objective, store, want))
    return found.value / found.bar


def test_hidden_pixels_are_told(root: Path, store: Store, tmp_path: Path) -> None:
    assert left(root, store, tmp_path) < TOLD


def shuffled(patch: pytest.MonkeyPatch) -> None:
    """What is to be told is another image's."""
    made = MAE.targets

    def other(self: MAE, batch: Batch) -> Tensor:
        return made(self, batch).roll(1, 0)

    patch.setattr(MAE, "targets", other)


def blind(patch: pytest.MonkeyPatch) -> None:
    """The decoder is shown nothing."""
    made = VisionTrunk._some

    def some(self: VisionTrunk, pixel_values: Tensor, seen: Tensor) -> States:
        found = made(self, pixel_values, seen)
        return States(found.patches * 0, found.pooled * 0)

    patch.setattr(VisionTrunk, "_some", some)


@pytest.mark.parametrize("mutant", [shuffled, blind])
def test_a_broken_product_does_not_tell_them(
    mutant: Callable[[pytest.MonkeyPatch], None], root: Path, store: Store, tmp_path: Path
) -> None:
    assert left(root, store, tmp_path, mutant) > TOLD
