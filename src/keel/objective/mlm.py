"""Masked language modelling: some tokens are hidden or replaced, and predicted from both sides.

Legend: B samples, T positions, n targets, d width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from keel.objective.base import (
    Batch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Rows,
    Sample,
    Stats,
    Sums,
    Window,
    stack,
)
from keel.objective.corrupt import corrupt
from keel.objective.facts import FACTS, Facts
from keel.objective.masks import choose
from keel.objective.options import OPTIONS, Known


class MLM(Objective):
    """L = sum over chosen t of -ln p(x_t | corrupted x), in nats; count = chosen tokens.

    Windows cross document borders. Options: `rate`, `unit` (token, word, ngram), `count` (exact, bernoulli), `mask` and
    `random` (what stands in their place), `masks` (k > 0: k masks a window, one an epoch in turn; 0: a new one always).
    The head meets the chosen positions only. Reference: Devlin et al. 2019, arXiv:1810.04805, section 3.1.

    Raises:
        StudyError: an option is unknown, of another kind or outside its range; all of them.
    """

    name: ClassVar[str] = "mlm"
    facts: ClassVar[Facts] = FACTS["mlm"]
    known: ClassVar[Known] = OPTIONS["mlm"]
    terms: tuple[str, ...] = ("mlm",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = self.known.checked(self.options, self.name)
        self.variants = self.options["masks"]

    def window(self, context: int) -> Window:
        """One token less than positions: the first one holds the start token."""
        return Window(context - 1, context - 1)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """start, then the window with its chosen tokens corrupted; the flags say which are targets."""
        return self.hide(np.concatenate([[self.vocabulary.id_of("start")], sample.tokens]).astype(np.int64), rng)

    def hide(self, tokens: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """`tokens` [T], which of them are `chosen` [T], and the `inputs` [T] with these corrupted."""
        at, known = self.options, self.vocabulary
        chosen = choose(
            tokens, rng, known, rate=at["rate"], unit=at["unit"], count=at["count"], ngram=at["ngram"]
        )  # fmt: skip
        inputs = corrupt(tokens, chosen, rng, known, mask=at["mask"], random=at["random"])
        return {"inputs": inputs, "tokens": tokens, "chosen": chosen}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Targets in one row, and where they stand in the flattened batch."""
        chosen = torch.from_numpy(np.stack([example["chosen"] for example in examples])).reshape(-1)
        places = chosen.nonzero().squeeze(1)
        targets = stack(examples, "tokens").reshape(-1)[places]
        tensors = {"inputs": stack(examples, "inputs"), "places": places, "targets": targets}
        return Batch(tensors, {"mlm": len(places)}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sum over the chosen positions."""
        model: Any = parts["model"]
        return {name: model.nll(*rows) for name, rows in self.rows(parts, batch).items()}, None, {}

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """The chosen positions."""
        hidden = parts["model"](input_ids=batch.tensors["inputs"])
        return {"mlm": Rows(hidden.flatten(0, 1)[batch.tensors["places"]], batch.tensors["targets"])}
