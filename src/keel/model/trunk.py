"""A library model that stops before its output table, and a head that meets only the rows that the loss needs.

Legend: B batch, T positions, n rows, d width, e table width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from keel.model.head import DTYPES, nll_sum
from keel.model.shapes import Precision


class Head(NamedTuple):
    """Where the library keeps what stands before the table: norm(activation(dense(h))); "" for nothing.

    `table` and `bias` name weights of their own where the library's output embedding does not hold them. `pooler` and
    `pair` are the two layers of a head on pairs of texts: pair(tanh(pooler(h_1))).
    """

    dense: str = ""
    norm: str = ""
    activation: str = "gelu"
    table: str = ""
    bias: str = ""
    pooler: str = ""
    pair: str = ""


PLAIN = Head()
BERT = Head(
    "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", pooler="bert.pooler.dense",
    pair="cls.seq_relationship",
)  # fmt: skip
ROBERTA = Head("lm_head.dense", "lm_head.layer_norm")
# By family; one that is not named has a table and nothing before it.
HEADS: Mapping[str, Head] = {
    "bert": BERT,
    "bigbird": BERT._replace(activation="gelu_new", pooler="bert.pooler"),
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "albert": Head(
        "predictions.dense", "predictions.LayerNorm", "gelu_new", pooler="albert.pooler",
        pair="sop_classifier.classifier",
    ),
    "electra": Head("generator_predictions.dense", "generator_predictions.LayerNorm"),
    "deberta-v2": Head(
        "lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm",
        table="deberta.embeddings.word_embeddings.weight", bias="lm_predictions.lm_head.bias",
    ),
    "modernbert": Head("head.dense", "head.norm"),
}  # fmt: skip


class Trunk(nn.Module):
    """Inputs under the library's own names -> hidden states (B, T, d); of an encoder-decoder, the decoder's.

    `ways` are methods through which its layers are entered beside their `forward`.
    """

    ways: tuple[str, ...] = ()

    def __init__(self, library: Any, head: Head, precision: Precision) -> None:
        super().__init__()
        self.library, self.head = library, head
        self.body_dtype, self.head_precision = DTYPES[precision["body"]], precision["head"]
        # The lookup's gradient touches few rows: it is added to the head's in place, not as a second table.
        lookup = library.get_input_embeddings()
        lookup.sparse = True
        lookup.weight.register_post_accumulate_grad_hook(_dense)

    def forward(self, **inputs: Tensor) -> Tensor:
        """Hidden states after the last norm, in fp32 at least."""
        mixed = self.body_dtype != torch.float32
        with torch.autocast("cpu", dtype=self.body_dtype, enabled=mixed):
            hidden = self._two(**inputs) if "decoder_input_ids" in inputs else self._one(**inputs)
        return hidden.float() if mixed else hidden

    def _one(self, **inputs: Any) -> Tensor:
        base, decoder = self.library.base_model, getattr(self.library, "mask_decoder", None)
        hidden: Tensor = base(**inputs).last_hidden_state if decoder is None else decoder(base, **inputs)
        return hidden

    def _two(self, decoder_input_ids: Tensor, **inputs: Tensor) -> Tensor:
        states = self.encode(**inputs)
        hidden: Tensor = self.library.get_decoder()(
            input_ids=decoder_input_ids, encoder_hidden_states=states,
            encoder_attention_mask=inputs.get("attention_mask"), use_cache=False,
        ).last_hidden_state  # fmt: skip
        return hidden

    def plain(self, **inputs: Any) -> Tensor:
        """Hidden states as the library itself computes them, in the weights' own precision: what a user will load."""
        return self._two(**inputs) if "decoder_input_ids" in inputs else Trunk._one(self, **inputs)

    def encode(self, **inputs: Tensor) -> Tensor:
        """The encoder's states (B, T, d) of an encoder-decoder."""
        states: Tensor = self.library.get_encoder()(**inputs).last_hidden_state
        return states

    def beside(self, *, sides: Tensor, places: Tensor, languages: Tensor) -> dict[str, Tensor]:
        """Of these (B, T), what this model has a table for, under the library's names."""
        config, base = self.library.config, self.library.base_model
        positions = getattr(base, "position_embeddings", None)
        if positions is None and isinstance(getattr(base, "embeddings", None), nn.Module):
            positions = getattr(base.embeddings, "position_embeddings", None)
        given = {}
        if isinstance(positions, nn.Embedding):
            # Where a row is kept for padding, the first position's stands behind it.
            first = 0 if positions.padding_idx is None else positions.padding_idx + 1
            given["position_ids"] = places + first
        if getattr(config, "type_vocab_size", 0) > 1:
            given["token_type_ids"] = sides
        if self.languages:
            given["langs"] = languages
        return given

    @property
    def languages(self) -> int:
        """Rows of the table of languages; 0 for none."""
        config = self.library.config
        return int(config.n_langs) if getattr(config, "use_lang_emb", False) else 0

    @property
    def table(self) -> Tensor:
        """The output table (V, e)."""
        found = self.found_table()
        assert found is not None, "this model's head predicts no tokens"
        return found

    def found_table(self) -> Tensor | None:
        """The output table (V, e), or None behind a head that predicts no tokens."""
        outputs = self.library.get_output_embeddings()
        if outputs is not None and self.head.table:
            return _weight(self.library, self.head.table)
        return None if outputs is None else outputs.weight

    @property
    def bias(self) -> Tensor | None:
        """The output bias (V,), where the family has one."""
        if self.head.bias:
            return _weight(self.library, self.head.bias)
        bias: Tensor | None = getattr(self.library.get_output_embeddings(), "bias", None)
        return bias

    def rows(self, hidden: Tensor) -> Tensor:
        """What meets the table: the head's transform of hidden states (..., d) -> (..., e)."""
        from transformers.activations import ACT2FN

        if not self.head.dense:
            return hidden
        made: Tensor = self.library.get_submodule(self.head.dense)(hidden)
        made = ACT2FN[self.head.activation](made)
        normed: Tensor = self.library.get_submodule(self.head.norm)(made)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """W rows(h) + b: (..., V), for judges and samplers; a loss uses `nll`."""
        return linear(self.rows(hidden), self.table, self.bias)

    def pair(self, hidden: Tensor) -> Tensor:
        """Logits (B, 2) of the head on pairs, from the first state of (B, T, d)."""
        pooled = torch.tanh(self.library.get_submodule(self.head.pooler)(hidden[:, 0]))
        logits: Tensor = self.library.get_submodule(self.head.pair)(pooled)
        return logits

    def replaced(self, hidden: Tensor) -> Tensor:
        """A logit (B, T) for every position of (B, T, d): was its token replaced?"""
        logits: Tensor = self.library.discriminator_predictions(hidden)
        return logits

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Sum of -ln p(target) over rows (..., d) and targets (...), in nats; logits are never stored."""
        return nll_sum(self.rows(hidden), self.table, targets, self.head_precision, self.bias)


def _dense(weight: Tensor) -> None:
    """Optimiser, clipping and ranks see a dense gradient, also where the loss has no head."""
    if weight.grad is not None and weight.grad.is_sparse:
        weight.grad = weight.grad.to_dense()


def _weight(library: Any, path: str) -> Tensor:
    module, _, name = path.rpartition(".")
    found: Tensor = getattr(library.get_submodule(module), name)
    return found
