"""Supervised classification of images: patches in, one of K classes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from keel.model.shapes import Size
from keel.objective.base import (
    Batch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Part,
    Rows,
    Sample,
    Start,
    Stats,
    Sums,
    stack,
)
from keel.objective.cost import head_of
from keel.objective.facts import FACTS, Facts
from keel.objective.heads import check_head
from keel.objective.options import OPTIONS


class Classify(Objective):
    """L = sum_i -ln p(y_i | x_i), in nats, over images x_i and their labels y_i; count = images.

    `pool` "own": the head stands on the state that the family has for an image (CLS of a ViT, else the mean of all
    patches); "mean": on the mean of a ViT's patches. The others say how an image becomes numbers (objective/pixels.py).

    Reference: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1.

    Raises:
        StudyError: an unknown option, or one out of its range; all of them.
    """

    facts: ClassVar[Facts] = FACTS["classify"]
    terms = ("classify",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["classify"].checked(self.options, "classify")

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """One model with a classifier.

        Raises:
            StudyError: the family has no such head.
        """
        head = head_of("classify", self.options, family, size)
        check_head("classify", family, head)
        return {"model": Part(family=family, size=size, start=start, head=head)}

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The image as it was drawn for this epoch, and the number of its class."""
        assert sample.image is not None, "a sample without an image"
        assert sample.label is not None, "an image without a label"
        return {"pixels": sample.image, "label": np.asarray(sample.label)}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Images of one size, stacked."""
        images = torch.from_numpy(np.stack([example["pixels"] for example in examples]))
        return Batch({"pixels": images, "labels": stack(examples, "label")}, {"classify": len(examples)}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sum over images."""
        model: Any = parts["model"]
        return {name: model.nll(*rows) for name, rows in self.rows(parts, batch).items()}, None, {}

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """The pooled state of each image, and its class."""
        return {"classify": Rows(parts["model"](batch.tensors["pixels"]).pooled, batch.tensors["labels"])}
