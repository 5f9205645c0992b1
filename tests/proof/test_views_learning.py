"""Digits are told apart by states that never saw a label; where the product is broken they are not, or all are one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import digits
import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from keel.corpus.images.store import Store
from keel.evaluate import probed
from keel.model.projector import Projector
from keel.model.shapes import VISION, Size
from keel.objective.base import Sample
from keel.objective.dino import DINO
from keel.run import heldout
from keel.run.pictures import want_of
from keel.run.train import Place, train

pytestmark = [pytest.mark.proof, pytest.mark.nightly]
SIZE = {"width": 32, "layers": 1, "context": 16, "head_width": 8, "patch": 2, "classes": 0}
# A digit turned round or without colour is another one, or the same.
PLAIN = {"flip": False, "jitter": 0.4, "hue": 0.0, "grey": 0.0}
RUNS: dict[str, dict[str, Any]] = {
    "simclr": {"steps": 300, "rate": 3e-3, "options": {**PLAIN, "least_area": 0.35, "blur": 0.0, "out": 32}},
    "dino": {"steps": 300, "rate": 3e-3, "options": {
        **PLAIN, "least_area": 0.5, "blur": [0.0] * 3, "solarise": [0.0] * 3, "local_views": 0, "prototypes": 256,
        "out": 64, "momentum": 0.98}},
}  # fmt: skip
SEVERAL = 2.0  # standard errors over images


class Learnt(NamedTuple):
    """Nats of a label by a probe of fresh weights less those by the model's (n,), and what was last logged."""

    less: NDArray[np.float64]
    told: Mapping[str, float]

    @property
    def gained(self) -> float:
        """In standard errors over held-out images."""
        error = float(self.less.std(ddof=1)) / math.sqrt(len(self.less))
        return float(self.less.mean()) / error if error else 0.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits.write(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return digits.stored(root)


def learnt(name: str, root: Path, store: Store, folder: Path, until: int | None = None) -> Learnt:
    """A short run, or its first steps, and the product's own probe."""
    run = RUNS[name]
    steps, rate = run["steps"], run["rate"]
    spec = digits.spec_of(
        "vit", root, 64, objective=name, options=run["options"], size=SIZE, steps=steps, warmup_steps=20,
        decay_start=17 * steps // 20, lr_hidden=rate, lr_embedding=rate,
    )  # fmt: skip
    until = steps if until is None else until
    made = train(spec, Place(folder=folder, workers=1), store, until, set(), lambda _: None, lambda: False)
    want = want_of(VISION["vit"].shape(Size(**spec.size)), spec.seed)
    learn = list(heldout.labelled_of(made.objective, store, want, 1500))
    asked = list(heldout.samples_of(made.objective, store, want))
    nats = [own_state(trunk, learn, asked) for trunk in (probed.fresh(made.parts["model"]), made.parts["model"])]
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return Learnt(nats[0] - nats[1], last["told"])


def own_state(trunk: Any, learn: list[Sample], asked: list[Sample]) -> NDArray[np.float64]:
    """Nats of a probe on the state that the loss shapes.

    The judge sees the mean of the patches' too, by which digits of 8 x 8 pixels are told before anything is learned.
    """
    train, test = (probed.states(trunk, samples) for samples in (learn, asked))
    d = SIZE["width"]
    return probed.probe(train._replace(rows=train.rows[:, :d]), test._replace(rows=test.rows[:, :d]), 10).nats


def test_simclr_tells_digits_apart(root: Path, store: Store, tmp_path: Path) -> None:
    found = learnt("simclr", root, store, tmp_path)
    assert found.gained > SEVERAL
    assert found.told["spread"] > 0.5


def blind(patch: Callable[..., None]) -> None:
    """The loss's gradient does not reach the model."""
    made = Projector.forward

    def forward(self: Projector, states: Tensor) -> Tensor:
        return made(self, states.detach())

    patch(Projector, "forward", forward)


@pytest.mark.parametrize("name", RUNS)
def test_a_model_that_its_loss_does_not_reach_does_not(
    name: str, root: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind(monkeypatch.setattr)
    assert learnt(name, root, store, tmp_path, until=40).gained < SEVERAL


def informed(told: Mapping[str, float]) -> float:
    """Nats that the teacher's scores say of an image."""
    return told["teacher_mean_entropy"] - told["teacher_entropy"]


def test_dino_tells_digits_apart_and_does_not_collapse(root: Path, store: Store, tmp_path: Path) -> None:
    found = learnt("dino", root, store, tmp_path)
    assert found.gained > SEVERAL
    assert informed(found.told) > 0.5
    assert found.told["spread"] > 0.3
    assert 0.5 < found.told["teacher_entropy"] < 0.9 * math.log(256)


def not_centred(patch: Callable[..., None]) -> None:
    made = DINO.after_step

    def after_step(self: DINO, *given: Any) -> Any:
        return {name: value * 0 for name, value in made(self, *given).items()}

    patch(DINO, "after_step", after_step)


def not_sharpened(patch: Callable[..., None]) -> None:
    patch(DINO, "_warmth", lambda self, step: 1.5 * self.options["temperature"])


@pytest.mark.parametrize("mutant", [not_centred, not_sharpened])
def test_dino_without_either_half_collapses(
    mutant: Callable[..., None], root: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To one prototype, or to none. Its states may still be better than fresh ones: the log tells it, no probe."""
    mutant(monkeypatch.setattr)
    found = learnt("dino", root, store, tmp_path, until=120)
    assert informed(found.told) < 0.05
    assert found.told["spread"] < 0.05
