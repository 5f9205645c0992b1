"""Llama-shaped decoders: the library's architecture, keel's head.

Legend: B batch, T context, d width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keel.errors import StudyError
from keel.model.llama_fast import hidden_states, quicken
from keel.model.shapes import LlamaShapes, Precision, Shape
from keel.model.trunk import PLAIN, Head, Trunk

NO_IDS: Mapping[str, int | None] = {}


class LlamaTrunk(Trunk):
    """(B, T) tokens -> (B, T, d) hidden states after the last norm, by keel's own forward pass where it can."""

    ways = ("fast",)

    def __init__(self, library: Any, head: Head, precision: Precision) -> None:
        super().__init__(library, head, precision)
        quicken(library.base_model)

    def _one(self, **inputs: Tensor) -> Tensor:
        plain = set(inputs) == {"input_ids"} and self.library.config._attn_implementation == "sdpa"
        if not plain:
            return super()._one(**inputs, use_cache=False)
        mixed = self.body_dtype != torch.float32
        return hidden_states(self.library.base_model, inputs["input_ids"], self.body_dtype if mixed else None)


class Llama(LlamaShapes):
    """The Llama family: shape, parameters, FLOP (no torch), and config, build, export."""

    def config(self, shape: Shape) -> Any:
        """The library's config of a shape."""
        from transformers import LlamaConfig

        return LlamaConfig(
            vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.feed_forward,
            num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.heads,
            max_position_embeddings=shape.context, tie_word_embeddings=shape.tied, attention_bias=False,
            bos_token_id=0, eos_token_id=0,
        )  # fmt: skip

    def library(self, shape: Shape, given: Any = None) -> Any:
        """The library's own module of a shape (or of a `given` config), with its own initial weights."""
        from transformers import LlamaForCausalLM

        return LlamaForCausalLM(self.config(shape) if given is None else given)

    def module(self, shape: Shape, head: str, ids: Mapping[str, int | None]) -> Any:
        """The library's own module; a decoder has one head."""
        return self.library(shape)

    def build(
        self, shape: Shape, precision: Precision, seed: int, ids: Mapping[str, int | None] = NO_IDS,
        head: str = "tokens", given: Any = None,
    ) -> Trunk:  # fmt: skip
        """Fresh weights from `seed`: N(0, 1/d) for matrices, residual outputs and table smaller, norms at 1.

        Matrices into the residual stream are scaled by 1/sqrt(2 L) (Radford et al. 2019, section 2.3); the tied table
        starts at .02 so that the first loss is ln V.

        Raises:
            StudyError: a head that a decoder has not.
        """
        if head != "tokens":
            raise StudyError(f"a llama has no head '{head}'", why="it predicts tokens, from the left alone",
                             fix="choose another family or objective", where="head")  # fmt: skip
        library = self.library(shape, given)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in library.named_parameters():
                if weight.dim() == 1:
                    weight.fill_(1.0)
                    continue
                std = 0.02 if "embed" in name else weight.shape[1] ** -0.5
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    std /= (2 * shape.layers) ** 0.5
                weight.normal_(0.0, std, generator=generator)
        return LlamaTrunk(library, PLAIN, precision)

    def export(self, trunk: Trunk, folder: Path) -> None:
        """Write weights and config as the library itself would."""
        trunk.library.save_pretrained(folder)


FAMILY = Llama()
