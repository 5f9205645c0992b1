"""The decoder of captions and the poolers: counted exactly, causal, and blind to padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from keel import model
from keel.model.captioner import Captioner
from keel.model.pooler import Pooler
from keel.model.shapes import SHAPES, Size, Use
from keel.model.shapes.captioner import CaptionerShapes
from keel.model.shapes.pooler import PoolerShapes, pooler_size

pytestmark = pytest.mark.tensor
FP32, BF16 = {"body": "fp32", "head": "fp32"}, {"body": "bf16", "head": "fp32"}
SIZE = Size(width=32, layers=2, decoder_layers=3, vocabulary=50, context=14, head_width=8, queries=5)
IMAGE = Size(width=48, layers=1, vocabulary=0, context=9, head_width=8, patch=2, embedding_width=32)
HEADS = tuple(CaptionerShapes.heads)


def decoder(head: str = "aligned", seed: int = 0) -> Captioner:
    made: Captioner = model.load("captioner").build(SHAPES["captioner"].shape(SIZE), FP32, seed, {}, head)
    return made


def captions(more: int = 0, pad: int = 7) -> tuple[Tensor, Tensor]:
    """Three captions of 9, 4 and 6 tokens, with so much padding behind the longest."""
    ids = torch.randint(0, 50, (3, 9), generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9, 4, 6])
    ids[torch.arange(9) >= lengths[:, None]] = pad
    return torch.cat([ids, torch.full((3, more), pad)], 1), lengths


@pytest.mark.parametrize("head", HEADS)
def test_parameters_of_a_decoder_are_counted(head: str) -> None:
    with torch.device("meta"):
        made = Captioner(SHAPES["captioner"].shape(SIZE), FP32, head)
    assert sum(weight.numel() for weight in made.parameters()) == SHAPES["captioner"].params(made.shape, head).total


@pytest.mark.parametrize("head", ["body", "joint"])
def test_parameters_and_products_of_a_pooler_are_counted(head: str) -> None:
    shapes = SHAPES["pooler"]
    shape = shapes.shape(pooler_size(IMAGE, 4))
    assert isinstance(shapes, PoolerShapes)
    made = Pooler(shape, FP32, head)
    assert sum(weight.numel() for weight in made.parameters()) == shapes.params(shape, head).total
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        made(torch.zeros(3, 10, 48))
    assert counter.get_total_flops() == 3 * 2 * shapes.products(shape, Use(10), head)


@pytest.mark.parametrize("head", HEADS)
def test_products_of_a_decoder_are_what_torch_counts(head: str) -> None:
    shapes, made = SHAPES["captioner"], decoder(head)
    assert isinstance(shapes, CaptionerShapes)
    ids, lengths = captions()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        made.logits(made.write(made.read(ids, lengths).rows, torch.zeros(3, 5, 32)))
    assert counter.get_total_flops() == 3 * 2 * shapes.products(made.shape, Use(9, 0, 9), head)


def test_a_head_of_its_own_is_another_table() -> None:
    tied, own = decoder("tokens"), decoder("own-tokens")
    assert tied.table is tied.token_embedding.weight
    assert own.table is not own.token_embedding.weight
    assert own.table.shape == tied.table.shape


def test_the_state_of_a_caption_knows_nothing_of_its_padding() -> None:
    """However much there is, and whatever stands there."""
    made = decoder().double().eval()
    ids, lengths = captions()
    with torch.inference_mode():
        plain = made.read(ids, lengths).aligned
        for more, pad in ((1, 7), (1, 0), (0, 3)):
            padded, _ = captions(more, pad)
            torch.testing.assert_close(made.read(padded, lengths).aligned, plain, rtol=0, atol=1e-12)
        alone = made.read(ids[1:2, :4], lengths[1:2]).aligned
    assert plain is not None
    torch.testing.assert_close(alone, plain[1:2], rtol=0, atol=1e-12)


def test_the_state_of_a_caption_has_seen_all_of_its_tokens() -> None:
    made = decoder().double().eval()
    ids, lengths = captions()
    with torch.inference_mode():
        plain = made.read(ids, lengths).aligned
        assert plain is not None
        for row, length in enumerate(lengths.tolist()):
            for place in range(length):
                other = ids.clone()
                other[row, place] = (other[row, place] + 1) % 50
                moved = made.read(other, lengths).aligned
                assert moved is not None
                apart = (moved - plain).abs().amax(1) > 1e-6
                assert apart.tolist() == [each == row for each in range(3)]


def test_a_vector_behind_the_padding_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The known bug of the released code, in the product: it stands at the end of the row, and looks at padding."""

    def at_the_end(self: Captioner, ids: Tensor, lengths: Tensor) -> Tensor:
        return torch.full_like(lengths, ids.shape[1])

    monkeypatch.setattr(Captioner, "cls_places", at_the_end)
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        test_the_state_of_a_caption_knows_nothing_of_its_padding()


