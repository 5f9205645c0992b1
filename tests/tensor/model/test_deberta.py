"""DeBERTa-v3's own parts: the enhanced mask decoder and the discriminator's head, against the library's layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from keel import model
from keel.model import deberta, families
from keel.model.deberta import MaskDecoder
from keel.model.shapes import SHAPES, Shape, Size, Use

pytestmark = pytest.mark.tensor
IDS = {"pad": 0, "bos": 1, "eos": 2, "decoder_start": 1}
SHAPES_OF = SHAPES["deberta-v2"]
FP32 = {"body": "fp32", "head": "fp32"}


def shape_of(**changes: int) -> Shape:
    plain = {"width": 32, "layers": 3, "vocabulary": 60, "context": 24, "head_width": 8}
    return SHAPES_OF.shape(Size(**(plain | changes)))


def made(head: str, **changes: int) -> Any:
    return model.load("deberta-v2").build(shape_of(**changes), FP32, 0, IDS, head).double()


def tokens(rows: int = 3, length: int = 24) -> Tensor:
    return torch.randint(4, 60, (rows, length), generator=torch.Generator().manual_seed(0))


def test_applied_once_without_positions_it_is_the_librarys_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries are then the states themselves: an ordinary last layer."""
    trunk = made("enhanced")
    monkeypatch.setattr(deberta, "APPLIED", 1)
    with torch.no_grad():
        trunk.library.mask_decoder.position_embeddings.weight.zero_()
    seen = torch.ones(3, 24, dtype=torch.long)
    seen[1, 15:] = 0
    theirs = trunk.library.deberta(input_ids=tokens(), attention_mask=seen).last_hidden_state
    torch.testing.assert_close(trunk(input_ids=tokens(), attention_mask=seen), theirs, rtol=0, atol=1e-12)


