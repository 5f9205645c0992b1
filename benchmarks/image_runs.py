"""What benchmarks on real images share: a store of some of the images, the spec of a run, the run and its result."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import image_data
import numpy as np

from keel.corpus.images import store
from keel.corpus.images.items import open_images
from keel.corpus.images.look import measure_images
from keel.corpus.images.store import Store
from keel.model.shapes import Size
from keel.objective.cost import flop_per_token
from keel.plan.spec import Spec
from keel.run.finish import finish
from keel.run.train import Place, train
from keel.study import Study

BATCH, VALIDATION = 64, 1000
SCRATCH: Mapping[str, Any] = {"kind": "scratch"}


class Cut(Store):
    """Some images of a store, and which of them are held out; read by this process alone."""

    def __init__(self, whole: Store, train: np.ndarray, held: np.ndarray) -> None:
        super().__init__(whole.folder)
        table = np.array(whole.table[np.concatenate([train, held])])
        table[:, 3] = np.arange(len(table)) >= len(train)
        self.table = table


def stored(package: Path, folder: Path) -> Store:
    """The animals as a store, split as `keel look` splits them."""
    image_data.animals(package, folder / "animals")
    study = Study.model_validate({"data": {"train": "animals", "image": "file", "label": "folder"}})
    with contextlib.redirect_stderr(io.StringIO()):
        seen = measure_images(open_images(folder, study.data), study)
        return store.write(folder / "store", open_images(folder, study.data), seen)


def cut(whole: Store, count: int, *, validate: bool) -> Cut:
    """`count` training images, as many of each class, the first of one fixed order; held out: the store's own images,
    or (`validate`) training images that are among nobody's `count`."""
    order = np.random.default_rng(0).permutation(np.flatnonzero(~whole.heldout()))
    labels, classes = whole.labels()[order], len(whole.classes)
    by_class = [order[labels == each] for each in range(classes)]
    last = np.concatenate([each[-VALIDATION // classes :] for each in by_class])
    train = np.concatenate([each[: count // classes] for each in by_class])
    return Cut(whole, train, last if validate else np.flatnonzero(whole.heldout()))


def spec_of(
    loss: str, family: str, size: Size, flop: float, rate: float, tables: float, seed: int,
    options: Mapping[str, Any] | None = None, start: Mapping[str, Any] = SCRATCH,
) -> Spec:  # fmt: skip
    """As many steps as the FLOP buy; warm-up over a twentieth, decay over a fifth."""
    given = dict(options or {})
    steps = round(flop / (flop_per_token(loss, given, family, size) * size.context * BATCH))
    return Spec(
        objective=loss, options=given, family=family, size=size.json(), start=start, data={},
        batch_tokens=BATCH * size.context, steps=steps, warmup_steps=steps // 20, decay_start=steps - steps // 5,
        lr_hidden=rate, lr_embedding=tables, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1, clip_norm=1.0,
        seed=seed, precision={"body": "fp32", "head": "fp32"},
    )  # fmt: skip


def trained(spec: Spec, corpus: Store, folder: Path) -> dict[str, Any]:
    """The result of a run, whose model and last checkpoint stay in `folder`."""
    folder.mkdir(parents=True)
    with contextlib.redirect_stderr(io.StringIO()):
        made = train(spec, Place(folder=folder), corpus, spec.steps, {spec.steps}, lambda seen: None, lambda: False)
        return finish(spec, folder, corpus, made)


def right(result: Mapping[str, Any], name: str = "accuracy") -> str:
    """A share with its interval."""
    found = result.get(name)
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})" if found else "diverged"
