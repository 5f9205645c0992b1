"""A linear classifier on frozen states of images: nats of held-out labels that the model itself has never seen.

Legend: n held-out images, t training images of the probe, K classes, d width of what is probed, w share of the uniform.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from keel.errors import StudyError
from keel.evaluate import intervals
from keel.evaluate.batched import batched
from keel.evaluate.intervals import Interval
from keel.evaluate.modes import evaluating
from keel.evaluate.tasks import linear
from keel.model.vision_init import initialise
from keel.objective.base import Sample

MOST_TRAINING = 5000
UNIFORM = 1e-3
NEIGHBOURS, WARMTH, SMALL = 20, 0.07, 1e-12
STATES = "the image's own state beside the mean of its patches'; once where they are one"
FRESH_SEED = 0
Floats = NDArray[np.float64]


class Told(NamedTuple):
    """A probe's nats of every held-out label, and which it got right."""

    nats: Floats
    right: NDArray[np.bool_]
    penalty: float
    notes: tuple[str, ...]


class Probed(NamedTuple):
    """probe_nats = (1 / n) sum -ln q(label), q = (1 - w) p + w / K; p of a logistic regression on frozen states.

    w = .001, so that no label costs more than ln(1000 K). Comparable between sizes, families and losses on one data
    set. `knn`: the share right by the nearest neighbours; `random`, `random_knn`: both on fresh weights of the same
    model, of which a probe with many labels reads much: what a loss has taught shows most in neighbours.
    """

    told_by: Told
    knn: Interval
    random: Told
    random_knn: Interval
    trained_on: int
    neighbours: int
    bar: float

    @property
    def floor(self) -> str:
        """What `bar` is, in words."""
        return "the classes' frequencies alone"

    @property
    def value(self) -> float:
        """What sizes are compared by."""
        return float(self.told_by.nats.mean())

    def told(self) -> dict[str, Any]:
        """Its part of a result."""
        number, error = len(self.told_by.nats), math.nan
        if number > 1:
            error = float(self.told_by.nats.std(ddof=1)) / math.sqrt(number)
        return {
            "probe_nats": self.value, "standard_error": error, "accuracy": _share(self.told_by.right),
            "knn": _interval(self.knn, number) | {"neighbours": self.neighbours},
            "random": {"probe_nats": float(self.random.nats.mean()), "accuracy": _share(self.random.right),
                       "knn": _interval(self.random_knn, number)},
            "probe": {"states": STATES, "training_images": self.trained_on, "penalty": self.told_by.penalty,
                      "notes": list(dict.fromkeys([*self.told_by.notes, *self.random.notes]))},
        }  # fmt: skip


def _share(right: NDArray[np.bool_]) -> dict[str, Any]:
    return _interval(intervals.mean(right.astype(float)), len(right))


def _interval(found: Interval, images: int) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "level": intervals.LEVEL, "images": images,
            "how": "bootstrap over images"}  # fmt: skip


class States(NamedTuple):
    """What is probed (n, d), and the labels (n,)."""

    rows: Floats
    labels: NDArray[np.int64]


def judge(trunk: Any, labelled: Iterable[Sample], heldout: Iterable[Sample], classes: int) -> Probed:
    """The probe of a model, and of fresh weights in its place.

    p of the bar = (t_c + 1) / (t + K), t_c training images of class c.

    Raises:
        StudyError: scikit-learn is missing; fewer than two classes to learn from; no held-out image has a label.
    """
    linear.learn()
    # The same images for both models: they are decoded once, and are few.
    learnt, asked = list(labelled), [sample for sample in heldout if sample.label is not None]
    _check(learnt, asked)
    train, test = states(trunk, learnt), states(trunk, asked)
    bare = fresh(trunk)
    counts = np.bincount(train.labels, minlength=classes) + 1.0
    neighbours = min(NEIGHBOURS, len(learnt))
    bare_train, bare_test = states(bare, learnt), states(bare, asked)
    return Probed(
        probe(train, test, classes), _near(train, test, neighbours, classes), probe(bare_train, bare_test, classes),
        _near(bare_train, bare_test, neighbours, classes), len(learnt), neighbours,
        float(-np.log(counts / counts.sum())[test.labels].mean()),
    )  # fmt: skip


