"""The head's loss and gradients are those of cross entropy, however its rows are cut."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from keel.model.head import nll_sum

pytestmark = pytest.mark.tensor
ROWS, WIDTH, VOCABULARY = 37, 8, 29


def inputs(dtype: torch.dtype = torch.float64, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = scale * torch.randn(ROWS, WIDTH, generator=generator, dtype=torch.float64)
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, VOCABULARY, (ROWS,), generator=generator)
    return hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets


@pytest.mark.parametrize("rows", [1, 5, 36, 37, 512])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_loss_and_gradients_in_fp64(rows: int, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keel.model.head.HEAD_ROWS", rows)
    hidden, weight, targets = inputs(scale=scale)
    ours = nll_sum(hidden, weight, targets)
    (0.3 * ours).backward()
    plain_hidden, plain_weight, _ = inputs(scale=scale)
    plain = cross_entropy(plain_hidden @ plain_weight.T, targets, reduction="sum")
    (0.3 * plain).backward()
    assert ours.item() == pytest.approx(plain.item(), rel=1e-12)
    assert hidden.grad is not None
    assert weight.grad is not None
    torch.testing.assert_close(hidden.grad, plain_hidden.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(weight.grad, plain_weight.grad, rtol=1e-10, atol=1e-10)


def test_gradcheck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keel.model.head.HEAD_ROWS", 10)
    hidden, weight, targets = inputs()
    assert torch.autograd.gradcheck(lambda h, w: nll_sum(h, w, targets), (hidden, weight))


def test_any_leading_shape() -> None:
    hidden, weight, targets = inputs()
    whole = nll_sum(hidden, weight, targets)
    cut = nll_sum(hidden[:36].reshape(3, 12, WIDTH), weight, targets[:36].reshape(3, 12))
    assert (cut + nll_sum(hidden[36:], weight, targets[36:])).item() == pytest.approx(whole.item(), rel=1e-12)


def test_equal_logits_cost_the_log_of_the_vocabulary() -> None:
    loss = nll_sum(torch.zeros(5, 3, WIDTH), torch.ones(VOCABULARY, WIDTH), torch.zeros(5, 3, dtype=torch.long))
    assert loss.item() == pytest.approx(15 * math.log(VOCABULARY), rel=1e-6)


def test_huge_logits_stay_finite() -> None:
    hidden, weight, targets = inputs(torch.float32, scale=1e4)
    loss = nll_sum(hidden, weight, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert hidden.grad is not None
    assert torch.isfinite(hidden.grad).all()


def test_bf16_logits_keep_their_sums_in_fp32() -> None:
    hidden, weight, targets = inputs(torch.float32)
    ours = nll_sum(hidden, weight, targets, "bf16")
    ours.backward()
    plain_hidden, plain_weight, _ = inputs(torch.float32)
    cross_entropy(plain_hidden @ plain_weight.T, targets, reduction="sum").backward()
    plain = cross_entropy(plain_hidden @ plain_weight.T, targets, reduction="sum")
    assert ours.dtype == torch.float32
    assert ours.item() == pytest.approx(plain.item(), rel=1e-2)
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.float32
    cosine = torch.nn.functional.cosine_similarity(hidden.grad.flatten(), plain_hidden.grad.flatten(), dim=0)
    assert cosine > 0.999


def test_no_gradient_is_formed_where_none_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, targets = inputs()
    monkeypatch.setattr("keel.model.head._add_product", lambda *_: pytest.fail("a gradient was formed"))
    with torch.no_grad():
        loss = nll_sum(hidden.detach(), weight.detach(), targets)
    assert not loss.requires_grad


@pytest.mark.parametrize("rows", [1, 10, 512])
def test_a_bias_is_added_and_learnt(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keel.model.head.HEAD_ROWS", rows)
    hidden, weight, targets = inputs()
    bias = torch.linspace(-2.0, 2.0, VOCABULARY, dtype=torch.float64).requires_grad_()
    ours = nll_sum(hidden, weight, targets, bias_v=bias)
    found = torch.autograd.grad(0.3 * ours, (hidden, weight, bias))
    plain = cross_entropy(hidden @ weight.T + bias, targets, reduction="sum")
    expected = torch.autograd.grad(0.3 * plain, (hidden, weight, bias))
    assert ours.item() == pytest.approx(plain.item(), rel=1e-12)
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_no_row_at_all_costs_nothing_and_teaches_nothing() -> None:
    _, weight, _ = inputs()
    bias = torch.ones(VOCABULARY, dtype=torch.float64, requires_grad=True)
    hidden = torch.zeros(0, WIDTH, dtype=torch.float64, requires_grad=True)
    loss = nll_sum(hidden, weight, torch.zeros(0, dtype=torch.long), bias_v=bias)
    assert loss.item() == 0.0
    for grad in torch.autograd.grad(loss, (weight, bias)):
        assert not grad.any()
