"""A released folder: its size from its config alone, and every way in which it can be unfit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import study_error

from keel.files import digest, sha256_file
from keel.model.shapes import SHAPES, Size, folder
from keel.model.shapes.released import RELEASED

# Fields of config.json files as they were released.
BERT_BASE = {
    "model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "vocab_size": 30522,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "bert-base-uncased": BERT_BASE,
    "roberta-base": BERT_BASE | {"model_type": "roberta", "max_position_embeddings": 514, "type_vocab_size": 1,
                                 "vocab_size": 50265},
    "gpt2": {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_inner": None,
             "vocab_size": 50257},
    "opt-125m": {"model_type": "opt", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                 "ffn_dim": 3072, "max_position_embeddings": 2048, "vocab_size": 50272},
    "electra-small-generator": {
        "model_type": "electra", "hidden_size": 256, "num_hidden_layers": 12, "num_attention_heads": 4,
        "intermediate_size": 1024, "embedding_size": 128, "max_position_embeddings": 512, "type_vocab_size": 2,
        "vocab_size": 30522},
    "t5-v1_1-large": {
        "model_type": "t5", "d_model": 1024, "num_layers": 24, "num_decoder_layers": 24, "num_heads": 16, "d_kv": 64,
        "d_ff": 2816, "n_positions": 512, "tie_word_embeddings": False, "vocab_size": 32128},
    "bart-large": {
        "model_type": "bart", "d_model": 1024, "encoder_layers": 12, "decoder_layers": 12,
        "encoder_attention_heads": 16, "encoder_ffn_dim": 4096, "max_position_embeddings": 1024, "vocab_size": 50265},
    "xlm-mlm-tlm-xnli15-1024": {
        "model_type": "xlm", "emb_dim": 1024, "n_layers": 12, "n_heads": 8, "n_langs": 15, "use_lang_emb": True,
        "max_position_embeddings": 512, "vocab_size": 95000},
}  # fmt: skip


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., Path]:
    """A folder with this config and a file where weights would be."""

    def made(config: dict[str, Any], **files: str) -> Path:
        (tmp_path / "config.json").write_text(json.dumps(config))
        for name, text in (files or {"model.safetensors": "weights"}).items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return made


@pytest.mark.parametrize("name", CONFIGS)
def test_the_size_of_a_release_is_that_of_the_catalogue(name: str, release: Callable[..., Path]) -> None:
    found = folder.read(release(CONFIGS[name]))
    family, size, _ = RELEASED[name]
    assert found.family == family
    assert SHAPES[family].shape(found.size()) == SHAPES[family].shape(size)


def test_the_digest_is_over_names_and_contents(release: Callable[..., Path]) -> None:
    path = release(BERT_BASE)
    before = folder.read(path).sha256()
    assert before == digest({name: sha256_file(path / name) for name in ("config.json", "model.safetensors")})
    (path / "README.md").write_text("more")
    assert folder.read(path).sha256() == before
    (path / "model.safetensors").write_text("weightz")
    assert folder.read(path).sha256() != before


def test_shards_are_read_from_their_index(release: Callable[..., Path]) -> None:
    index = json.dumps({"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors"}})
    files = {"model.safetensors.index.json": index, "model-1.safetensors": "x", "model-2.safetensors": "y"}
    found = folder.read(release(BERT_BASE, **files))
    assert found.weights == ("model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors")


def test_mbart_with_three_tables_is_alexatms_shape(release: Callable[..., Path]) -> None:
    config = CONFIGS["bart-large"] | {"model_type": "mbart"}
    assert folder.read(release(config)).family == "mbart"
    assert folder.read(release(config | {"tie_word_embeddings": False})).family == "alexatm"


def test_a_context_that_no_config_names_must_be_said(release: Callable[..., Path]) -> None:
    bloom = {"model_type": "bloom", "hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": 300}
    found = folder.read(release(bloom))
    assert found.context() is None
    with study_error("config.json names no context"):
        found.size()
    assert found.size(128) == Size(width=64, layers=2, vocabulary=300, context=128, head_width=16)


INDEX = "model.safetensors.index.json"
BAD: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "pickle": (BERT_BASE, {"pytorch_model.bin": "x"}, "pytorch_model.bin is not safetensors"),
    "other pickle": (BERT_BASE, {"weights.pth": "x"}, "runs whatever code it holds"),
    "no weights": (BERT_BASE, {"vocab.txt": "x"}, "the weights are missing"),
    "shard missing": (BERT_BASE, {INDEX: '{"weight_map": {"a": "m-1.safetensors"}}'}, "m-1.safetensors is missing"),
    "shard elsewhere": (BERT_BASE, {INDEX: '{"weight_map": {"a": "../m.safetensors"}}'}, "the index names '../m"),
    "shard a pickle": (BERT_BASE, {INDEX: '{"weight_map": {"a": "m.bin"}}'}, "the index names 'm.bin'"),
    "index no JSON": (BERT_BASE, {INDEX: "{"}, "the index of shards cannot be read"),
    "index a list": (BERT_BASE, {INDEX: "[]"}, "the index of shards cannot be read"),
    "index empty": (BERT_BASE, {INDEX: '{"weight_map": {}}'}, "names none"),
    "unknown": (BERT_BASE | {"model_type": "brt"}, {}, "did you mean 'bert'?"),
    "no type": ({"hidden_size": 3}, {}, "unknown architecture None"),
    "quantised": (BERT_BASE | {"quantization_config": {"bits": 4}}, {}, "its weights are quantised"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_an_unfit_folder_is_refused_by_name(name: str, release: Callable[..., Path]) -> None:
    config, files, words = BAD[name]
    with study_error(words):
        folder.read(release(config, **files))


SIZES = {
    "no width": (BERT_BASE | {"hidden_size": None}, "config.json has no hidden_size"),
    "uneven heads": (BERT_BASE | {"num_attention_heads": 7}, "7 heads of a width of 768"),
    "own output table": (BERT_BASE | {"tie_word_embeddings": False}, "tie_word_embeddings is False"),
    "tied t5": (CONFIGS["t5-v1_1-large"] | {"tie_word_embeddings": True}, "tie_word_embeddings is True"),
    "wide heads": (CONFIGS["t5-v1_1-large"] | {"d_kv": 128}, "16 heads of a width of 1024"),
    "grouped queries": (
        {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
         "num_key_value_heads": 2, "intermediate_size": 170, "max_position_embeddings": 64, "vocab_size": 100},
        "2 key-value heads for 4 heads"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_a_size_that_no_model_here_has(name: str, release: Callable[..., Path]) -> None:
    config, words = SIZES[name]
    with study_error(words):
        folder.read(release(config)).size()


@pytest.mark.parametrize("text", ["", "{", "[]", '"bert"'])
def test_a_config_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    with study_error("config.json is missing"):
        folder.read(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with study_error("config.json cannot be read"):
        folder.read(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with study_error("is not there", str(tmp_path / "x")):
        folder.read(tmp_path / "x")
