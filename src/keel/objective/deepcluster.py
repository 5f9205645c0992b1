"""An image's label is the cluster that its state fell into: cluster, learn to tell the clusters apart, cluster again.

Legend: n images, B of a micro-batch, S super-classes, d width of a state, H side in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from keel.errors import StudyError
from keel.model.shapes import VISION, Size
from keel.objective import clusters
from keel.objective.base import (
    Batch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Part,
    Sample,
    Scratch,
    Start,
    Stats,
    Sums,
    stack,
)
from keel.objective.facts import FACTS, Facts
from keel.objective.facts_clusters import TURNS, subs_of, supers_of
from keel.objective.heads import check_head
from keel.objective.options import OPTIONS
from keel.objective.reading import Order, Read, Renewed

LABELS, KEPT, LARGEST = "labels", "kept", "largest"
NONE = -1  # of an image that is none to train on


class DeepCluster(Objective):
    """L = mean over images of -ln softmax(W h)[z], in nats; z: the image's cluster, h its pooled state.

    Before every `every`-th epoch the states of all training images, undrawn, are clustered anew: `directions` principal
    ones at most, whitened, of length 1, by k-means into `clusters`. New clusters take the names of the old ones that
    they share most images with, so that W goes on; the paper begins W anew. Every cluster is seen as often.

    Reference: Caron et al. 2018, arXiv:1807.05520, section 3 and 4.1. Its Sobel filter before the model is not here.

    Raises:
        StudyError: an unknown option, or one out of its range; all of them. scikit-learn is missing.
    """

    facts: ClassVar[Facts] = FACTS["deepcluster"]
    name: ClassVar[str] = "deepcluster"
    reorders = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS[self.name].checked(self.options, self.name)
        self.supers, self.subs = supers_of(self.options), subs_of(self.options)
        self.terms = ("super", "cluster") if self.supers > 1 else ("cluster",)
        if find_spec("sklearn") is None:
            raise StudyError("scikit-learn is not installed", why=f"{self.name} clusters with its k-means",
                             fix="pip install 'keel[eval]'", where="environment")  # fmt: skip

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """The model without a head, and its classifiers of clusters, which are of no use afterwards.

        Raises:
            StudyError: the family sees no images.
        """
        check_head(self.name, family, "body")
        d = VISION[family].pooled_width(VISION[family].shape(size))
        rows = {"super": self.supers, "cluster": self.supers * self.subs}
        return {
            "model": Part(family=family, size=size, start=start, head="body"),
            **{name: _classifier(d, rows[name]) for name in self.terms},
        }  # fmt: skip

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The image as it was drawn for this epoch, turned by quarters where rotations are told apart."""
        assert sample.image is not None, "a sample without an image"
        turns = int(rng.integers(TURNS)) if self.options["rotations"] else 0
        return {"pixels": np.rot90(sample.image, turns, (1, 2)).copy(), "turns": np.asarray(turns)}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """(B, 3, H, H), turns and numbers (B,)."""
        tensors = {
            "pixels": torch.from_numpy(np.stack([example["pixels"] for example in examples])),
            "turns": stack(examples, "turns"), "ids": torch.tensor(ids, dtype=torch.int64),
        }  # fmt: skip
        return Batch(tensors, dict.fromkeys(self.terms, len(examples)), tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sums over images: of super-classes where there are several, and of clusters within the image's own."""
        states: Tensor = parts["model"](batch.tensors["pixels"]).pooled
        labels = carry[LABELS].to(states.device)[batch.tensors["ids"]]
        supers, subs = labels // self.subs, labels % self.subs
        if self.options["rotations"]:
            supers = supers * TURNS + batch.tensors["turns"]
        sums = {"cluster": self._within(parts["cluster"], states, supers, subs)}
        if self.supers > 1:
            sums["super"] = cross_entropy(parts["super"](states), supers, reduction="sum")
        number = states.new_tensor(float(len(states)))
        return sums, None, {"images": number} | {name: number * carry[name].to(number) for name in (KEPT, LARGEST)}

    def _within(self, head: Any, states: Tensor, supers: Tensor, subs: Tensor) -> Tensor:
        """Each image among the clusters of its own super-class."""
        weight = head.onto.weight.unflatten(0, (self.supers, self.subs))
        each = [
            cross_entropy(linear(states[supers == one], weight[one]), subs[supers == one], reduction="sum")
            for one in range(self.supers)
        ]  # fmt: skip
        return torch.stack(each).sum()

    def before_epoch(self, parts: Mapping[str, nn.Module], read: Read, carry: Carry, epoch: int) -> Renewed:
        """Clusters of all training images every so many epochs, and the epoch's images: every cluster as often.

        Raises:
            StudyError: more clusters than images; a state that is not finite; all states are one.
        """
        rng = np.random.Generator(np.random.Philox(key=[read.seed, epoch], counter=[0, 0, 0, 1]))
        if epoch % self.options["every"] == 0 or LABELS not in carry:
            carry = self._clustered(parts, read, carry, epoch, rng)
        return carry, self._order(carry[LABELS].numpy(force=True)[read.ids], rng)

    def _order(self, labels: np.ndarray, rng: np.random.Generator) -> Order:
        return clusters.evenly(labels, rng)

    def _clustered(
        self, parts: Mapping[str, nn.Module], read: Read, carry: Carry, epoch: int, rng: np.random.Generator
    ) -> Carry:  # fmt: skip
        """The cluster of each image by its number, the share that kept theirs, and the largest one's share of all."""
        at, ids = self.options, read.ids
        if at["clusters"] > read.number:
            raise StudyError(f"{at['clusters']} clusters of {read.number} images", why="none may be empty",
                             fix=f"write {read.number} or less, about a cluster for 128 images",
                             where="train.options.clusters")  # fmt: skip
        model = parts["model"]
        states = read.states(lambda some: model(_pixels(some, model)).pooled).numpy(force=True)
        _check(states, ids, epoch)
        new = clusters.grouped(
            clusters.whitened(states, at["directions"]), at["super_clusters"], self.subs, at["iterations"], rng
        )  # fmt: skip
        kept = 0.0
        if LABELS in carry:
            old = carry[LABELS].numpy(force=True)[ids]
            new = clusters.matched(old, new, at["super_clusters"], self.subs)
            kept = float((old == new).mean())
        labels = np.full(int(ids.max()) + 1, NONE, np.int64)
        labels[ids] = new
        return {
            LABELS: torch.from_numpy(labels), KEPT: torch.tensor(kept),
            LARGEST: torch.tensor(float(np.bincount(new).max()) / len(new)),
        }  # fmt: skip

    def told(self, stats: Stats) -> Mapping[str, float]:
        """Shares of images: those that kept their cluster at the last clustering, and those of the largest one."""
        return {name: float(stats[name] / stats["images"]) for name in (KEPT, LARGEST)}


class DeeperCluster(DeepCluster):
    """L = mean over images of -ln softmax(V h)[s] - ln softmax(W_s h)[z]: super-class s, and cluster z within it.

    s: the image's super-cluster, each in every quarter turn, which is drawn anew; z: its cluster inside that. Images
    are clustered upright, and those of a super-cluster have the same clusters in all turns, with a W_s for each.

    Reference: Caron et al. 2019, arXiv:1905.01278, section 3.3 and 4.1.
    """

    facts: ClassVar[Facts] = FACTS["deepercluster"]
    name: ClassVar[str] = "deepercluster"


def _classifier(width: int, rows: int) -> Part:
    size = Size(width=width, layers=1, vocabulary=0, context=1, head_width=0, embedding_width=rows)
    return Part(family="projection", size=size, start=Scratch(), head="joint")


def _pixels(some: Sequence[Sample], model: nn.Module) -> Tensor:
    images = [sample.image for sample in some if sample.image is not None]
    assert len(images) == len(some), "a sample without an image"
    return torch.from_numpy(np.stack(images)).to(next(model.parameters()).device)


def _check(states: np.ndarray, ids: np.ndarray, epoch: int) -> None:
    """Every image has a state of numbers."""
    wrong = np.flatnonzero(~np.isfinite(states).all(1))
    if len(wrong):
        raise StudyError(f"{len(wrong)} of {len(states)} images have a state that is not finite",
                         why=f"before epoch {epoch}; the first is image {int(ids[wrong[0]])}",
                         fix="lower the learning rate", where="train.lr_hidden")  # fmt: skip
