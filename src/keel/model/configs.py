"""Shape -> the fields of the library's config, one entry a family. Dropout is 0 everywhere; no torch is needed here.

`fixed` holds what is the same at every size and differs from the library's defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from keel.model.shapes import FEATURES, Shape
from keel.model.shapes.parts import relative_rows, sparse_from

Fields = dict[str, Any]


class Build(NamedTuple):
    """The library's config class, how a shape fills it, and the token ids that the model cannot do without."""

    config: str
    fields: Callable[[Shape], Fields]
    fixed: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()


def _encoder(shape: Shape) -> Fields:
    return {
        "hidden_size": shape.width, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "intermediate_size": shape.feed_forward, "max_position_embeddings": shape.context,
    }  # fmt: skip


def _bert(shape: Shape) -> Fields:
    return _encoder(shape) | {
        "type_vocab_size": shape.token_types, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip


def _roberta(shape: Shape) -> Fields:
    # Positions begin behind the pad token's id, 1.
    return _bert(shape) | {"max_position_embeddings": shape.context + 2}


def _factorised(shape: Shape) -> Fields:
    return _bert(shape) | {"embedding_size": shape.table_width}


def _deberta(shape: Shape) -> Fields:
    return _bert(shape) | {"position_buckets": relative_rows(FEATURES["deberta-v2"], shape) // 2}


def _modernbert(shape: Shape) -> Fields:
    return _encoder(shape) | {"attention_dropout": 0.0, "embedding_dropout": 0.0, "mlp_dropout": 0.0}


def _sparse(shape: Shape) -> Fields:
    # Asked for sparse attention on a short sample, the library turns it off for good, with a warning.
    sparse = shape.context > sparse_from(FEATURES["bigbird"])
    return {"attention_type": "block_sparse" if sparse else "original_full"}


def _bigbird(shape: Shape) -> Fields:
    return _bert(shape) | _sparse(shape)


def _xlm(shape: Shape) -> Fields:
    return {
        "emb_dim": shape.width, "n_layers": shape.layers, "n_heads": shape.heads,
        "max_position_embeddings": shape.context, "n_langs": max(1, shape.token_types),
        "use_lang_emb": shape.token_types > 1, "embed_init_std": shape.width**-0.5,
        "dropout": 0.0, "attention_dropout": 0.0, "summary_first_dropout": 0.0,
    }  # fmt: skip


def _gpt2(shape: Shape) -> Fields:
    return {
        "n_embd": shape.width, "n_layer": shape.layers, "n_head": shape.heads, "n_inner": shape.feed_forward,
        "n_positions": shape.context, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
        "summary_first_dropout": 0.0,
    }  # fmt: skip


def _opt(shape: Shape) -> Fields:
    return {
        "hidden_size": shape.width, "word_embed_proj_dim": shape.width, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "ffn_dim": shape.feed_forward, "max_position_embeddings": shape.context,
        "dropout": 0.0, "attention_dropout": 0.0, "layerdrop": 0.0,
    }  # fmt: skip


def _bloom(shape: Shape) -> Fields:
    return {
        "hidden_size": shape.width, "n_layer": shape.layers, "n_head": shape.heads, "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
    }  # fmt: skip


def _llama(shape: Shape) -> Fields:
    return _encoder(shape) | {"num_key_value_heads": shape.heads, "attention_bias": False, "attention_dropout": 0.0}


def _t5(shape: Shape) -> Fields:
    return {
        "d_model": shape.width, "num_layers": shape.layers, "num_decoder_layers": shape.decoder_layers,
        "num_heads": shape.heads, "d_kv": shape.inner_width // shape.heads, "d_ff": shape.feed_forward,
        "dropout_rate": 0.0,
    }  # fmt: skip


def _bart(shape: Shape) -> Fields:
    return {
        "d_model": shape.width, "encoder_layers": shape.layers, "decoder_layers": shape.decoder_layers,
        "encoder_attention_heads": shape.heads, "decoder_attention_heads": shape.heads,
        "encoder_ffn_dim": shape.feed_forward, "decoder_ffn_dim": shape.feed_forward,
        "max_position_embeddings": shape.context, "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0,
        "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0,
    }  # fmt: skip


def _bigbird_pegasus(shape: Shape) -> Fields:
    return _bart(shape) | _sparse(shape)


DEBERTA_V3 = {
    "relative_attention": True, "max_relative_positions": -1, "norm_rel_ebd": "layer_norm", "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
}  # fmt: skip
# The released head's names; the library's other head computes the same under names of its own.
DEBERTA_V3 |= {"legacy": False}
PAIR = ("pad", "eos", "decoder_start")

BUILDS: Mapping[str, Build] = {
    "bert": Build("BertConfig", _bert),
    "roberta": Build("RobertaConfig", _roberta, {"layer_norm_eps": 1e-5}, ("pad",)),
    "xlm-roberta": Build("XLMRobertaConfig", _roberta, {"layer_norm_eps": 1e-5}, ("pad",)),
    "xlm": Build("XLMConfig", _xlm, {}, ("pad",)),
    "albert": Build("AlbertConfig", _factorised, {"classifier_dropout_prob": 0.0}),
    "electra": Build("ElectraConfig", _factorised, {"summary_last_dropout": 0.0}),
    "deberta-v2": Build("DebertaV2Config", _deberta, DEBERTA_V3),
    "modernbert": Build("ModernBertConfig", _modernbert, {"classifier_dropout": 0.0}),
    "bigbird": Build("BigBirdConfig", _bigbird, {}, ("pad",)),
    "gpt2": Build("GPT2Config", _gpt2),
    "opt": Build("OPTConfig", _opt),
    "bloom": Build("BloomConfig", _bloom),
    "llama": Build("LlamaConfig", _llama),
    "t5": Build("T5Config", _t5, {"feed_forward_proj": "gated-gelu"}, PAIR),
    "bart": Build("BartConfig", _bart, {}, PAIR),
    "mbart": Build("MBartConfig", _bart, {"scale_embedding": True}, PAIR),
    "m2m_100": Build("M2M100Config", _bart, {}, PAIR),
    "bigbird_pegasus": Build("BigBirdPegasusConfig", _bigbird_pegasus, {}, PAIR),
    "alexatm": Build("MBartConfig", _bart, {}, PAIR),
}
