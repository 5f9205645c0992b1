"""One family's encoder in another's place computes the same states; what cannot do so exactly is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from helpers import study_error

from keel import model
from keel.model import encoders
from keel.model.shapes import Size, folder
from keel.objective.base import Part, Released
from keel.run import starts
from keel.run.began import Began

pytestmark = pytest.mark.tensor
FP32 = {"body": "fp32", "head": "fp32"}
IDS = {"pad": 1, "bos": 0, "eos": 2, "decoder_start": 3}
SIZE = Size(width=16, layers=2, vocabulary=40, context=32, head_width=8)
TOKENS = torch.arange(5, 25)[None]


def donor(family: str, path: Path, size: Size = SIZE) -> tuple[Any, Released]:
    """A tiny model whose every weight is random, norms too, and its folder."""
    kind = model.load(family)
    made = kind.build(kind.shape(size), FP32, 1, IDS)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    kind.export(made, path)
    return made, Released(str(path), folder.read(path).sha256(), "encoder")


def begin(family: str, start: Released, size: Size = SIZE) -> tuple[Any, Began]:
    return starts.build(Part(family=family, size=size, start=start), starts.source_of(start, None), FP32, 7, IDS)


def states(trunk: Any) -> torch.Tensor:
    """What the encoder gives for a few tokens."""
    if trunk.library.config.is_encoder_decoder:
        return trunk.encode(input_ids=TOKENS)
    return trunk(input_ids=TOKENS)


@pytest.mark.parametrize("pair", encoders.INTO)
def test_an_encoder_that_norms_behind_each_block_is_barts(pair: tuple[str, str], tmp_path: Path) -> None:
    source, start = donor(pair[0], tmp_path)
    trunk, began = begin(pair[1], start)
    assert any("epsilon of the norms 1e-12 becomes 1e-05" in note for note in began.notes) == (pair[0] == "bert")
    for part in source.modules():
        if isinstance(part, torch.nn.LayerNorm):
            part.eps = encoders.EPSILON
    torch.testing.assert_close(states(trunk), states(source), rtol=0, atol=1e-5)
    assert all(name in began.taken for name in encoders.of_encoder(trunk.library))
    assert all(".decoder." in name for name in began.missing)
    assert "model.decoder.layers.1.encoder_attn.q_proj.weight" in began.missing
    assert any(name.startswith(("cls.", "lm_head.")) for name in began.unexpected)


def test_positions_moved_by_one_row_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, start = donor("bert", tmp_path)
    monkeypatch.setattr(encoders, "BART_FIRST_POSITION", 1)
    trunk, _ = begin("bart", start, replace(SIZE, context=30))
    assert (states(trunk) - states(source)).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("source_family", "family", "changes"),
    [("mbart", "alexatm", {}), ("alexatm", "alexatm", {"decoder_layers": 1}), ("t5", "t5", {"decoder_layers": 3}),
     ("bart", "bart", {"decoder_layers": 1, "context": 24}), ("m2m_100", "m2m_100", {"decoder_layers": 1})],
)  # fmt: skip
def test_encoders_of_one_class_keep_their_names(
    source_family: str, family: str, changes: dict[str, int], tmp_path: Path
) -> None:
    source, start = donor(source_family, tmp_path)
    trunk, began = begin(family, start, replace(SIZE, **changes))
    torch.testing.assert_close(states(trunk), states(source), rtol=0, atol=1e-6)
    assert not set(began.missing) & set(encoders.of_encoder(trunk.library))
    assert any("decoder" in name for name in began.unexpected)


def test_alexatms_three_tables_begin_as_the_encoders(tmp_path: Path) -> None:
    source, start = donor("alexatm", tmp_path)
    trunk, began = begin("alexatm", start)
    table = source.library.get_encoder().embed_tokens.weight
    tables = (
        trunk.library.get_encoder().embed_tokens.weight,
        trunk.library.get_decoder().embed_tokens.weight,
        trunk.table,
    )
    assert all(torch.equal(found, table) for found in tables)
    assert len({found.data_ptr() for found in tables}) == 3
    assert "the decoder's table and the output's begin as the encoder's" in began.notes


def test_longer_vocabularies_grow_in_the_table_that_all_share(tmp_path: Path) -> None:
    _, start = donor("roberta", tmp_path)
    _, began = begin("bart", start, replace(SIZE, vocabulary=44))
    assert began.grown == {"model.shared.weight": 4}


@pytest.mark.parametrize(
    ("source_family", "family", "changes", "words"),
    [("bert", "bart", {"layers": 1}, "layers is 1, and the release has 2"),
     ("bert", "bart", {"context": 64}, "32 positions"), ("bert", "alexatm", {}, "choose the family bart"),
     ("modernbert", "bart", {}, "a modernbert cannot start a bart"), ("electra", "t5", {}, "cannot start"),
     ("bert", "bert", {}, "a bert has no encoder beside a decoder")],
)  # fmt: skip
def test_what_is_not_exact_is_refused(
    source_family: str, family: str, changes: dict[str, int], words: str, tmp_path: Path
) -> None:
    _, start = donor(source_family, tmp_path)
    with study_error(words):
        begin(family, start, replace(SIZE, **changes))


def test_another_activation_is_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=40,
        max_position_embeddings=32, hidden_act="relu", pad_token_id=1,
    )  # fmt: skip
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    with study_error("its activation is relu, a bart's gelu"):
        begin("bart", Released(str(tmp_path), folder.read(tmp_path).sha256(), "encoder"))