def _near(train: States, test: States, neighbours: int, classes: int) -> Interval:
    """The share of images whose class their neighbours have."""
    return intervals.mean((nearest(train, test.rows, neighbours, classes) == test.labels).astype(float))


def _check(learnt: list[Sample], asked: list[Sample]) -> None:
    if len({sample.label for sample in learnt}) < 2 or not asked:
        what = "fewer than two classes to learn from" if asked else "no held-out image with a label"
        raise StudyError(f"there are {what}", why="a model without labels is judged by a classifier on its states",
                         fix="bring labels for some images of each side: the loss never sees them",
                         where="[data] label")  # fmt: skip


@torch.inference_mode()
def states(trunk: Any, samples: Iterable[Sample]) -> States:
    """States in the weights' own precision, of images as they are judged."""
    rows, labels, dtype = list[Floats](), list[int](), next(trunk.parameters()).dtype
    with evaluating([trunk]):
        for some in batched(samples):
            images = torch.from_numpy(np.stack([sample.image for sample in some if sample.image is not None])).to(dtype)
            found = trunk.plain(images)
            mean = found.patches.mean(1)
            both = [found.pooled] if torch.allclose(found.pooled, mean, atol=1e-6) else [found.pooled, mean]
            rows.append(torch.cat(both, dim=1).double().numpy())
            labels += [int(sample.label) for sample in some if sample.label is not None]
    return States(np.concatenate(rows), np.asarray(labels, np.int64))


def fresh(trunk: Any) -> Any:
    """The same model before it has learnt anything; weights that never move stay.

    Where none moves it follows another model, a teacher its student: then all are drawn.
    """
    made = copy.deepcopy(trunk)
    initialise(made.library, FRESH_SEED)
    follows = not any(own.requires_grad for own in trunk.parameters())
    with torch.no_grad():
        for weight, own in zip(made.parameters(), trunk.parameters()):
            if not (own.requires_grad or follows):
                weight.copy_(own)
    for module in made.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
    return made


def probe(train: States, test: States, classes: int) -> Told:
    """Nats and hits of a logistic regression; its penalty is chosen on training rows alone."""
    found = linear.odds(train.rows, train.labels, test.rows)
    p = np.zeros((len(test.labels), classes))
    p[:, found.classes] = found.probabilities
    mixed = (1 - UNIFORM) * p + UNIFORM / classes
    nats = -np.log(mixed[np.arange(len(p)), test.labels])
    return Told(nats, p.argmax(1) == test.labels, found.penalty, found.notes)


def nearest(train: States, rows: Floats, neighbours: int, classes: int) -> NDArray[np.int64]:
    """The class of most weight among the nearest training images by cosine, each weighing exp(cos / .07).

    States are first less their mean over the training images and over their deviation, as the probe's are.

    Reference: Wu et al. 2018, arXiv:1805.01978, section 3.4.
    """
    mean, deviation = train.rows.mean(0), np.maximum(train.rows.std(0), SMALL)
    likeness = _unit((rows - mean) / deviation) @ _unit((train.rows - mean) / deviation).T
    near = np.argsort(-likeness, axis=1, kind="stable")[:, :neighbours]
    weights = np.exp((np.take_along_axis(likeness, near, axis=1) - 1) / WARMTH)
    votes = np.zeros((len(rows), classes))
    for place in range(neighbours):
        votes[np.arange(len(rows)), train.labels[near[:, place]]] += weights[:, place]
    return votes.argmax(1)


def _unit(rows: Floats) -> Floats:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), SMALL)
