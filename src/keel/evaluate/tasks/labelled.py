"""Texts or images with labels as a loss: a linear head on one state of each, trained through the whole model.

Legend: B rows, T positions, H pixels of a side, d width, C labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from keel.evaluate.tasks.seen import BATCH, Seen
from keel.evaluate.tasks.subject import Ids, Subject, batches, padded
from keel.evaluate.uses.rows import Row
from keel.objective.base import Batch, Carry, Example, Features, Key, Objective, Sample, Stats, Sums, stack

HEAD_STD = 0.02
NO_TOKENS = np.empty(0, np.int64)


class Side(Protocol):
    """A model that is tuned, and how rows reach it."""

    @property
    def body(self) -> Any:
        """The module that is trained."""

    def inputs(self, texts: Sequence[str]) -> Sequence[Any]:
        """What is kept of the `text` of each row."""

    def together(self, inputs: Sequence[Any]) -> tuple[Tensor, ...]:
        """The tensors of some rows."""

    def pooled(self, *tensors: Tensor) -> Tensor:
        """One state of each row (B, d)."""

    def chunks(self, inputs: Sequence[Any]) -> Iterator[Sequence[int]]:
        """Places of rows that go through the model together when nothing is learnt."""

    def notes(self, inputs: Sequence[Any]) -> list[str]:
        """What should be known of the rows as they were read."""


class Texts:
    """Framed ids and a mask (B, T), the mean of the last hidden states; of a text beyond the context the beginning."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    @property
    def body(self) -> Any:
        """The model below its head."""
        return self.subject.body

    def inputs(self, texts: Sequence[str]) -> list[Ids]:
        """All tokens of each text."""
        return self.subject.tokens(texts)

    def together(self, inputs: Sequence[Ids]) -> tuple[Tensor, ...]:
        """Ids filled at their ends, and 1 where they are not."""
        room = self.subject.room
        return padded([self.subject.framed(each[:room]) for each in inputs], self.subject.pad)

    def pooled(self, *tensors: Tensor) -> Tensor:
        """The mean over the mask."""
        inputs, mask = tensors
        shown = mask[..., None]
        return (self.subject.hidden(inputs, mask) * shown).sum(1) / shown.sum(1)

    def chunks(self, inputs: Sequence[Ids]) -> Iterator[Sequence[int]]:
        """Texts of like length together."""
        room, frame = self.subject.room, sum(map(len, self.subject.frame))
        return batches(range(len(inputs)), [min(len(each), room) + frame for each in inputs])

    def notes(self, inputs: Sequence[Ids]) -> list[str]:
        """How many were cut."""
        cut = sum(len(each) > self.subject.room for each in inputs)
        said = f"{cut} of {len(inputs)} texts are longer than the context: their beginning was read"
        return [said] if cut else []


class Images:
    """Pixels (B, 3, H, H) as the model's folder prepares them, and the image's own state; neither crops nor flips."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    @property
    def body(self) -> Any:
        """The image tower below its head and its projection."""
        return self.seen.towers.trunk.library.base_model

    def inputs(self, texts: Sequence[str]) -> list[str]:
        """The files: they are decoded each time, since all at once may not fit into memory."""
        return list(texts)

    def together(self, inputs: Sequence[str]) -> tuple[Tensor, ...]:
        """Pixels."""
        return (self.seen.pixels(inputs),)

    def pooled(self, *tensors: Tensor) -> Tensor:
        """CLS, or the mean where the model was trained so; the pooled map of a network of stages."""
        (pixels,) = tensors
        return self.seen.towers.trunk.plain(pixels).pooled

    def chunks(self, inputs: Sequence[str]) -> Iterator[Sequence[int]]:
        """So many at a time."""
        return (range(first, min(first + BATCH, len(inputs))) for first in range(0, len(inputs), BATCH))

    def notes(self, inputs: Sequence[str]) -> list[str]:
        """Whether there are norms that would see a step's images together."""
        normed = any(isinstance(module, _BatchNorm) for module in self.body.modules())
        return ["batch norms keep the means and variances of pretraining"] if normed else []


class Classifier(nn.Module):
    """Tensors of a side -> logits (B, C) = W state + b; the head is drawn from `seed`, the body shared."""

    def __init__(self, side: Side, width: int, labels: int, seed: int) -> None:
        super().__init__()
        self.side, self.body, self.head = side, side.body, nn.Linear(width, labels)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.head.weight.normal_(0.0, HEAD_STD, generator=generator)
            self.head.bias.zero_()

    def forward(self, *tensors: Tensor) -> Tensor:
        """Logits of every label."""
        logits: Tensor = self.head(self.side.pooled(*tensors))
        return logits

    @torch.no_grad()
    def likely(self, inputs: Sequence[Any]) -> NDArray[np.float64]:
        """ln p of every label, shape (n, C)."""
        found = np.zeros((len(inputs), self.head.out_features))
        for places in self.side.chunks(inputs):
            logits = self(*self.side.together([inputs[place] for place in places]))
            found[list(places)] = torch.log_softmax(logits.double(), 1).numpy()
        return found


class Labelled(Objective):
    """L = sum over rows of -ln p(label | row), in nats; count = rows. A sample's id is the place of its input."""

    terms = ("labels",)

    def __init__(self, side: Side, inputs: Sequence[Any]) -> None:
        super().__init__()
        self.side, self.inputs = side, inputs

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The label; the input is known by its place."""
        assert sample.label is not None, "a row without a label"
        return {"label": np.asarray(sample.label)}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """The side's tensors by their number, and the labels."""
        tensors = {str(number): made for number, made in enumerate(self.side.together([self.inputs[i] for i in ids]))}
        return Batch({**tensors, "labels": stack(examples, "label")}, {"labels": len(examples)}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sum over the rows."""
        at = batch.tensors
        logits = parts["model"](*(at[str(number)] for number in range(len(at) - 1)))
        return {"labels": nn.functional.cross_entropy(logits, at["labels"], reduction="sum")}, None, {}


def samples(rows: Sequence[Row], labels: Sequence[str]) -> list[Sample]:
    """Rows in order, with the places of their labels."""
    place = {label: at for at, label in enumerate(labels)}
    return [Sample(number, NO_TOKENS, label=place[row.answer]) for number, row in enumerate(rows)]


def held(module: Any) -> dict[str, Tensor]:
    """A copy of all weights, to put back."""
    return {name: weight.detach().clone() for name, weight in module.state_dict().items()}
