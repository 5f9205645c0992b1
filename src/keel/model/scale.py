"""What turns the similarity of two vectors into a logit: z = t s, or t s + b, with t and b learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from keel.model.shapes import Params, Precision, Size


class Begin(NamedTuple):
    """First values of ln t and of b; None where there is no b."""

    log_scale: float
    bias: float | None


# Radford et al. 2021, arXiv:2103.00020, section 2.5; Zhai et al. 2023, arXiv:2303.15343, section 3.2.
BEGINS: Mapping[str, Begin] = {"softmax": Begin(math.log(1 / 0.07), None), "sigmoid": Begin(math.log(10), -10.0)}


class Scale(nn.Module):
    """z = exp(logit_scale) s + logit_bias. Both are vectors of one number: they do not decay, and can be sharded."""

    logit_bias: nn.Parameter | None

    def __init__(self, begin: Begin) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor([begin.log_scale]))
        self.logit_bias = None if begin.bias is None else nn.Parameter(torch.tensor([begin.bias]))

    def forward(self, similarity: Tensor) -> Tensor:
        """Logits of similarities of any shape."""
        logits = similarity * self.logit_scale.exp()
        return logits if self.logit_bias is None else logits + self.logit_bias

    @torch.no_grad()
    def clamp(self, low: float, high: float) -> None:
        """Bring the stored logit_scale back into [low, high]."""
        self.logit_scale.clamp_(low, high)


class Scales:
    """Its family: any size has the same one or two numbers, by its head. It is exported with the towers, `clip.py`."""

    name = "scale"

    def shape(self, size: Size) -> Size:
        """Nothing follows from a size."""
        return size

    def params(self, shape: Size, head: str = "softmax") -> Params:
        """One number, or two."""
        return Params(1 if BEGINS[head].bias is None else 2, 0, 0)

    def flop_per_token(self, shape: Size) -> float:
        """None worth counting beside the towers."""
        return 0.0

    def build(
        self, shape: Size, precision: Precision, seed: int, ids: Mapping[str, int | None] | None = None,
        head: str = "softmax",
    ) -> Scale:  # fmt: skip
        """Nothing is drawn: the first values are the papers'."""
        return Scale(BEGINS[head])


FAMILY = Scales()