@pytest.mark.parametrize("head", HEADS)
def test_a_token_is_told_from_those_before_it(head: str) -> None:
    """Its row changes with no token behind it, nor with the vector behind the caption or with padding."""
    made, image = decoder(head).double().eval(), torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(2))
    ids, lengths = captions()

    def said(tokens: Tensor) -> Tensor:
        return made.write(made.read(tokens, lengths).rows, image.double())

    with torch.inference_mode():
        plain = said(ids)
        for place in range(9):
            other = ids.clone()
            other[:, place] = (other[:, place] + 1) % 50
            moved = (said(other) - plain).abs().amax(2) > 1e-9
            for row, length in enumerate(lengths.tolist()):
                real = moved[row, :length].tolist()
                assert real == [place <= each for each in range(length)] if place < length else not any(real)


def test_the_second_half_alone_sees_the_image() -> None:
    made, image = decoder().double(), torch.randn(3, 5, 32, dtype=torch.float64, requires_grad=True)
    read = made.read(*captions())
    assert read.aligned is not None
    (grad,) = torch.autograd.grad(read.aligned.sum() + read.rows.sum(), image, allow_unused=True)
    assert grad is None
    (grad,) = torch.autograd.grad(made.write(read.rows, image).square().sum(), image)
    assert bool((grad.abs().amax(2) > 0).all())


def test_every_weight_learns() -> None:
    made, ask = decoder("own-aligned"), Pooler(SHAPES["pooler"].shape(pooler_size(IMAGE, 5)), FP32, "joint")
    with torch.no_grad():
        for weight in [*made.parameters(), *ask.parameters()]:
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    read = made.read(*captions())
    assert read.aligned is not None
    out = made.logits(made.write(read.rows, ask(torch.randn(3, 10, 48))))
    (out.square().sum() + read.aligned.square().sum()).backward()
    both: list[tuple[str, nn.Parameter]] = [*made.named_parameters(), *ask.named_parameters()]
    assert [name for name, weight in both if weight.grad is None or not weight.grad.any()] == []


def test_weights_follow_from_the_seed() -> None:
    one, other, third = decoder(), decoder(), decoder(seed=1)
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
    assert not torch.equal(one.onto.weight, third.onto.weight) if one.onto and third.onto else False
    second: Any = one.second
    into = torch.cat([layer.linear2.weight.flatten() for layer in second])
    assert into.std().item() == pytest.approx(128**-0.5 / 10**0.5, rel=0.05)  # 1 / sqrt(2 x 5 layers)


def test_bf16_is_for_the_body() -> None:
    plain, image = decoder().eval(), torch.randn(3, 5, 32)
    mixed: Any = model.load("captioner").build(SHAPES["captioner"].shape(SIZE), BF16, 0, {}, "aligned").eval()
    with torch.no_grad():
        one, other = (each.write(each.read(*captions()).rows, image) for each in (plain, mixed))
    assert other.dtype == torch.float32
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["width", "queries", "decoder_layers", "context"])
def test_what_is_no_decoder_is_told(name: str) -> None:
    assert SHAPES["captioner"].problems(replace(SIZE, **{name: 0}))[0].where == name
    assert SHAPES["captioner"].problems(replace(SIZE, width=12))[0].where == "width"


def test_nothing_else_asks_an_image() -> None:
    plain = Size(width=16, layers=1, vocabulary=9, context=8, head_width=8, queries=2)
    assert [problem.where for problem in SHAPES["gpt2"].problems(plain)] == ["queries"]
    seen = replace(IMAGE, embedding_width=0, queries=2)
    assert [problem.where for problem in SHAPES["vit"].problems(seen)] == ["queries"]
