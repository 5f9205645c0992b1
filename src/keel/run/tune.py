"""Fine-tuning on the user's labels: the whole model and a linear head, by the engine and optimiser of every run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from keel.corpus.order import order
from keel.errors import Problem, StudyError
from keel.evaluate.intervals import LEVEL
from keel.evaluate.modes import evaluating
from keel.evaluate.tasks.classes import Labels, classified
from keel.evaluate.tasks.files import PIXELS, raw_pixels
from keel.evaluate.tasks.labelled import Classifier, Images, Labelled, Side, Texts, held, samples
from keel.evaluate.tasks.result import Result
from keel.evaluate.tasks.seen import Seen
from keel.evaluate.tasks.subject import Subject
from keel.evaluate.uses.rows import Row, Split, check_classes, split
from keel.objective.base import Sample
from keel.plan.spec import Spec
from keel.run import engine, optimiser

RATES = (3e-5, 3e-4, 3e-3)
WARM_UP = 0.1


class Tuning(NamedTuple):
    """How a model is tuned. The rate is that of `rates` which does best on a fifth of the training rows, held back.

    Reference of the recipe (3 epochs, 16 rows, warm-up and linear decay): Devlin et al. 2019, arXiv:1810.04805,
    appendix A.3. Its rates, 2e-5 to 5e-5, are for 110M parameters; small models want more.
    """

    rates: tuple[float, ...] = RATES
    epochs: int = 3
    batch: int = 16
    seed: int = 0


def fine_tune(subject: Subject, rows: Split, tuning: Tuning | None = None, level: float = LEVEL) -> Result:
    """Whole model and head on the training rows -> accuracy and macro-F1 on the test rows; dropout is off.

    The model's own weights are put back. The interval is over test rows, for one seed.

    Raises:
        StudyError: fewer than two labels, labels that only test rows have, a tuning that cannot be, or no rate at which
            the loss stays finite.
    """
    labels, notes = _labelled(Texts(subject), rows, tuning or Tuning())
    return classified("fine-tune", rows, labels, level=level, notes=notes)


def image_fine_tune(seen: Seen, rows: Split, tuning: Tuning | None = None, level: float = LEVEL) -> Result:
    """As `fine_tune`, of the image tower: what end-to-end training gives over frozen states (`image_probe`).

    A row's `text` is the path of its image, seen as it is judged: neither cropped nor flipped. Beside it, the linear
    classifier on 8 x 8 means of the pixels.

    Raises:
        StudyError: as `fine_tune`; or images that cannot be decoded.
    """
    labels, notes = _labelled(Images(seen), rows, tuning or Tuning())
    return classified(
        "image-fine-tune", rows, labels, level=level, notes=notes, words=raw_pixels(rows), baseline=PIXELS
    )


def _labelled(side: Side, rows: Split, at: Tuning) -> tuple[Labels, list[str]]:
    """A label for each test row, and what should be known of how it was learnt."""
    _check(at)
    labels, whole = check_classes(rows), held(side.body)
    moved = {weight: weight.requires_grad for weight in side.body.parameters()}
    inputs = [side.inputs([row.text for row in each]) for each in rows]
    try:
        side.body.requires_grad_(True)
        with evaluating([side.body]):
            tried = {rate: _validated(side, rows.train, labels, at, rate, whole) for rate in at.rates}
            rate = max(tried, key=lambda rate: tried[rate])
            logs = _tuned(side, rows.train, inputs[1], labels, at, rate, whole)
    finally:
        side.body.load_state_dict(whole)
        for weight, flag in moved.items():
            weight.requires_grad_(flag)
            weight.grad = None
    if not np.isfinite(logs).all():
        raise StudyError("fine-tuning diverged", why=f"the loss is not finite at rates {', '.join(map(str, at.rates))}",
                         fix="give lower rates", where="rates")  # fmt: skip
    notes = [f"learning rate {rate:g} of {', '.join(f'{each:g}' for each in at.rates)}, {at.epochs} epochs"]
    return np.asarray(labels)[logs.argmax(1)], [*notes, *side.notes([*inputs[0], *inputs[1]])]


def _validated(
    side: Side, rows: Sequence[Row], labels: Sequence[str], at: Tuning, rate: float, whole: dict[str, Any]
) -> tuple[float, float]:
    """Share of right labels, and mean ln p, on a fifth of the training rows, tuned on the others."""
    if len(at.rates) == 1:
        return 0.0, 0.0  # nothing to choose
    inner = split(rows, salt="rate")
    logs = _tuned(side, inner.train, side.inputs([row.text for row in inner.test]), labels, at, rate, whole)
    truth = np.array([labels.index(row.answer) for row in inner.test])
    if not np.isfinite(logs).all():
        return -1.0, -math.inf
    return float((logs.argmax(1) == truth).mean()), float(logs[np.arange(len(truth)), truth].mean())


def _tuned(
    side: Side, rows: Sequence[Row], test: Sequence[Any], labels: Sequence[str], at: Tuning, rate: float,
    whole: dict[str, Any],
) -> np.ndarray:  # fmt: skip
    """ln p of every label for the test inputs (n, C)."""
    side.body.load_state_dict(whole)
    inputs = side.inputs([row.text for row in rows])
    with torch.no_grad():
        width = side.pooled(*side.together(inputs[:1])).shape[1]
    loss, model = Labelled(side, inputs), Classifier(side, width, len(labels), at.seed)
    spec = _spec(at, rate, at.epochs * -(-len(rows) // at.batch))
    optimisers = optimiser.alone(model, spec)
    for step, some in enumerate(_batches(samples(rows, labels), at)):
        batch = loss.collate([loss.example(sample, np.random.default_rng(0)) for sample in some],
                             [sample.id for sample in some])  # fmt: skip
        engine.accumulate(loss, {"model": model}, [batch], {}, at.seed, step)
        optimiser.step(optimisers, spec.multiplier(step), spec.clip_norm)
    return model.likely(test)


def _batches(rows: Sequence[Sample], at: Tuning) -> list[list[Sample]]:
    """Every sample once an epoch, in a fresh order; the last batch of an epoch may be smaller."""
    return [
        [rows[int(place)] for place in places[first : first + at.batch]]
        for epoch in range(at.epochs) for places in [order(len(rows), at.seed, epoch)]
        for first in range(0, len(places), at.batch)
    ]  # fmt: skip


def _spec(at: Tuning, rate: float, steps: int) -> Spec:
    """Warm-up over a tenth of the steps, then linear decay to zero; of no run, so what names one is left empty."""
    warm_up = max(1, round(WARM_UP * steps))
    return Spec(
        objective="labels", options={}, family="", size={}, start={}, data={}, batch_tokens=0, steps=steps,
        warmup_steps=warm_up, decay_start=warm_up, lr_hidden=rate, lr_embedding=rate, beta1=0.9, beta2=0.999,
        epsilon=1e-8, weight_decay=0.01, clip_norm=1.0, seed=at.seed, precision={"body": "fp32", "head": "fp32"},
    )  # fmt: skip


def _check(at: Tuning) -> None:
    found = [
        Problem(f"'{name}' is {value!r}", why, fix, name) for name, value, fine, why, fix in (
            ("rates", at.rates, len(at.rates) and all(0 < rate < math.inf for rate in at.rates),
             "they are learning rates to choose from", "write one or more, such as 3e-5"),
            ("epochs", at.epochs, at.epochs >= 1, "it counts passes over the training rows", "write 3"),
            ("batch", at.batch, at.batch >= 1, "it counts rows of a step", "write 16"),
        ) if not fine
    ]  # fmt: skip
    if found:
        raise StudyError.all(found)
