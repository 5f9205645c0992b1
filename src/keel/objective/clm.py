"""Causal language modelling on packed windows: every token is predicted from those before it.

Windows cross document borders; the separator token marks them and attention is not masked there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
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
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS


class CLM(Objective):
    """L = sum_t -ln p(x_t | x_<t), in nats; count = predicted tokens. It has no options.

    Reference: Radford et al. 2019, section 2.

    Raises:
        StudyError: an option.
    """

    facts: ClassVar[Facts] = FACTS["clm"]
    terms = ("clm",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["clm"].checked(self.options, "clm")

    def window(self, context: int) -> Window:
        """One token more than positions: the last one is a target only."""
        return Window(context + 1, context)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """A window of T + 1 tokens as T inputs and T targets, shifted by one."""
        return {"inputs": sample.tokens[:-1], "targets": sample.tokens[1:]}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Stack windows of one length."""
        inputs, targets = stack(examples, "inputs"), stack(examples, "targets")
        return Batch({"inputs": inputs, "targets": targets}, {"clm": targets.numel()}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sum of next-token losses."""
        model: Any = parts["model"]
        return {name: model.nll(*rows) for name, rows in self.rows(parts, batch).items()}, None, {}

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """Every position."""
        hidden = parts["model"](input_ids=batch.tensors["inputs"])
        return {"clm": Rows(hidden.flatten(0, 1), batch.tensors["targets"].flatten())}
