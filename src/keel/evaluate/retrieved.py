"""Nats of held-out captions among a fixed set of candidates, and of their images; and which of them come first.

Legend: K pairs, which are candidates of each other; e width of the space that both share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from keel.errors import StudyError
from keel.evaluate import intervals
from keel.evaluate.batched import batched
from keel.evaluate.intervals import Interval
from keel.evaluate.modes import evaluating
from keel.evaluate.tasks.retrieval import ranks
from keel.objective.base import Key, Objective, Sample

KS = (1, 10)
EXAMPLES, NEAREST = 12, 5
# What is nearer by less than this is as near: features are fp32, and equal ones differ in their last digits.
DIGITS = 6
LOG_T = (math.log(0.05), math.log(100.0))
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Way(NamedTuple):
    """One way of asking: the share whose right candidate is among the nearest k, and the middle rank of it, from 1."""

    recall: Mapping[int, Interval]
    median_rank: float

    def told(self) -> dict[str, Any]:
        """Its part of a result."""
        return {**{f"R@{k}": each._asdict() for k, each in self.recall.items()}, "median_rank": self.median_rank}


class Example(NamedTuple):
    """A caption by the number of its image, the rank of the nearest right image, and the nearest ones: right or not."""

    number: int
    rank: float
    found: tuple[tuple[int, bool], ...]


class Retrieved(NamedTuple):
    """retrieval_nats = (mean_i -ln p(captions of i | image i) + mean_i -ln p(images of i | caption i)) / 2.

    p is a softmax over the K candidates of t times the cosine. Captions are parted in halves, the same for all models
    of a tokenizer; t of each is what serves the other half best, at most 100: how sure a model is of what it knows by
    heart is no part of what it finds, and a loss that does not end in this softmax compares. `own_nats` at the model's
    own t. A bias would change nothing. Equal captions count together: what goes with one of them goes with all. 0 is
    perfect, `bar` is what a choice by chance reaches, ln K - mean_i ln k_i, k_i the pairs with the caption of i.
    Comparable between sizes, losses and families over one set of candidates. `standard_error` over captions, the set
    as given.

    Reference: Radford et al. 2021, arXiv:2103.00020, sections 2.3 and 2.5 (the softmax, t <= 100); Miech et al. 2020,
    arXiv:1912.06430, equation 1 (several right ones); Guo et al. 2017, arXiv:1706.04599, section 4.2 (a t fitted after
    training).
    """

    retrieval_nats: float
    own_nats: float
    standard_error: float
    bar: float
    candidates: int
    caption_of_image: Way
    image_of_caption: Way
    examples: tuple[Example, ...] = ()

    @property
    def floor(self) -> str:
        """What `bar` is, in words."""
        return f"a choice by chance among {self.candidates:,} candidates"

    @property
    def value(self) -> float:
        """What sizes are compared by."""
        return self.retrieval_nats

    def told(self) -> dict[str, Any]:
        """Its part of a result."""
        return {"retrieval_nats": self.retrieval_nats, "standard_error": self.standard_error,
                "own_temperature_nats": self.own_nats, "candidates": self.candidates,
                "recall": {"caption_of_image": self.caption_of_image.told(),
                           "image_of_caption": self.image_of_caption.told(), "level": intervals.LEVEL,
                           "how": "bootstrap over captions; equal captions are all right"}}  # fmt: skip


class Seen(NamedTuple):
    """Features of length 1 of some pairs (k, e), a digest of each caption (k, 2), and the pairs' numbers."""

    image: torch.Tensor
    text: torch.Tensor
    digests: torch.Tensor
    numbers: tuple[int, ...]


@torch.inference_mode()
def judge(parts: Mapping[str, Any], loss: Objective, heldout: Iterable[Sample]) -> Retrieved:
    """Every held-out pair once, by the features of the loss; all of them are the candidates.

    Raises:
        StudyError: the loss has no features of images and of texts.
    """
    with evaluating(parts.values()):
        return among(parts, [seen(parts, loss, samples) for samples in batched(heldout)])


def seen(parts: Mapping[str, Any], loss: Objective, samples: Sequence[Sample]) -> Seen:
    """One forward pass of a few pairs.

    Raises:
        StudyError: the loss has no features of images and of texts.
    """
    examples = [loss.example(sample, np.random.Generator(np.random.Philox(key=[0, sample.id]))) for sample in samples]
    numbers = tuple(sample.id for sample in samples)
    features = loss.features(parts, loss.collate(examples, numbers), {}, Key(0, 0, numbers))
    if features is None or not {"image", "text", "caption"} <= features.keys():
        raise StudyError("this loss cannot be judged by retrieval", why="it has no features of images and texts",
                         fix="choose another judge", where="objective.facts")  # fmt: skip
    return Seen(features["image"], features["text"], features["caption"], numbers)


