"""What DeBERTa-v3 was pretrained with and the library lacks: the enhanced mask decoder, the discriminator's head.

Legend: B batch, T positions, d width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

APPLIED = 2


class MaskDecoder(nn.Module):
    """Absolute positions enter behind the encoder: the last layer is applied twice, its weights shared.

        h = states of the second-to-last layer;  q_0 = h + p;  q_{i + 1} = layer(query q_i, key and value h),  i = 0, 1

    p (T, d) is its only weight. He et al. describe n layers whose inputs include the positions; that there are two, and
    both the encoder's own last, is their released code. The library runs neither: its `z_steps` is 0 and fails above.

    Reference: He et al. 2021, arXiv:2006.03654, section 3.2.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(
        self, base: Any, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """States (B, T, d) of tokens (B, T) through the layers of `base`."""
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        encoder = base.encoder
        states = base.embeddings(input_ids=input_ids, token_type_ids=token_type_ids, mask=seen)
        shared = {"relative_pos": encoder.get_rel_pos(states), "rel_embeddings": encoder.get_rel_embedding()}
        pairs = encoder.get_attention_mask(seen)
        for layer in encoder.layer[:-1]:
            states = layer(states, pairs, **shared)[0]
        queries: Tensor = states + self.position_embeddings.weight[: input_ids.shape[1]]
        for _ in range(APPLIED):
            queries = encoder.layer[-1](states, pairs, query_states=queries, **shared)[0]
        return queries


class ReplacedHead(nn.Module):
    """z_t = w . f(W norm(h_t + h_1) + b) + c: was token t replaced? (B, T, d) -> (B, T).

    Source: microsoft/DeBERTa, the discriminator of `rtd`; ELECTRA's head lacks the norm and the first state.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.dense_prediction = nn.Linear(config.hidden_size, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """A logit for every position."""
        made: Tensor = self.dense(self.LayerNorm(hidden + hidden[:, :1]))
        logits: Tensor = self.dense_prediction(self.activation(made)).squeeze(-1)
        return logits
