"""Prefix language modelling: the prefix is read from both sides, what follows it from the left.

Legend: B samples, T positions, n targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from keel.errors import StudyError
from keel.model.shapes import FEATURES, Size
from keel.objective.base import Batch, Example, Part, Rows, Sample, Start, Window, stack
from keel.objective.denoisers import prefix
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS
from keel.objective.room import text_room
from keel.objective.seq2seq import Seq2Seq

KINDS: Mapping[int, str] = {1: "decoder", 2: "encoder-decoder"}


class PrefixLM(Seq2Seq):
    """L = sum_{t > P} -ln p(x_t | x_<t), in nats; count = tokens behind the prefix of P tokens.

    P is uniform from `low` to `high` of the window, one token at least on both sides. `stacks` 1: one decoder, whose
    positions of the prefix see each other. 2: an encoder reads the prefix, a decoder writes the rest and an end token.
    Windows cross document borders. Reference: Raffel et al. 2020, arXiv:1910.10683, section 3.2.1.

    Raises:
        StudyError: an option is unknown or outside its range, or the family has another number of stacks.
    """

    facts: ClassVar[Facts] = FACTS["prefix_lm"]
    terms = ("prefix_lm",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["prefix_lm"].checked(self.options, "prefix_lm")

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """One model, with as many stacks as were asked for."""
        wanted = KINDS[self.options["stacks"]]
        if FEATURES[family].kind != wanted:
            fits = [each for each in self.facts.families if FEATURES[each].kind == wanted]
            what, why = f"stacks is {self.options['stacks']}", f"a {family} is one of kind '{FEATURES[family].kind}'"
            fix = f"set stacks to {3 - self.options['stacks']}, or choose {', '.join(fits)}"
            raise StudyError(what, why=why, fix=fix, where="model.family")
        return super().parts(family, size, start)

    def window(self, context: int) -> Window:
        """One stack: a token more than positions, a target only. Two: prefix and end fit, and so do start and rest."""
        if self.options["stacks"] == 1:
            return Window(context + 1, context)
        text = text_room(context, 1) + 1
        return Window(text, text)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """A window and where its prefix ends."""
        tokens = np.asarray(sample.tokens, np.int64)
        cut = prefix(len(tokens), rng, self.options["low"], self.options["high"])
        if self.options["stacks"] == 2:
            return self.pack(tokens[:cut], tokens[cut:])
        return {"inputs": tokens[:-1], "targets": tokens[1:], "prefix": np.array(cut)}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """One stack: windows of one length; position P - 1 is the first that predicts."""
        if self.options["stacks"] == 2:
            return super().collate(examples, ids)
        inputs, prefixes_b = stack(examples, "inputs"), stack(examples, "prefix")
        predicts = torch.arange(inputs.shape[1]) >= prefixes_b[:, None] - 1
        places = predicts.flatten().nonzero().squeeze(1)
        targets = stack(examples, "targets").flatten()[places]
        tensors = {"inputs": inputs, "prefix": prefixes_b, "places": places, "targets": targets}
        return Batch(tensors, {"prefix_lm": len(places)}, tuple(ids))

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """The states before each target."""
        if self.options["stacks"] == 2:
            return super().rows(parts, batch)
        model, at = parts["model"], batch.tensors
        dtype = next(model.parameters()).dtype
        mask = prefix_mask(at["prefix"], at["inputs"].shape[1], dtype)
        hidden = model(input_ids=at["inputs"], attention_mask=mask)
        return {"prefix_lm": Rows(hidden.flatten(0, 1)[at["places"]], at["targets"])}


def prefix_mask(prefix_b: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """What is added to attention scores (B, 1, T, T): 0 where a position sees another, the lowest number elsewhere.

    Position i sees j where j <= i or j < P. As numbers, not flags, the library's kernels all take it.

    Example:
        >>> (prefix_mask(torch.tensor([2]), 3, torch.float32) == 0).int().tolist()
        [[[[1, 1, 0], [1, 1, 0], [1, 1, 1]]]]
    """
    place = torch.arange(length)
    sees = (place[None, :] <= place[:, None]) | (place < prefix_b[:, None, None])
    return torch.zeros(sees.shape, dtype=dtype).masked_fill_(~sees, torch.finfo(dtype).min)[:, None]
