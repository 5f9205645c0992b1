"""Text families with their torch half: a shape and a seed -> a Trunk with keel's initial weights; and the way out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from keel.model import families
from keel.model.families import library
from keel.model.shapes import SHAPES, Precision, Shape
from keel.model.trunk import HEADS, PLAIN, Trunk

TABLE_STD = 0.02
# Matrices that write into the residual stream, by the ends of their names in the library.
INTO_RESIDUAL = (
    "attention.output.dense.weight", "output.dense.weight", "ffn_output.weight", "attention.dense.weight",
    "out_lin.weight", "lin2.weight", "o_proj.weight", "down_proj.weight", "out_proj.weight", "fc2.weight",
    "c_proj.weight", "Wo.weight", "self_attention.dense.weight", "dense_4h_to_h.weight", "Attention.o.weight",
    "DenseReluDense.wo.weight", "self_attn.output.weight", "linear2.weight",
)  # fmt: skip
# Attention without 1 / sqrt(head width): the query's weights carry it (Raffel et al. 2020, arXiv:1910.10683, the code).
UNSCALED_QUERY = ("Attention.q.weight",)
# The library keeps these as (in, out).
TRANSPOSED = ("Conv1D",)


class Text:
    """A family by name: shape, parameters and FLOP (no torch), and build, export."""

    def __init__(self, name: str) -> None:
        self.name, shapes = name, SHAPES[name]
        self.shape, self.params, self.flop_per_token = shapes.shape, shapes.params, shapes.flop_per_token

    def build(
        self, shape: Shape, precision: Precision, seed: int, ids: Mapping[str, int | None], head: str = "tokens",
        given: Any = None,
    ) -> Trunk:  # fmt: skip
        """Fresh weights from `seed`: N(0, 1 / fan-in) for matrices, those into the residual stream 1 / sqrt(2 L) of it.

        Tables N(0, .02^2), so that the first loss of a tied head is ln V; norms at 1, biases at 0.
        Reference: Radford et al. 2019, section 2.3 (residual scaling).
        """
        made = self.module(shape, head, ids, given)
        trunk = Trunk(made, HEADS.get(self.name, PLAIN), precision)
        initialise(trunk, shape, seed)
        return trunk

    def module(self, shape: Shape, head: str, ids: Mapping[str, int | None], given: Any = None) -> Any:
        """The library's own module."""
        return library(
            self.name, shape, head=head, pad=ids["pad"], bos=ids["bos"], eos=ids["eos"],
            decoder_start=ids["decoder_start"], given=given,
        )  # fmt: skip

    def export(self, trunk: Trunk, folder: Path) -> None:
        """Write weights and config as the library itself would."""
        families.export(trunk.library, folder)


@torch.no_grad()
def initialise(trunk: Trunk, shape: Shape, seed: int) -> None:
    """Overwrite all weights, in the order of their names, from one generator."""
    generator = torch.Generator().manual_seed(seed)
    owners, table = dict(trunk.library.named_modules()), trunk.found_table()
    for name, weight in trunk.library.named_parameters():
        owner = owners[name.rpartition(".")[0]]
        if isinstance(owner, nn.Embedding) or weight is table:
            weight.normal_(0.0, TABLE_STD, generator=generator)
        elif weight.dim() == 1:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            weight.normal_(0.0, _std(name, owner, weight, shape), generator=generator)


def _std(name: str, owner: nn.Module, weight: torch.Tensor, shape: Shape) -> float:
    fan_in = weight.shape[0] if type(owner).__name__ in TRANSPOSED else weight.shape[-1]
    std = float(fan_in**-0.5)
    if name.endswith(INTO_RESIDUAL):
        std /= math.sqrt(2 * (shape.layers + shape.decoder_layers))
    if name.endswith(UNSCALED_QUERY):
        std /= math.sqrt(shape.inner_width / shape.heads)
    return std
