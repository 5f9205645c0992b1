"""Masked language modelling on two texts behind one another, padded to the longest pair of a micro-batch.

Legend: B samples, T positions of the longest, n masked tokens, m samples with two texts, d width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from keel.model.shapes import Size
from keel.objective.base import (
    Batch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Part,
    Sample,
    Start,
    Stats,
    Sums,
    Window,
)
from keel.objective.heads import check_head
from keel.objective.mlm import MLM
from keel.objective.sentences import segments
from keel.objective.trained import BORDERS


class PairMLM(MLM):
    """start a separator b separator, with masks on both sides; a sample without b is start a separator."""

    def window(self, context: int) -> Window:
        """What is left beside the start token and two separators."""
        return Window(context - BORDERS, context - BORDERS)

    def lay(self, first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One row of both texts: what `hide` gives, the `side` (0, 1) of each token, its `place` within its side."""
        start, separator = ([self.vocabulary.id_of(role)] for role in ("start", "separator"))
        one = np.concatenate([start, first, separator])
        two = np.concatenate([second, separator]) if len(second) else second
        sides = [np.full(len(text), side, np.int64) for side, text in enumerate((one, two))]
        places = [np.arange(len(text)) for text in (one, two)]
        hidden = self.hide(np.concatenate([one, two]).astype(np.int64), rng)
        return {**hidden, "side": np.concatenate(sides), "place": np.concatenate(places)}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Rows padded at their ends; targets in one row, and where they stand in the flattened batch."""
        chosen = padded(examples, "chosen", 0).bool().reshape(-1)
        places = chosen.nonzero().squeeze(1)
        pad = self.vocabulary.id_of("pad")
        tensors = {
            "inputs": padded(examples, "inputs", pad),
            "attention_mask": lengths_mask([len(example["inputs"]) for example in examples]),
            "places": places,
            "targets": padded(examples, "tokens", pad).reshape(-1)[places],
            "side": padded(examples, "side", 0),
            "place": padded(examples, "place", 0),
        }
        return Batch(tensors, {"mlm": len(places)}, tuple(ids))


class Judged(PairMLM):
    """L = L_mlm + L_pair, L_pair = sum over pairs of -ln p(label), each mean over its own count.

    A document of one sentence has no second text: it is masked all the same, and counts for L_mlm alone. `pair` names
    the second term. The head on pairs is the library's own: two(tanh(W h_1 + b)).
    """

    rows = Objective.rows  # a label of a pair is no token

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """One model with a head on pairs beside the one on tokens.

        Raises:
            StudyError: the family has none.
        """
        check_head(self.name, family, "sentences")
        return {"model": Part(family=family, size=size, start=start, head="sentences")}

    def relate(
        self, sample: Sample, first: np.ndarray, second: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """The two texts as they are shown, and the label: 0 as they stand in the document, 1 otherwise."""
        raise NotImplementedError

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """A document cut at a sentence's end, or in one piece where it has one sentence; `label` is -1 there."""
        ends, most = self.vocabulary.ends_sentence[sample.tokens], max(2, len(sample.tokens))
        first, second = segments(sample.tokens, ends, rng, most)
        label = -1
        if len(second):
            first, second, label = self.relate(sample, first, second, rng)
        return {**self.lay(first, second, rng), "label": np.array(label)}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """As above; `pairs` [m] are the rows with two texts, `labels` [m] theirs."""
        made = super().collate(examples, ids)
        labels = torch.tensor([int(example["label"]) for example in examples])
        pairs = (labels >= 0).nonzero().squeeze(1)
        tensors = {**made.tensors, "pairs": pairs, "labels": labels[pairs]}
        return Batch(tensors, {**made.counts, self.name: len(pairs)}, made.ids)

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sums over masked tokens and over pairs."""
        model: Any = parts["model"]
        at = batch.tensors
        hidden = model(input_ids=at["inputs"], attention_mask=at["attention_mask"], token_type_ids=at["side"])
        rows = hidden.flatten(0, 1)[at["places"]]
        pair = cross_entropy(model.pair(hidden)[at["pairs"]], at["labels"], reduction="sum")
        return {"mlm": model.nll(rows, at["targets"]), self.name: pair}, None, {}


def padded(examples: Sequence[Example], name: str, fill: int) -> Tensor:
    """One field of all examples [B, T], each row filled at its end to the longest."""
    longest = max(len(example[name]) for example in examples)
    made = np.full((len(examples), longest), fill, np.int64)
    for row, example in zip(made, examples):
        row[: len(example[name])] = example[name]
    return torch.from_numpy(made)


def lengths_mask(lengths: Sequence[int]) -> Tensor:
    """1 where a row [B, T] has a token, 0 where it is padded."""
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
