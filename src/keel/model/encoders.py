"""One family's encoder as another's: which weights of the donor stand where, so that the encoder computes the same.

Encoders that norm behind each block (BERT, RoBERTa) become BART's: a row of the first token type is added to every
position, which BART has instead. Encoders of one class of the library keep their names. No other pair is exact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from keel.errors import StudyError
from keel.model.shapes.folder import Folder

LAYER: Mapping[str, str] = {
    "attention.self.query": "self_attn.q_proj",
    "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "self_attn_layer_norm",
    "intermediate.dense": "fc1",
    "output.dense": "fc2",
    "output.LayerNorm": "final_layer_norm",
}


class Donor(NamedTuple):
    """Names of an encoder that norms behind each block, and the first row of its position table that is a position."""

    prefix: str
    first_position: int


# (donor's family, family of the encoder-decoder): what the donor's weights are called.
INTO: Mapping[tuple[str, str], Donor] = {
    ("bert", "bart"): Donor("bert.", 0),
    ("roberta", "bart"): Donor("roberta.", 2),
    ("xlm-roberta", "bart"): Donor("roberta.", 2),
}
BART_FIRST_POSITION = 2
EPSILON = 1e-05  # what the library's BART adds to a variance; its config has no field for it


def renamed(state: Mapping[str, Tensor], donor: Donor) -> dict[str, Tensor]:
    """The donor's encoder and token table under BART's names.

    Rows of the position table before the first position are those that BART never looks up; they stay 0.
    """
    found = {}
    for name, weight in state.items():
        if match := re.fullmatch(re.escape(donor.prefix) + r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name):
            found[f"model.encoder.layers.{match[1]}.{LAYER[match[2]]}.{match[3]}"] = weight
    for kind in ("weight", "bias"):
        norm = state[f"{donor.prefix}embeddings.LayerNorm.{kind}"]
        found[f"model.encoder.layernorm_embedding.{kind}"] = norm
    found["model.shared.weight"] = state[f"{donor.prefix}embeddings.word_embeddings.weight"]
    positions = state[f"{donor.prefix}embeddings.position_embeddings.weight"][donor.first_position :]
    first_type = state[f"{donor.prefix}embeddings.token_type_embeddings.weight"][0]
    before = positions.new_zeros(BART_FIRST_POSITION, positions.shape[1])
    found["model.encoder.embed_positions.weight"] = torch.cat([before, positions + first_type])
    return found


def unlike(config: Any, donor: Folder) -> list[str]:
    """What the two classes compute otherwise, in words.

    Raises:
        StudyError: it is the activation, which no weight makes up for.
    """
    theirs, ours = donor.config.get("hidden_act"), config.activation_function
    if theirs != ours:
        raise StudyError(f"its activation is {theirs}, a {config.model_type}'s {ours}", where=donor.where,
                         why="the same weights would compute other states", fix="choose another release")  # fmt: skip
    epsilon = donor.config.get("layer_norm_eps")
    return [] if epsilon == EPSILON else [f"epsilon of the norms {epsilon} becomes {EPSILON}"]


def of_encoder(library: Any) -> list[str]:
    """Names of the weights that an encoder-decoder's encoder reads, its token table with them."""
    own = set(library.get_encoder().parameters())
    return [name for name, weight in library.named_parameters() if weight in own]
