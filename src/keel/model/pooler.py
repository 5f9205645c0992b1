"""A pooler with its torch half: states of an image -> one vector a learned query.

Legend: B images, r states of an image, d their width, q queries, e width of the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from keel.model.head import DTYPES
from keel.model.shapes import SHAPES, Precision, Shape
from keel.model.text import initialise


class Pooler(nn.Module):
    """One layer of attention from q learned queries to normed states, a norm, and ("joint") a linear layer."""

    def __init__(self, shape: Shape, precision: Precision, head: str) -> None:
        super().__init__()
        self.shape, self.head, self.body_dtype = shape, head, DTYPES[precision["body"]]
        self.queries_embedding = nn.Embedding(shape.queries, shape.width)
        self.norm_states = nn.LayerNorm(shape.embedding_width)
        self.norm_queries = nn.LayerNorm(shape.width)
        self.attention = nn.MultiheadAttention(
            shape.width, shape.heads, kdim=shape.embedding_width, vdim=shape.embedding_width, batch_first=True
        )
        self.norm = nn.LayerNorm(shape.width)
        self.onto = nn.Linear(shape.width, shape.width, bias=False) if head == "joint" else None

    def forward(self, states: Tensor) -> Tensor:
        """(B, r, d) -> (B, q, e), in fp32 at least."""
        mixed = self.body_dtype != torch.float32
        with torch.autocast(states.device.type, dtype=self.body_dtype, enabled=mixed):
            kept = self.norm_states(states)
            asked = self.norm_queries(self.queries_embedding.weight).expand(len(states), -1, -1)
            found: Tensor = self.norm(self.attention(asked, kept, kept, need_weights=False)[0])
        found = found.float() if mixed else found
        return found if self.onto is None else self.onto(found)

    @property
    def library(self) -> nn.Module:
        """Itself: it is made of torch's own modules."""
        return self

    def found_table(self) -> Tensor | None:
        """It predicts no tokens."""
        return None


class Poolers:
    """The family: shape, parameters and FLOP (no torch), and build. It is exported with all else, `coca.py`."""

    def __init__(self) -> None:
        self.name, shapes = "pooler", SHAPES["pooler"]
        self.shape, self.params, self.flop_per_token = shapes.shape, shapes.params, shapes.flop_per_token

    def build(
        self, shape: Shape, precision: Precision, seed: int, ids: Mapping[str, int | None] | None = None,
        head: str = "body", given: Any = None,
    ) -> Pooler:  # fmt: skip
        """Fresh weights from `seed`: N(0, 1 / fan-in), queries N(0, .02^2), norms 1, biases 0."""
        made = Pooler(shape, precision, head)
        weights: Any = made
        initialise(weights, shape, seed)
        return made


FAMILY = Poolers()
