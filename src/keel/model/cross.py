"""Layers in which one modality reads another, with their torch half: own states and the other's -> own states.

Legend: B pairs, n own rows, m rows of the other, d own width, e the other's, h heads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from keel.model.head import DTYPES
from keel.model.shapes import SHAPES, Precision, Shape

EPSILON = 1e-6


class Attention(nn.Module):
    """Queries from one, keys and values from another; `there` (B, m) says which of these are no padding."""

    def __init__(self, width: int, other: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(other, width), nn.Linear(other, width)

    def forward(self, own: Tensor, other: Tensor, there: Tensor | None) -> Tensor:
        """(B, n, d) and (B, m, e) -> (B, n, d)."""
        q, k, v = (self._split(made) for made in (self.query(own), self.key(other), self.value(other)))
        mask = None if there is None else there.bool()[:, None, None, :]
        met = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        found: Tensor = self.output(met.transpose(1, 2).flatten(2))
        return found

    def _split(self, rows: Tensor) -> Tensor:
        return rows.view(*rows.shape[:-1], self.heads, -1).transpose(1, 2)


class CrossLayer(nn.Module):
    """x + self(norm x); x + cross(norm x, y); x + feed-forward(norm x). Norms stand before, as in a ViT."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d, f = shape.width, shape.feed_forward
        self.own_norm, self.other_norm, self.forward_norm = (nn.LayerNorm(d, eps=EPSILON) for _ in range(3))
        self.own, self.other = Attention(d, d, shape.heads), Attention(d, shape.embedding_width, shape.heads)
        self.wide, self.narrow = nn.Linear(d, f), nn.Linear(f, d)

    def forward(self, states: Tensor, other: Tensor, there: Tensor | None, other_there: Tensor | None) -> Tensor:
        """(B, n, d) and (B, m, e) -> (B, n, d)."""
        normed = self.own_norm(states)
        states = states + self.own(normed, normed, there)
        states = states + self.other(self.other_norm(states), other, other_there)
        made: Tensor = states + self.narrow(gelu(self.wide(self.forward_norm(states))))
        return made


class CrossEncoder(nn.Module):
    """L layers, one norm over what is read, one at the end."""

    def __init__(self, shape: Shape, precision: Precision) -> None:
        super().__init__()
        self.shape, self.body_dtype = shape, DTYPES[precision["body"]]
        self.read_norm = nn.LayerNorm(shape.embedding_width, eps=EPSILON)
        self.layers = nn.ModuleList(CrossLayer(shape) for _ in range(shape.layers))
        self.last_norm = nn.LayerNorm(shape.width, eps=EPSILON)

    def forward(
        self, states: Tensor, other: Tensor, there: Tensor | None = None, other_there: Tensor | None = None
    ) -> Tensor:  # fmt: skip
        """(B, n, d) and (B, m, e), each with a mask of what is no padding -> (B, n, d), in fp32 at least."""
        mixed = self.body_dtype != torch.float32
        with torch.autocast(states.device.type, dtype=self.body_dtype, enabled=mixed):
            read = self.read_norm(other)
            for layer in self.layers:
                states = layer(states, read, there, other_there)
            found: Tensor = self.last_norm(states)
        return found.float() if mixed else found


class Crosses:
    """Its family: shape, parameters and FLOP (no torch), and build. It is exported with the towers beside it."""

    def __init__(self) -> None:
        self.name, shapes = "cross", SHAPES["cross"]
        self.shape, self.params, self.flop_per_token = shapes.shape, shapes.params, shapes.flop_per_token

    @torch.no_grad()
    def build(
        self, shape: Shape, precision: Precision, seed: int, ids: Mapping[str, int | None] | None = None,
        head: str = "body",
    ) -> CrossEncoder:  # fmt: skip
        """N(0, 1 / fan-in) for matrices, those into the residual stream 1 / sqrt(3 L) of it; norms 1, biases 0."""
        made = CrossEncoder(shape, precision)
        generator = torch.Generator().manual_seed(seed)
        for name, weight in made.named_parameters():
            if weight.dim() == 1:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            std = weight.shape[1] ** -0.5
            into = name.endswith(("output.weight", "narrow.weight"))
            weight.normal_(0.0, std / math.sqrt(3 * shape.layers) if into else std, generator=generator)
        return made


FAMILY = Crosses()