def among(parts: Mapping[str, Any], pairs: Sequence[Seen]) -> Retrieved:
    """Each pair among all that were seen."""
    image, text, digests = (torch.cat(list(each)) for each in list(zip(*pairs))[:3])
    near = (image.double() @ text.double().T).cpu()
    _, captions = np.unique(digests.cpu().numpy(), axis=0, return_inverse=True)
    numbers = [number for some in pairs for number in some.numbers]
    return found(near.numpy(), parts["scale"](near).numpy(), captions.reshape(-1).astype(np.int64), numbers)


def found(near: Floats, logits: Floats, captions: Ints, numbers: Sequence[int]) -> Retrieved:
    """What similarities and logits (K, K) of images (rows) and captions (columns) come to.

    Example:
        >>> made = found(np.eye(2), np.log(np.array([[3.0, 1.0], [1.0, 3.0]])), np.array([0, 1]), (7, 8))
        >>> round(made.retrieval_nats, 4), round(made.own_nats, 4), round(made.bar, 4)
        (0.0, 0.2877, 0.6931)
    """
    alike = captions[:, None] == captions
    nats = calibrated(near, captions)
    right = [np.flatnonzero(row) for row in alike]
    rounded = near.round(DIGITS)
    of_images, of_captions = ranks(rounded, right), ranks(rounded.T, right)
    bar = math.log(len(near)) - float(np.log(alike.sum(1)).mean())
    groups = [str(caption) for caption in captions]
    return Retrieved(
        float(nats.mean()), float(_both(logits, alike).mean()), _error(nats, captions), bar, len(near),
        _way(of_images, groups), _way(of_captions, groups), _examples(rounded, of_captions, captions, numbers),
    )  # fmt: skip


def calibrated(near: Floats, captions: Ints) -> Floats:
    """Nats of each pair (K,), both ways, each half of the captions at the temperature that serves the other best."""
    from scipy.optimize import minimize_scalar

    alike, half = captions[:, None] == captions, captions % 2

    def nats(log_t: float) -> Floats:
        return _both(math.exp(log_t) * near, alike)

    def best(of: NDArray[np.bool_]) -> float:
        return float(minimize_scalar(lambda log_t: nats(log_t)[of].mean(), bounds=LOG_T, method="bounded").x)

    if len(np.unique(half)) == 1:
        return nats(best(half == half[0]))
    return np.where(half == 0, nats(best(half == 1)), nats(best(half == 0)))


def _both(logits: Floats, alike: NDArray[np.bool_]) -> Floats:
    return (_nats(logits, alike) + _nats(logits.T, alike)) / 2


def _nats(logits: Floats, alike: NDArray[np.bool_]) -> Floats:
    """-ln of the probability of the right ones in each row (K,)."""
    top = logits - logits.max(1, keepdims=True)
    whole = np.log(np.exp(top).sum(1))
    some = np.where(alike, top, -np.inf)
    best = some.max(1, keepdims=True)
    return np.asarray(whole - (best[:, 0] + np.log(np.exp(some - best).sum(1))))


def _error(nats: Floats, captions: Ints) -> float:
    """Standard error of the mean, equal captions one item: sqrt(G / (G - 1) sum_g (sum_i in g nats_i - mean)^2) / K."""
    _, group = np.unique(captions, return_inverse=True)
    sums = np.bincount(group, weights=nats - nats.mean())
    if len(sums) < 2:
        return math.nan
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(nats))


def _way(found: Floats, groups: Sequence[str]) -> Way:
    recall = {k: intervals.mean((found <= k).astype(np.float64), groups=groups) for k in KS}
    return Way(recall, float(np.median(found)))


def _examples(near: Floats, rank: Floats, captions: Ints, numbers: Sequence[int]) -> tuple[Example, ...]:
    """Captions at even distances among those that differ, each with its nearest images; the same for every model."""
    _, first = np.unique(captions, return_index=True)
    first = np.sort(first)
    chosen = first[np.unique(np.linspace(0, len(first) - 1, EXAMPLES).round().astype(int))]
    made = []
    for place in chosen:
        nearest = np.argsort(-near[:, place], kind="stable")[:NEAREST]
        shown = tuple((int(numbers[each]), bool(captions[each] == captions[place])) for each in nearest)
        made.append(Example(int(numbers[place]), float(rank[place]), shown))
    return tuple(made)
