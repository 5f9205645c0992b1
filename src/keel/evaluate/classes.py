"""Nats of held-out labels, and the share of images told right, by the library's own forward pass.

Legend: n images, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from keel.evaluate import intervals
from keel.evaluate.batched import batched
from keel.evaluate.intervals import Interval
from keel.evaluate.modes import evaluating
from keel.objective.base import Sample


class Classed(NamedTuple):
    """class_nats = (1 / n) sum -ln p(label); 0 is perfect, ln K knows nothing of classes that are equally frequent.

    Comparable between sizes, families and recipes on one data set, never between data sets. `standard_error` over
    images; `bar`: what the classes' shares in training alone reach.
    """

    class_nats: float
    accuracy: Interval
    images: int
    standard_error: float
    bar: float

    @property
    def floor(self) -> str:
        """What `bar` is, in words."""
        return "the classes' frequencies alone"

    @property
    def value(self) -> float:
        """What sizes are compared by."""
        return self.class_nats

    def told(self) -> dict[str, Any]:
        """Its part of a result."""
        low, high = self.accuracy.low, self.accuracy.high
        return {"class_nats": self.class_nats, "standard_error": self.standard_error,
                "accuracy": {"value": self.accuracy.value, "low": low, "high": high, "level": intervals.LEVEL,
                             "images": self.images, "how": "bootstrap over images"}}  # fmt: skip


@torch.inference_mode()
def judge(library: Any, heldout: Iterable[Sample], train_labels: np.ndarray) -> Classed:
    """Every held-out image once, uncropped but for its middle square, in the weights' own precision.

    p of the bar = (n_c + 1) / (n + K), n_c training images of class c.
    """
    nats, right, labels = list[float](), list[bool](), list[int]()
    with evaluating([library]):
        for wanted, logits in _answers(library, heldout):
            loss = torch.nn.functional.cross_entropy(logits.double(), wanted, reduction="none")
            nats += loss.tolist()
            right += (logits.argmax(-1) == wanted).tolist()
            labels += wanted.tolist()
    counts = np.bincount(train_labels, minlength=logits.shape[-1]) + 1.0
    bar = float(-np.log(counts / counts.sum())[labels].mean())
    error = float(np.std(nats, ddof=1)) / math.sqrt(len(nats)) if len(nats) > 1 else math.nan
    return Classed(float(np.mean(nats)), intervals.mean(np.asarray(right, float)), len(nats), error, bar)


def _answers(library: Any, heldout: Iterable[Sample]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    dtype = next(library.parameters()).dtype
    for samples in batched(heldout):
        images = torch.from_numpy(np.stack([sample.image for sample in samples if sample.image is not None]))
        yield torch.tensor([sample.label for sample in samples]), library(pixel_values=images.to(dtype)).logits.float()
