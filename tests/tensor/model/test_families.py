"""Every text family against the library's own model: parameters, FLOP, saved values, ids, a round trip through disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from keel.errors import StudyError
from keel.model.configs import BUILDS
from keel.model.families import CLASSES, config, count, export, library, table
from keel.model.shapes import FEATURES, HEAD_ROWS, SHAPES, Shape, Size, Use
from keel.model.shapes.released import RELEASED

pytestmark = pytest.mark.tensor
FP32 = {"body": "fp32", "head": "fp32"}
IDS = {"pad": 1, "bos": 0, "eos": 2, "decoder_start": 3}
SIZES = [
    {"width": 16, "layers": 1, "vocabulary": 40, "context": 32, "head_width": 8},
    {"width": 24, "layers": 3, "vocabulary": 301, "context": 300, "head_width": 4},
    {"width": 64, "layers": 2, "vocabulary": 1000, "context": 768, "head_width": 16},
]
OPTIONS = {
    "encoder": {}, "decoder": {"feed_forward": 40}, "encoder-decoder": {"decoder_layers": 2, "feed_forward": 40},
}  # fmt: skip
# Their forward pass asks for a tensor's value (masks, lengths), which the meta device has not.
READS_VALUES = {"xlm", "deberta-v2", "bigbird", "bigbird_pegasus", "gpt2"}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(level)


def shape_of(family: str, **changes: int) -> Shape:
    return SHAPES[family].shape(Size(**(SIZES[2] | changes)))


def meta(family: str, shape: Shape, head: str = "tokens") -> Any:
    with torch.device("meta"):
        return library(family, shape, head=head, **IDS)


def test_every_family_has_its_torch_half() -> None:
    assert set(BUILDS) == set(FEATURES) == {released.family for released in RELEASED.values()} | {"llama"}
    assert set(FEATURES) < set(SHAPES)
    assert set(CLASSES) == {(features.kind, head) for features in FEATURES.values() for head in features.heads}


@pytest.mark.parametrize("family", FEATURES)
def test_parameters_are_the_librarys(family: str) -> None:
    shapes, features = SHAPES[family], FEATURES[family]
    chosen = {} if features.feed_forward_fixed else OPTIONS[features.kind]
    for plain in SIZES:
        for changes in ({}, chosen):
            shape = shapes.shape(Size(**(plain | changes)))
            for head in features.heads:
                module, params = meta(family, shape, head), shapes.params(shape, head)
                assert count(module) == params.total, (plain, changes, head)
                assert module.get_input_embeddings().weight.shape == (shape.vocabulary, shape.table_width)


@pytest.mark.parametrize("family", sorted(set(FEATURES) - {"deberta-v2"}))
def test_tying_the_other_way_is_the_librarys_too(family: str) -> None:
    shape = shape_of(family)
    other = replace(shape, tied=not shape.tied)
    assert count(meta(family, other)) == SHAPES[family].params(other).total


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "albert", "bart", "bigbird_pegasus"])
def test_untied_every_parameter_learns(family: str) -> None:
    shape = replace(shape_of(family, layers=2, context=32, vocabulary=60), tied=False)
    module = library(family, shape, **IDS)
    tokens = torch.arange(5, 37)[None]
    target = {"decoder_input_ids": tokens} if shape.decoder_layers else {}
    module(input_ids=tokens, **target).logits.pow(2).sum().backward()
    assert not [name for name, weight in module.named_parameters() if weight.grad is None]


@pytest.mark.parametrize(
    ("family", "changes"),
    [("electra", {"embedding_width": 16}), ("albert", {"embedding_width": 16}), ("xlm", {"token_types": 5}),
     ("bert", {"token_types": 3}), ("deberta-v2", {"token_types": 2, "context": 100})],
)  # fmt: skip
def test_options_are_the_librarys_too(family: str, changes: dict[str, int]) -> None:
    shape = shape_of(family, **changes)
    for head in FEATURES[family].heads:
        assert count(meta(family, shape, head)) == SHAPES[family].params(shape, head).total


@pytest.mark.parametrize("name", ["albert-base-v2, body and pooler", "electra-small-generator", "t5-v1_1-base"])
def test_released_sizes_are_the_librarys(name: str) -> None:
    family, released, head = RELEASED[name]
    shape = SHAPES[family].shape(released)
    assert count(meta(family, shape, head)) == SHAPES[family].params(shape, head).total


def counted_flop(family: str, shape: Shape, use: Use, head: str) -> float:
    """What torch's own counter finds in a forward and a backward pass, a sample."""
    with torch.device("cpu" if family in READS_VALUES else "meta"):
        module = library(family, shape, head=head, **IDS).train()
        if module.config._attn_implementation == "sdpa":
            module.set_attn_implementation("eager")  # the counter finds nothing in the fused kernel of a CPU
        tokens = torch.full((use.batch, use.encoder), 5)
        target = {"decoder_input_ids": torch.full((use.batch, use.decoder), 5)} if use.decoder else {}
        with FlopCounterMode(display=False) as counter:
            out = module(input_ids=tokens, **target)
            sum(out[key].sum() for key in out if key.endswith("logits")).backward()
    return counter.get_total_flops() / use.batch


