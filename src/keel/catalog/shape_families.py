"""How each family of the catalogue is counted: which features its released models have, as data, with the source.

A `Counted` family goes through the arithmetic of keel.model.shapes; a `Decoder` has grouped queries, experts or norms
on heads that it does not know; a `Patches` sees images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from keel.model.shapes.features import FEATURES, Features
from keel.model.shapes.size import four_widths


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Features of keel.model.shapes; `squares`: d x d matrices more in a layer; `tail_squares`: behind the layers.

    head_widths: where heads x width of a head is not the model's width, by id, "" for the whole family.
    """

    features: Features
    source: str
    head: str = "tokens"
    tied: bool = True
    embedding_width: int = 0
    only_embedding: frozenset[str] = frozenset()
    head_widths: Mapping[str, int] = field(default_factory=dict)
    squares: int = 0
    tail_squares: int = 0


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A stack with grouped queries; norms: vectors of width d in a layer; head_norms: on queries and keys."""

    source: str
    gated: bool = True
    biases: bool = False
    query_bias: bool = False
    norms: int = 2
    head_norms: bool = False
    untied: bool = True
    exceptions: frozenset[str] = frozenset()
    head_widths: Mapping[str, int] = field(default_factory=dict)
    experts: int = 1
    active_experts: int = 1


@dataclass(frozen=True, kw_only=True)
class Patches:
    """A vision transformer on patches of `patch` pixels a side (by id where it differs), with a classifier or none."""

    source: str
    pixels: int
    patch: int
    classes: int
    patches: Mapping[str, int] = field(default_factory=dict)


def _of(name: str, **changes: Any) -> Features:
    return replace(FEATURES[name], **changes)


CONFIG = "config.json of the released models"
TIMM = "pytorch-image-models, the models' own definitions"
T5_HEADS = {"": 64, "t5-3b": 128, "t5-11b": 128}
_T5 = FEATURES["t5"]
_MODERN = Counted(features=FEATURES["modernbert"], source=CONFIG)
_LLAMA = Decoder(source=CONFIG)
_LLAMA_TIED = Decoder(source=CONFIG, untied=False)
_GEMMA_3 = {"": 256, "gemma-3-27b": 128}
_VIT = Patches(source=TIMM, pixels=224, patch=16, classes=1000)

RULES: Mapping[str, Counted | Decoder | Patches] = {
    "BERT": Counted(features=FEATURES["bert"], source=CONFIG, head="sentences"),
    "DistilBERT": Counted(features=_of("bert", token_types=0), source=CONFIG),
    "RoBERTa": Counted(features=FEATURES["roberta"], source=CONFIG),
    "XLM-R": Counted(features=FEATURES["xlm-roberta"], source=CONFIG),
    "XLM": Counted(features=FEATURES["xlm"], source=CONFIG),
    "ALBERT": Counted(features=FEATURES["albert"], source=CONFIG, head="body", embedding_width=128),
    "ELECTRA": Counted(
        features=FEATURES["electra"], source=CONFIG, head="replaced", embedding_width=128,
        only_embedding=frozenset({"electra-small"}),
    ),
    # Keys and queries of positions have projections of their own (DeBERTa) or share those of the content (v2, v3).
    "DeBERTa": Counted(features=_of("deberta-v2", distance_buckets=512), source=CONFIG, head="body", squares=2),
    # v2 has a convolution of three tokens behind the first layer.
    "DeBERTa-v2": Counted(features=FEATURES["deberta-v2"], source=CONFIG, head="body", tail_squares=3),
    "DeBERTa-v3": Counted(features=FEATURES["deberta-v2"], source=CONFIG, head="body"),
    "ModernBERT": _MODERN,
    "mmBERT": _MODERN,
    "Ettin": _MODERN,
    "BigBird": Counted(features=FEATURES["bigbird"], source=CONFIG, head="body"),
    # Relative positions have a projection of their own in every layer.
    "XLNet": Counted(
        features=_of("bert", position_offset=None, token_types=0, attention_bias=False), source=CONFIG, head="body",
        squares=1,
    ),
    "GPT-2": Counted(features=FEATURES["gpt2"], source=CONFIG),
    "GPT-Neo": Counted(features=_of("gpt2", attention_bias=False), source=CONFIG),
    "GPT-J": Counted(
        features=_of("gpt2", attention_bias=False, position_offset=None), source=CONFIG, tied=False,
    ),
    "GPT-NeoX": Counted(features=_of("gpt2", position_offset=None), source=CONFIG, tied=False),
    "Pythia": Counted(features=_of("gpt2", position_offset=None), source=CONFIG, tied=False),
    "Phi": Counted(features=_of("gpt2", position_offset=None), source=CONFIG, tied=False),
    "OPT": Counted(features=FEATURES["opt"], source=CONFIG),
    "BLOOM": Counted(features=FEATURES["bloom"], source=CONFIG),
    "XGLM": Counted(features=_of("opt", position_offset=None), source=CONFIG),
    "T5": Counted(
        features=replace(_T5, gated=False, feed_forward=four_widths), source=CONFIG, head_widths=T5_HEADS,
    ),
    "T5 v1.1": Counted(features=_T5, source=CONFIG, tied=False, head_widths={"": 64}),
    "FLAN-T5": Counted(features=_T5, source=CONFIG, tied=False, head_widths={"": 64}),
    "mT5": Counted(features=_T5, source=CONFIG, tied=False, head_widths={"": 64}),
    "ByT5": Counted(features=_T5, source=CONFIG, tied=False, head_widths={"": 64}),
    "UL2": Counted(features=_T5, source=CONFIG, tied=False, head_widths={"": 256}),
    "BART": Counted(features=FEATURES["bart"], source=CONFIG),
    "mBART": Counted(features=FEATURES["mbart"], source=CONFIG),
    "M2M-100": Counted(features=FEATURES["m2m_100"], source=CONFIG),
    "PEGASUS": Counted(features=FEATURES["m2m_100"], source=CONFIG),
    "BigBird-Pegasus": Counted(features=FEATURES["bigbird_pegasus"], source=CONFIG),
    "LLaMA": _LLAMA,
    "Llama 2": _LLAMA,
    "Llama 3": _LLAMA,
    "Llama 3.1": _LLAMA,
    "Llama 3.2": _LLAMA_TIED,
    "TinyLlama": _LLAMA,
    "Mistral": _LLAMA,
    "SmolLM2": _LLAMA_TIED,
    "SmolLM3": _LLAMA_TIED,
    "EuroBERT": _LLAMA_TIED,
    "OLMo": Decoder(source=CONFIG, norms=0, exceptions=frozenset({"olmo-1b"})),
    "OLMo 2": Decoder(source=CONFIG, norms=4),
    "Mixtral": Decoder(source=CONFIG, experts=8, active_experts=2),
    "Qwen2.5": Decoder(
        source=CONFIG, query_bias=True, exceptions=frozenset({"qwen2.5-0.5b", "qwen2.5-1.5b", "qwen2.5-3b"}),
    ),
    "Qwen3": Decoder(
        source=CONFIG, head_norms=True, head_widths={"": 128},
        exceptions=frozenset({"qwen3-0.6b", "qwen3-1.7b", "qwen3-4b"}),
    ),
    "Gemma": Decoder(source=CONFIG, untied=False, head_widths={"": 256}),
    "Gemma 2": Decoder(source=CONFIG, untied=False, norms=4, head_widths={"": 256, "gemma-2-27b": 128}),
    "Gemma 3": Decoder(source=CONFIG, untied=False, norms=4, head_norms=True, head_widths=_GEMMA_3),
    "Falcon": Decoder(source=CONFIG, gated=False, untied=False, norms=4),
    "ViT": _VIT,
    "DeiT": _VIT,
    "DeiT III": replace(_VIT, patches={"deit3-huge": 14}),
    "BEiT": _VIT,
    "MAE": replace(_VIT, classes=0, patches={"mae-huge": 14}),
    "DINOv2": Patches(source="facebookresearch/dinov2 MODEL_CARD", pixels=518, patch=14, classes=0),
}  # fmt: skip
