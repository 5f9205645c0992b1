"""The family against the library's own model: parameters, FLOP, logits after export."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from keel import model
from keel.model.head import nll_sum
from keel.model.llama import FAMILY
from keel.model.shapes import SHAPES, Shape, Size

pytestmark = pytest.mark.tensor
FP32 = {"body": "fp32", "head": "fp32"}
SIZES = [
    (16, 2, 512, 128, 8),
    (24, 1, 300, 32, 4),
    (64, 3, 1000, 64, 16),
    (96, 2, 4096, 128, 32),
    (768, 12, 32000, 1024, 64),
]


def size(width: int, layers: int, vocabulary: int, context: int, head_width: int) -> Size:
    return Size(width=width, layers=layers, vocabulary=vocabulary, context=context, head_width=head_width)


@pytest.mark.parametrize("values", SIZES)
def test_parameters_are_the_librarys(values: tuple[int, ...]) -> None:
    shape = FAMILY.shape(size(*values))
    with torch.device("meta"):
        library = FAMILY.library(shape)
    table = library.get_input_embeddings().weight.numel()
    params = FAMILY.params(shape)
    assert sum(weight.numel() for weight in library.parameters()) == params.total
    assert (params.embedding, params.head) == (table, 0)


def test_an_untied_table_is_the_librarys_too() -> None:
    shape = Shape(**{**vars(FAMILY.shape(size(*SIZES[0]))), "tied": False})
    with torch.device("meta"):
        library = FAMILY.library(shape)
    assert sum(weight.numel() for weight in library.parameters()) == FAMILY.params(shape).total


@pytest.mark.parametrize("values", [(64, 2, 512, 64, 16), (48, 3, 300, 128, 8)])
def test_flop_is_what_torch_counts(values: tuple[int, ...]) -> None:
    shape = FAMILY.shape(size(*values))
    trunk = FAMILY.build(shape, FP32, seed=0)
    trunk.library.set_attn_implementation("eager")
    tokens = torch.randint(0, shape.vocabulary, (2, shape.context))
    with FlopCounterMode(display=False) as counter:
        # The counter does not know products into a given place, as keel's head makes them: the plain head stands in.
        (trunk(input_ids=tokens) @ trunk.table.T).logsumexp(-1).sum().backward()
    assert counter.get_total_flops() / tokens.numel() == pytest.approx(FAMILY.flop_per_token(shape), rel=0.01)


def test_an_exported_model_gives_the_same_logits(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    shape = FAMILY.shape(size(*SIZES[0]))
    trunk = FAMILY.build(shape, FP32, seed=1)
    FAMILY.export(trunk, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = torch.randint(0, shape.vocabulary, (2, 40))
    with torch.inference_mode():
        ours = trunk(input_ids=tokens) @ trunk.table.T
        theirs = loaded(input_ids=tokens).logits
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert loaded.config.max_position_embeddings == shape.context
    assert loaded.config.tie_word_embeddings


def test_the_first_loss_is_that_of_guessing() -> None:
    shape = FAMILY.shape(size(*SIZES[2]))
    trunk = FAMILY.build(shape, FP32, seed=0)
    tokens = torch.randint(0, shape.vocabulary, (4, 64), generator=torch.Generator().manual_seed(0))
    loss = nll_sum(trunk(input_ids=tokens[:, :-1]), trunk.table, tokens[:, 1:]).item() / (4 * 63)
    assert loss == pytest.approx(math.log(shape.vocabulary), rel=0.01)


def test_weights_depend_on_the_seed_alone() -> None:
    shape = FAMILY.shape(size(*SIZES[1]))
    torch.manual_seed(5)
    one = FAMILY.build(shape, FP32, seed=3)
    torch.manual_seed(6)
    same, other = FAMILY.build(shape, FP32, seed=3), FAMILY.build(shape, FP32, seed=4)
    for left, right, third in zip(one.parameters(), same.parameters(), other.parameters()):
        assert torch.equal(left, right)
        assert left.dim() == 1 or not torch.equal(left, third)


def test_initial_scales() -> None:
    shape = FAMILY.shape(size(*SIZES[3]))
    weights = dict(FAMILY.build(shape, FP32, seed=0).library.named_parameters())
    for name, weight in weights.items():
        if weight.dim() == 1:
            assert torch.equal(weight, torch.ones_like(weight))
            continue
        expected = 0.02 if "embed" in name else weight.shape[1] ** -0.5
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            expected /= (2 * shape.layers) ** 0.5
        assert weight.std().item() == pytest.approx(expected, rel=0.05), name


def test_nothing_to_the_right_is_seen() -> None:
    shape = FAMILY.shape(size(*SIZES[0]))
    trunk = FAMILY.build(shape, FP32, seed=0)
    tokens = torch.randint(0, shape.vocabulary, (1, 20))
    changed = tokens.clone()
    changed[0, 12:] = (changed[0, 12:] + 1) % shape.vocabulary
    with torch.inference_mode():
        one, other = trunk(input_ids=tokens), trunk(input_ids=changed)
    torch.testing.assert_close(one[:, :12], other[:, :12], rtol=0, atol=1e-6)
    assert not torch.allclose(one[:, 12:], other[:, 12:], atol=1e-3)


def test_a_bf16_body_gives_fp32_hidden_states_near_the_others() -> None:
    shape = FAMILY.shape(size(*SIZES[0]))
    plain, mixed = FAMILY.build(shape, FP32, 0), FAMILY.build(shape, {"body": "bf16", "head": "bf16"}, 0)
    tokens = torch.randint(0, shape.vocabulary, (2, 32))
    with torch.inference_mode():
        one, other = plain(input_ids=tokens), mixed(input_ids=tokens)
    assert other.dtype == torch.float32
    assert mixed.head_precision == "bf16"
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, rtol=0.1, atol=0.1)


def test_families_are_found_by_name() -> None:
    assert model.load("llama") is FAMILY
    assert set(model.FAMILIES) <= set(SHAPES)
