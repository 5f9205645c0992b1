"""CLIP's text tower with its torch half: token ids -> the state of the end token, in the space shared with images.

Legend: B captions, T positions, d width, which is that of the shared space too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from keel.errors import StudyError
from keel.model.head import DTYPES
from keel.model.shapes import SHAPES, Precision, Shape
from keel.model.text import initialise

CLASSES = {"joint": "CLIPTextModelWithProjection", "body": "CLIPTextModel"}
# The library takes a config with this end id for one written before July 2023, and pools at the highest id.
MISREAD_END = 2


class ClipText(nn.Module):
    """Ids and mask (B, T) -> (B, d): the state behind the last norm at the first end token, projected.

    The library pools so too, unless the end id is 2: such a tower is refused when it is built.
    """

    def __init__(self, library: Any, precision: Precision) -> None:
        super().__init__()
        self.library, self.body_dtype = library, DTYPES[precision["body"]]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Pooled states, in fp32 at least; attention is causal, so that nothing behind the end token counts."""
        mixed = self.body_dtype != torch.float32
        with torch.autocast(ids.device.type, dtype=self.body_dtype, enabled=mixed):
            hidden: Tensor = self.library.base_model(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = hidden[torch.arange(len(ids), device=ids.device), self.ends(ids)]
        pooled = pooled.float() if mixed else pooled
        projection = getattr(self.library, "text_projection", None)
        found: Tensor = pooled if projection is None else projection(pooled)
        return found

    def ends(self, ids: Tensor) -> Tensor:
        """The place (B,) of each row's first end token."""
        here = ids == self.library.config.eos_token_id
        assert bool(here.any(1).all()), "a caption has no end token"
        first: Tensor = here.int().argmax(1)
        return first

    def found_table(self) -> Tensor | None:
        """It predicts no tokens."""
        return None


class ClipTexts:
    """The family: shape, parameters and FLOP (no torch), and build, export."""

    def __init__(self) -> None:
        self.name, shapes = "clip-text", SHAPES["clip-text"]
        self.shape, self.params, self.flop_per_token = shapes.shape, shapes.params, shapes.flop_per_token

    def build(
        self, shape: Shape, precision: Precision, seed: int, ids: Mapping[str, int | None], head: str = "joint",
        given: Any = None,
    ) -> ClipText:  # fmt: skip
        """Fresh weights from `seed`, as those of every text family: see `keel.model.text.Text.build`.

        Raises:
            StudyError: there is no end token, or the library would misread its id.
        """
        trunk = ClipText(self.module(shape, head, ids, given), precision)
        weights: Any = trunk
        initialise(weights, shape, seed)
        return trunk

    def module(self, shape: Shape, head: str, ids: Mapping[str, int | None], given: Any = None) -> Any:
        """The library's own module."""
        made = config(shape, ids) if given is None else given
        return getattr(transformers, CLASSES[head])(made)

    def export(self, trunk: ClipText, folder: Path) -> None:
        """Write weights and config as the library itself would."""
        trunk.library.save_pretrained(folder)


def config(shape: Shape, ids: Mapping[str, int | None]) -> Any:
    """The library's config of a shape."""
    end = ids["eos"]
    if end is None or end == MISREAD_END:
        what = "there is no end token" if end is None else f"the end token's id is {end}"
        why = "a caption's state is that of its end token"
        if end is not None:
            why += ", and the library takes this id for a mark of old releases, which pool elsewhere"
        raise StudyError(what, why=why, where="tokenizer.json",
                         fix="choose another tokenizer; in keel's own the separator, id 0, ends a text")  # fmt: skip
    return transformers.CLIPTextConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.width, projection_dim=shape.width,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.context, eos_token_id=end,
        bos_token_id=end if ids["bos"] is None else ids["bos"], pad_token_id=end if ids["pad"] is None else ids["pad"],
    )  # fmt: skip


FAMILY = ClipTexts()