@pytest.mark.parametrize("family", FEATURES)
def test_flop_is_what_torch_counts(family: str) -> None:
    features, shapes = FEATURES[family], SHAPES[family]
    shape = shape_of(family, context=48, vocabulary=500)
    decoder = 24 if features.kind == "encoder-decoder" else 0
    for head in (name for name in features.heads if name != "body"):
        for batch in (1, 3) if features.distance_buckets else (2,):
            use = Use(48, decoder, decoder or 48, batch)
            counted = counted_flop(family, shape, use, head)
            assert shapes.flop(shape, use, head) == pytest.approx(counted, rel=1e-3), (head, batch)


@pytest.mark.parametrize("family", ["bigbird", "bigbird_pegasus"])
def test_flop_of_sparse_attention_is_what_torch_counts(family: str) -> None:
    shape = shape_of(family, width=16, head_width=8, layers=1, vocabulary=50, context=832)
    use = Use(832, 16 * bool(shape.decoder_layers), 16 if shape.decoder_layers else 832)
    assert SHAPES[family].flop(shape, use) == pytest.approx(counted_flop(family, shape, use, "tokens"), rel=1e-3)


def saved_values(module: Any, tokens: torch.Tensor, target: torch.Tensor | None) -> float:
    """Values that autograd keeps for the backward pass, the weights' own apart, in 4 bytes each."""
    known = {weight.untyped_storage().data_ptr() for weight in (*module.parameters(), *module.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(input_ids=tokens, **({} if target is None else {"decoder_input_ids": target}))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / 4


# The trunk of `keel.model.llama` runs a forward pass of its own, and its count is of that.
@pytest.mark.parametrize("family", sorted(set(FEATURES) - {"llama"}))
def test_activations_are_what_autograd_keeps(family: str) -> None:
    (few, few_said), (many, many_said) = (kept_and_said(family, layers, torch.full((8, 48), 5)) for layers in (2, 4))
    # DeBERTa keeps an index of the distances beside them, which all samples share and the count leaves out.
    rel = 0.05 if FEATURES[family].distance_buckets else 0.01
    assert many_said - few_said == pytest.approx(many - few, rel=rel)


def test_activations_of_sparse_attention_are_what_autograd_keeps() -> None:
    (few, few_said), (many, many_said) = (kept_and_said("bigbird", n, torch.full((2, 768), 5)) for n in (1, 2))
    assert many_said - few_said == pytest.approx(many - few, rel=0.02)


def kept_and_said(family: str, layers: int, tokens: torch.Tensor) -> tuple[float, float]:
    """Values that the library's module keeps for these tokens, and those that `memory_bytes` counts."""
    shape = shape_of(family, layers=layers, context=tokens.shape[1], vocabulary=40)
    module = library(family, shape, **IDS).train()
    if module.config._attn_implementation == "sdpa":
        module.set_attn_implementation("eager")
    kept = saved_values(module.base_model, tokens, tokens if shape.decoder_layers else None)
    empty, full = (SHAPES[family].memory_bytes(shape, number, FP32) for number in (0, tokens.numel()))
    return kept, (full - empty - 3.0 * 4 * min(tokens.numel(), HEAD_ROWS) * shape.vocabulary) / 4


@pytest.mark.parametrize("family", FEATURES)
def test_nothing_is_dropped_and_every_id_is_the_vocabularys(family: str) -> None:
    module = meta(family, shape_of(family))
    assert all(part.p == 0 for part in module.modules() if isinstance(part, torch.nn.Dropout))
    fields = module.config.to_dict()
    assert not {name: value for name, value in fields.items() if "drop" in name and value}
    assert (fields["pad_token_id"], fields["eos_token_id"]) == (1, 2)
    roles = {name: value for name, value in fields.items() if name.endswith("_token_id")}
    assert set(roles.values()) - {None} <= set(IDS.values())
    if FEATURES[family].kind == "encoder-decoder":
        assert fields["decoder_start_token_id"] == 3
    assert fields["tie_word_embeddings"] == FEATURES[family].tied


def test_all_that_is_wrong_with_the_ids_is_told() -> None:
    with pytest.raises(StudyError) as caught:
        library("bart", shape_of("bart"), pad=1000, eos=None, head="replaced")
    assert [problem.where for problem in caught.value.problems] == ["head", "eos", "decoder_start", "pad"]
    with pytest.raises(StudyError, match="pad and eos are one token"):
        library("bert", shape_of("bert"), pad=2, eos=2)
    with pytest.raises(StudyError, match="unknown family 'brt'") as caught:
        library("brt", shape_of("bert"))
    assert caught.value.problems[0].fix == "did you mean 'bert'?"


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_positions_behind_the_pad_token_leave_room_for_its_id(family: str) -> None:
    shape = shape_of(family, context=32)
    tokens = torch.full((1, 32), 5)
    for pad in (0, 1):
        library(family, shape, pad=pad)(input_ids=tokens)
    with pytest.raises(StudyError, match="pad is 2"):
        library(family, shape, pad=2)
    with pytest.raises(StudyError, match="no pad token"):
        library(family, shape)


def test_t5_1_1_has_an_output_table_of_its_own_and_scales_nothing() -> None:
    """The library's config forces tying: `T5Config(tie_word_embeddings=False)` alone gives one table."""
    module = library("t5", shape_of("t5"), **IDS)
    assert module.lm_head.weight is not module.shared.weight
    assert module.encoder.embed_tokens is module.decoder.embed_tokens is module.shared
    assert module.config.scale_decoder_outputs is False


def test_alexatm_looks_up_three_tables_and_each_learns() -> None:
    module = library("alexatm", shape_of("alexatm", layers=2, context=32), **IDS)
    encoder, decoder = module.model.encoder.embed_tokens.weight, module.model.decoder.embed_tokens.weight
    tokens = torch.arange(5, 37)[None]
    module(input_ids=tokens, decoder_input_ids=tokens).logits.pow(2).sum().backward()
    tables = (encoder, decoder, module.lm_head.weight)
    assert len({table.data_ptr() for table in tables}) == 3
    assert all(table.grad is not None and table.grad.abs().sum() > 0 for table in tables)
    assert not [name for name, weight in module.named_parameters() if weight.grad is None]


@pytest.mark.parametrize("family", ["t5", "alexatm", "roberta", "deberta-v2", "albert"])
def test_an_exported_model_gives_the_same_logits(family: str, tmp_path: Path) -> None:
    shape = shape_of(family, width=16, head_width=8, context=32, vocabulary=60)
    module = library(family, shape, **IDS).eval()
    export(module, tmp_path)
    kind = getattr(transformers, CLASSES[FEATURES[family].kind, "tokens"])
    loaded = kind.from_pretrained(tmp_path).eval()
    tokens = torch.arange(5, 37)[None]
    target = {"decoder_input_ids": tokens} if shape.decoder_layers else {}
    with torch.inference_mode():
        ours, theirs = module(input_ids=tokens, **target).logits, loaded(input_ids=tokens, **target).logits
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_llama_is_that_of_its_own_file() -> None:
    from keel.model.llama import FAMILY

    shape = shape_of("llama")
    ours, theirs = config("llama", shape, {"bos": 0, "eos": 0}).to_dict(), FAMILY.config(shape).to_dict()
    assert ours == theirs


def test_the_table_holds_ours_against_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keel.model.families.RELEASED", {"gpt2": RELEASED["gpt2"]})
    head, line = table()
    assert head.split()[-2:] == ["ours", "library"]
    assert line.split()[-2:] == ["124,439,808", "124,439,808"]