def attended(layer: Any, queries: Tensor, states: Tensor, table: Tensor) -> Tensor:
    """One layer written out: scores (q k + q r_k + k r_q) / sqrt(3 d), residual from the query."""
    attention, heads = layer.attention.self, layer.attention.self.num_attention_heads
    rows, length, width = states.shape

    def split(made: Tensor) -> Tensor:
        return made.view(*made.shape[:-1], heads, width // heads).transpose(-3, -2)

    q, k, v = (split(part(x)) for part, x in (
        (attention.query_proj, queries), (attention.key_proj, states), (attention.value_proj, states),
    ))  # fmt: skip
    buckets = attention.pos_ebd_size
    distance = torch.arange(length)[:, None] - torch.arange(length)
    # Beyond half the buckets they are logarithmic; no distance here is.
    assert length <= buckets // 2
    r_k, r_q = split(attention.key_proj(table)), split(attention.query_proj(table))
    scores = q @ k.transpose(-1, -2)
    for i in range(length):
        for j in range(length):
            there = (distance[i, j] + buckets).clamp(0, 2 * buckets - 1)
            scores[:, :, i, j] += (q[:, :, i] * r_k[:, there]).sum(-1) + (k[:, :, j] * r_q[:, there]).sum(-1)
    mixed = torch.softmax(scores / (3 * width / heads) ** 0.5, -1) @ v
    mixed = mixed.transpose(1, 2).reshape(rows, length, width)
    out = layer.attention.output
    once = out.LayerNorm(out.dense(mixed) + queries)
    inner = nn.functional.gelu(layer.intermediate.dense(once))
    done: Tensor = layer.output.LayerNorm(layer.output.dense(inner) + once)
    return done


def test_the_last_layer_is_applied_twice_to_queries_that_know_their_place() -> None:
    """By hand: h the states below the last layer, q = h + p, then twice the layer with key and value h."""
    trunk, given = made("enhanced"), tokens(2, 12)
    base, places = trunk.library.deberta, trunk.library.mask_decoder.position_embeddings.weight
    with torch.no_grad():
        places.normal_()
        states = base(input_ids=given, output_hidden_states=True).hidden_states[-2]
        queries, table = states + places[:12], base.encoder.get_rel_embedding()
        for _ in range(2):
            queries = attended(base.encoder.layer[-1], queries, states, table)
        # The library takes the square root in fp32.
        torch.testing.assert_close(trunk(input_ids=given), queries, rtol=1e-6, atol=1e-6)


def test_the_mask_decoder_knows_places_that_distances_cannot_tell() -> None:
    """A text of one token: the plain model gives one state for all inner places, the decoder does not."""
    trunk, given = made("enhanced", context=64, layers=1), torch.full((1, 64), 7)
    with torch.no_grad():
        trunk.library.deberta.encoder.rel_embeddings.weight.zero_()
        plain = trunk.library.deberta(input_ids=given).last_hidden_state[0]
        found = trunk(input_ids=given)[0]
    assert (plain - plain[0]).abs().max() < 1e-9
    assert (found[1:] - found[0]).abs().amax(1).min() > 1e-3


@pytest.mark.parametrize("changes", [{}, {"layers": 1}, {"width": 64, "context": 300, "vocabulary": 301}])
def test_parameters_are_exact_and_all_learn(changes: dict[str, int]) -> None:
    shape = shape_of(**changes)
    counts = {head: SHAPES_OF.params(shape, head).total for head in ("body", "tokens", "enhanced", "replaced")}
    d = shape.width
    assert counts["enhanced"] == counts["tokens"] + shape.context * d
    assert counts["replaced"] == counts["body"] + 2 * d + d * d + d + d + 1
    for head, count in counts.items():
        module = families.library("deberta-v2", shape, head=head, **IDS)
        assert families.count(module) == count
    trunk = made("enhanced", **changes)
    hidden = trunk(input_ids=tokens(2, shape.context))
    trunk.nll(hidden[:, 3], torch.tensor([5, 6])).backward()
    assert [name for name, weight in trunk.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("head", ["enhanced", "replaced"])
def test_flop_is_what_torch_counts(head: str) -> None:
    shape = shape_of(width=64, head_width=16, context=48)
    trunk = model.load("deberta-v2").build(shape, FP32, 0, IDS, head)
    given = tokens(2, 48)
    with FlopCounterMode(display=False) as counter:
        hidden = trunk(input_ids=given)
        (trunk.logits(hidden) if head == "enhanced" else trunk.replaced(hidden)).sum().backward()
    expected = SHAPES_OF.flop(shape, Use(48, 0, 48, 2), head)
    assert counter.get_total_flops() / 2 == pytest.approx(expected, rel=1e-3)


def test_the_discriminators_head_by_hand() -> None:
    head = made("replaced").library.discriminator_predictions
    hidden = torch.randn(2, 5, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    joined = hidden + hidden[:, :1]
    centred = joined - joined.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + head.LayerNorm.eps).sqrt()
    inner = nn.functional.gelu(normed @ head.dense.weight.T + head.dense.bias)
    expected = inner @ head.dense_prediction.weight[0] + head.dense_prediction.bias
    torch.testing.assert_close(head(hidden), expected, rtol=1e-10, atol=1e-12)


def test_padding_changes_no_state() -> None:
    trunk, given = made("enhanced"), tokens(1, 16)
    longer = torch.cat([given, torch.zeros(1, 8, dtype=torch.long)], 1)
    seen = torch.cat([torch.ones(1, 16), torch.zeros(1, 8)], 1).long()
    with torch.no_grad():
        alone, beside = trunk(input_ids=given), trunk(input_ids=longer, attention_mask=seen)[:, :16]
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-12)


def test_the_library_has_no_such_decoder() -> None:
    """Its own `z_steps` is 0 by default and ends in an error above: the day it works, ours can go."""
    module = families.library("deberta-v2", shape_of(), **IDS)
    assert module.deberta.z_steps == 0
    module.deberta.z_steps = 2
    with pytest.raises(AttributeError):
        module(input_ids=tokens())
    assert MaskDecoder(module.config).position_embeddings.weight.shape == (24, 32)
