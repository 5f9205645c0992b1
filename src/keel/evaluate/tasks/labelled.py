"""Texts with labels as a loss: a linear head on mean-pooled states, trained through the whole model.

Legend: B rows, T positions, d width, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from keel.evaluate.tasks.subject import Subject, batches, padded
from keel.evaluate.uses.rows import Row
from keel.objective.base import Batch, Carry, Example, Features, Key, Objective, Sample, Stats, Sums, stack

HEAD_STD = 0.02


class Classifier(nn.Module):
    """Inputs (B, T) and mask -> logits (B, C) = W mean(states) + b; the head is drawn from `seed`, the body shared."""

    def __init__(self, subject: Subject, labels: int, seed: int) -> None:
        super().__init__()
        width = subject.states(["a"]).shape[1]
        self.body, self.head, self.hidden = subject.body, nn.Linear(width, labels), subject.hidden
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.head.weight.normal_(0.0, HEAD_STD, generator=generator)
            self.head.bias.zero_()

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Logits of every label."""
        shown = mask[..., None]
        logits: Tensor = self.head((self.hidden(inputs, mask) * shown).sum(1) / shown.sum(1))
        return logits

    @torch.no_grad()
    def likely(self, rows: Sequence[NDArray[np.int64]], pad: int) -> NDArray[np.float64]:
        """ln p of every label for framed texts, shape (n, C)."""
        found = np.zeros((len(rows), self.head.out_features))
        for places in batches(range(len(rows)), [len(ids) for ids in rows]):
            logits = self(*padded([rows[place] for place in places], pad))
            found[places] = torch.log_softmax(logits.double(), 1).numpy()
        return found


class Labelled(Objective):
    """L = sum over rows of -ln p(label | text), in nats; count = rows."""

    terms = ("labels",)

    def __init__(self, pad: int) -> None:
        super().__init__()
        self.pad = pad

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The framed text and its label."""
        assert sample.second is not None, "a row without a label"
        return {"inputs": sample.tokens, "label": sample.second}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Texts filled at their ends."""
        inputs, mask = padded([example["inputs"] for example in examples], self.pad)
        tensors = {"inputs": inputs, "mask": mask, "labels": stack(examples, "label")}
        return Batch(tensors, {"labels": len(examples)}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sum over the rows."""
        at = batch.tensors
        logits = parts["model"](at["inputs"], at["mask"])
        return {"labels": nn.functional.cross_entropy(logits, at["labels"], reduction="sum")}, None, {}


class Texts(NamedTuple):
    """Rows as samples: framed texts, labels by their place, and how many texts were cut to the context."""

    samples: list[Sample]
    cut: int


def texts(subject: Subject, rows: Sequence[Row], labels: Sequence[str]) -> Texts:
    """Rows in order; of a text longer than the context the beginning."""
    place = {label: at for at, label in enumerate(labels)}
    ids = subject.tokens([row.text for row in rows])
    made = [
        Sample(number, subject.framed(each[: subject.room]), np.array(place[row.answer]))
        for number, (each, row) in enumerate(zip(ids, rows))
    ]
    return Texts(made, sum(len(each) > subject.room for each in ids))


def held(module: Any) -> dict[str, Tensor]:
    """A copy of all weights, to put back."""
    return {name: weight.detach().clone() for name, weight in module.state_dict().items()}
