"""Fine-tuning on the user's labels: the whole model and a linear head, by the engine and optimiser of every run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keel.corpus.order import order
from keel.errors import Problem, StudyError
from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.classes import classified
from keel.evaluate.tasks.labelled import Classifier, Labelled, Texts, held, texts
from keel.evaluate.tasks.result import Result
from keel.evaluate.tasks.subject import Subject
from keel.evaluate.uses.rows import Row, Split, check_classes, split
from keel.model.shapes import Size
from keel.objective.base import Part, Sample, Scratch
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
    at = tuning or Tuning()
    _check(at)
    labels, whole, mode = check_classes(rows), held(subject.body), subject.body.training
    moved = {weight: weight.requires_grad for weight in subject.body.parameters()}
    try:
        subject.body.requires_grad_(True).eval()
        tried = {rate: _validated(subject, rows.train, labels, at, rate, whole) for rate in at.rates}
        rate = max(tried, key=lambda rate: tried[rate])
        test = texts(subject, rows.test, labels)
        logs, cut = _tuned(subject, rows.train, test, labels, at, rate, whole)
    finally:
        subject.body.load_state_dict(whole)
        subject.body.train(mode)
        for weight, flag in moved.items():
            weight.requires_grad_(flag)
            weight.grad = None
    if not np.isfinite(logs).all():
        raise StudyError("fine-tuning diverged", why=f"the loss is not finite at rates {', '.join(map(str, at.rates))}",
                         fix="give lower rates", where="rates")  # fmt: skip
    number = len(rows.train) + len(rows.test)
    notes = [f"learning rate {rate:g} of {', '.join(f'{each:g}' for each in at.rates)}, {at.epochs} epochs"]
    notes += [f"{cut} of {number} texts are longer than the context: their beginning was read"] if cut else []
    return classified("fine-tune", rows, np.asarray(labels)[logs.argmax(1)], level=level, notes=notes)


def _validated(
    subject: Subject, rows: Sequence[Row], labels: Sequence[str], at: Tuning, rate: float, whole: dict[str, Any]
) -> tuple[float, float]:
    """Share of right labels, and mean ln p, on a fifth of the training rows, tuned on the others."""
    if len(at.rates) == 1:
        return 0.0, 0.0  # nothing to choose
    inner = split(rows, salt="rate")
    test = texts(subject, inner.test, labels)
    logs, _ = _tuned(subject, inner.train, test, labels, at, rate, whole)
    truth = np.array([int(sample.second) for sample in test.samples if sample.second is not None])
    if not np.isfinite(logs).all():
        return -1.0, -math.inf
    return float((logs.argmax(1) == truth).mean()), float(logs[np.arange(len(truth)), truth].mean())


def _tuned(
    subject: Subject, rows: Sequence[Row], test: Texts, labels: Sequence[str], at: Tuning, rate: float,
    whole: dict[str, Any],
) -> tuple[np.ndarray, int]:  # fmt: skip
    """ln p of every label for the test texts (n, C), and how many texts were cut."""
    subject.body.load_state_dict(whole)
    loss, train = Labelled(subject.pad), texts(subject, rows, labels)
    parts = {"model": Classifier(subject, len(labels), at.seed)}
    steps = at.epochs * -(-len(train.samples) // at.batch)
    spec = _spec(subject, at, rate, steps)
    optimisers = optimiser.build(parts, {"model": _part(subject)}, spec)
    for step, samples in enumerate(_batches(train.samples, at)):
        batch = loss.collate([loss.example(sample, np.random.default_rng(0)) for sample in samples],
                             [sample.id for sample in samples])  # fmt: skip
        engine.accumulate(loss, parts, [batch], {}, at.seed, step)
        optimiser.step(optimisers, spec.multiplier(step), spec.clip_norm)
    rows_ = [sample.tokens for sample in test.samples]
    return parts["model"].likely(rows_, subject.pad), train.cut + test.cut


def _batches(samples: Sequence[Sample], at: Tuning) -> list[list[Sample]]:
    """Every sample once an epoch, in a fresh order; the last batch of an epoch may be smaller."""
    return [
        [samples[int(place)] for place in places[first : first + at.batch]]
        for epoch in range(at.epochs) for places in [order(len(samples), at.seed, epoch)]
        for first in range(0, len(places), at.batch)
    ]  # fmt: skip


def _part(subject: Subject) -> Part:
    """The model as the optimiser is told of it."""
    return Part(family=subject.family, size=_size(subject), start=Scratch())


def _size(subject: Subject) -> Size:
    config = subject.library.config
    return Size(
        width=config.hidden_size, layers=config.num_hidden_layers, vocabulary=config.vocab_size,
        context=subject.context, head_width=config.hidden_size // config.num_attention_heads,
    )  # fmt: skip


def _spec(subject: Subject, at: Tuning, rate: float, steps: int) -> Spec:
    """Warm-up over a tenth of the steps, then linear decay to zero."""
    warm_up = max(1, round(WARM_UP * steps))
    return Spec(
        objective="labels", options={}, family=subject.family, size=_size(subject).json(),
        start={"kind": "released", "folder": subject.name}, data={}, batch_tokens=at.batch * subject.context,
        steps=steps, warmup_steps=warm_up, decay_start=warm_up, lr_hidden=rate, lr_embedding=rate, beta1=0.9,
        beta2=0.999, epsilon=1e-8, weight_decay=0.01, clip_norm=1.0, seed=at.seed,
        precision={"body": "fp32", "head": "fp32"},
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
