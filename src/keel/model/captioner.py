"""A decoder of captions with its torch half: text alone, then text that attends to an image.

Legend: B captions, m rows of text (longest of them), q vectors of an image, d width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from keel.model.head import DTYPES, nll_sum
from keel.model.shapes import SHAPES, Precision, Shape
from keel.model.text import initialise


class Read(NamedTuple):
    """Rows of text (B, m, d) behind the first half; one state a caption (B, d), in fp32 at least, of "aligned" ones."""

    rows: Tensor
    aligned: Tensor | None


class Captioner(nn.Module):
    """Pre-norm layers of torch, both halves causal. Nothing here is masked by an id: a row's length says what it holds.

    An aligned one has a learned vector right behind a caption's last token. What stands behind it is padding, so that
    by causality alone it sees every token of its caption and no padding, and no token sees it.
    """

    def __init__(self, shape: Shape, precision: Precision, head: str) -> None:
        super().__init__()
        parts = SHAPES["captioner"].heads[head]  # type: ignore[attr-defined]
        d, same = shape.width, (shape.width, shape.heads, shape.feed_forward, 0.0, "gelu")
        self.shape, self.head, self.precision = shape, head, precision
        self.body_dtype = DTYPES[precision["body"]]
        self.token_embedding = nn.Embedding(shape.vocabulary, d)
        self.position_embedding = nn.Embedding(shape.context, d)
        self.first = nn.ModuleList(
            nn.TransformerEncoderLayer(*same, batch_first=True, norm_first=True) for _ in range(shape.layers)
        )
        self.second = nn.ModuleList(
            nn.TransformerDecoderLayer(*same, batch_first=True, norm_first=True) for _ in range(shape.decoder_layers)
        )
        self.norm = nn.LayerNorm(d)
        self.own_table = nn.Linear(d, shape.vocabulary, bias=False) if "table" in parts else None
        aligned = "cls" in parts
        self.cls_embedding = nn.Embedding(1, d) if aligned else None
        self.cls_norm = nn.LayerNorm(d) if aligned else None
        self.onto = nn.Linear(d, d, bias=False) if aligned else None

    def read(self, ids: Tensor, lengths: Tensor) -> Read:
        """Ids (B, m) and lengths (B,) -> what the first half makes of them."""
        with self._autocast(ids):
            rows = self._embed(ids, lengths)
            for layer in self.first:
                rows = layer(rows, src_mask=_causal(rows), is_causal=True)
            found = None
            if self.cls_norm is not None:
                found = self.cls_norm(rows[torch.arange(len(ids), device=ids.device), self.cls_places(ids, lengths)])
        if found is not None and self.onto is not None:
            found = self.onto(found.float() if self.body_dtype != torch.float32 else found)
        return Read(rows[:, : ids.shape[1]], found)

    def cls_places(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Where the vector behind each caption stands, (B,): right behind its last token."""
        return lengths

    def _embed(self, ids: Tensor, lengths: Tensor) -> Tensor:
        rows = self.token_embedding(ids)
        if self.cls_embedding is not None:
            rows = torch.cat([rows, torch.zeros_like(rows[:, :1])], 1)
            here = torch.arange(rows.shape[1], device=ids.device) == self.cls_places(ids, lengths)[:, None]
            rows = torch.where(here[..., None], self.cls_embedding.weight[0], rows)
        placed: Tensor = rows + self.position_embedding.weight[: rows.shape[1]]
        return placed

    def write(self, rows: Tensor, image: Tensor) -> Tensor:
        """Rows (B, m, d) of `read` and vectors of images (B, q, d) -> states (B, m, d) that meet the output table."""
        with self._autocast(rows):
            for layer in self.second:
                rows = layer(rows, image, tgt_mask=_causal(rows), tgt_is_causal=True)
            found: Tensor = self.norm(rows)
        return found.float() if self.body_dtype != torch.float32 else found

    @property
    def table(self) -> Tensor:
        """The output table (V, d)."""
        return self.token_embedding.weight if self.own_table is None else self.own_table.weight

    def nll(self, states: Tensor, targets: Tensor) -> Tensor:
        """Sum of -ln p(target) over states (n, d) and targets (n,), in nats."""
        return nll_sum(states, self.table, targets, self.precision["head"])

    def nats(self, states: Tensor, targets: Tensor) -> Tensor:
        """-ln p of each target: (B, m, d) and (B, m) -> (B, m), for judges."""
        return cross_entropy(self.logits(states).flatten(0, 1).float(), targets.flatten(), reduction="none").view_as(
            targets
        )

    def logits(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., V)."""
        return states @ self.table.T

    def _autocast(self, like: Tensor) -> Any:
        mixed = self.body_dtype != torch.float32
        return torch.autocast(like.device.type, dtype=self.body_dtype, enabled=mixed)

    @property
    def library(self) -> nn.Module:
        """Itself: it is made of torch's own modules."""
        return self

    def found_table(self) -> Tensor | None:
        """Where tokens are predicted."""
        return self.table


def _causal(rows: Tensor) -> Tensor:
    """What torch's layers ask for beside being told that attention is causal."""
    return nn.Transformer.generate_square_subsequent_mask(rows.shape[1], device=rows.device, dtype=rows.dtype)


class Captioners:
    """The family: shape, parameters and FLOP (no torch), and build. It is exported with all else, `coca.py`."""

    def __init__(self) -> None:
        self.name, shapes = "captioner", SHAPES["captioner"]
        self.shape, self.params, self.flop_per_token = shapes.shape, shapes.params, shapes.flop_per_token

    def build(
        self, shape: Shape, precision: Precision, seed: int, ids: Mapping[str, int | None] | None = None,
        head: str = "tokens", given: Any = None,
    ) -> Captioner:  # fmt: skip
        """Fresh weights from `seed`, as those of every text family: see `keel.model.text.Text.build`."""
        made = Captioner(shape, precision, head)
        weights: Any = made
        initialise(weights, shape, seed)
        return made


FAMILY = Captioners()
