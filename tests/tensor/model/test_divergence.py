"""The divergence by chunks: torch's own in one piece, what T^2 is for, and what the likeliest tokens leave out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from keel.model import divergence
from keel.model.divergence import Teacher, divergence_sum
from keel.model.shapes import HEAD_ROWS

pytestmark = pytest.mark.tensor
N, D, E, V = HEAD_ROWS + 70, 7, 9, 33


def tensors(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def student(rows: int = N) -> list[Tensor]:
    return [each.requires_grad_() for each in tensors((rows, D), (V, D), (V,))]


def teacher(rows: int = N) -> Teacher:
    return Teacher(*tensors((rows, E), (V, E), (V,), seed=1))


def whole(h: Tensor, w: Tensor, b: Tensor, of: Teacher, temperature: float) -> Tensor:
    """T^2 KL in one piece, by torch."""
    theirs = of.logits(0, len(h), torch.float64)
    log_p, log_q = log_softmax(theirs / temperature, 1), log_softmax((h @ w.T + b) / temperature, 1)
    return temperature**2 * kl_div(log_q, log_p, log_target=True, reduction="sum")


@pytest.mark.parametrize("temperature", [1.0, 2.0, 8.0])
@pytest.mark.parametrize("rows", [1, HEAD_ROWS, N])
def test_value_and_gradients_are_torchs(temperature: float, rows: int) -> None:
    ours, theirs, of = student(rows), student(rows), teacher(rows)
    total, tail = divergence_sum(*ours, of, temperature=temperature)
    expected = whole(*theirs, of, temperature)
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)
    assert tail.item() == 0.0
    found = torch.autograd.grad(2.0 * total, ours)
    for one, other in zip(found, torch.autograd.grad(2.0 * expected, theirs)):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_a_teacher_that_is_the_student_asks_for_nothing() -> None:
    h, w, b = student()
    total, _ = divergence_sum(h, w, b, Teacher(h.detach(), w.detach(), b.detach()), temperature=3.0)
    assert total.item() == 0.0
    assert all(not grad.any() for grad in torch.autograd.grad(total, [h, w, b]))


def test_at_a_large_temperature_it_is_the_regression_of_centred_logits() -> None:
    """Hinton et al. 2015, section 2.1: by each logit the gradient tends to (z_q - z_p) / V."""
    z, logits = tensors((5, V)), tensors((5, V), seed=1)
    for temperature, close in ((10.0, 2e-1), (1e3, 2e-3), (1e5, 2e-5)):
        mine = z[0].clone().requires_grad_()
        total, _ = divergence_sum(
            mine,
            torch.eye(V, dtype=torch.float64),
            None,
            Teacher(logits[0], torch.eye(V, dtype=torch.float64)),
            temperature=temperature,
        )
        (found,) = torch.autograd.grad(total, mine)
        limit = ((z[0] - z[0].mean(1, keepdim=True)) - (logits[0] - logits[0].mean(1, keepdim=True))) / V
        assert (found - limit).abs().max() <= close * limit.abs().max()


def test_a_higher_temperature_does_not_silence_the_teacher() -> None:
    """Without T^2 the gradient at T = 8 would be a sixty-fourth; with a mean over V it would be a V-th (H8)."""
    norms = []
    for temperature in (1.0, 8.0):
        ours = student()
        total, _ = divergence_sum(*ours, teacher(), temperature=temperature)
        norms.append(torch.autograd.grad(total, ours)[0].norm().item())
    assert 0.3 < norms[1] / norms[0] < 3.0
    # By rows of probabilities that lie far apart the sum of |T (q - p)| is near 2 T, whatever V is.
    one = student(1)
    sure = Teacher(torch.eye(1, E, dtype=torch.float64) * 1e3, tensors((V, E), seed=1)[0])
    total, _ = divergence_sum(*one, sure)
    assert torch.autograd.grad(total, one)[2].abs().sum().item() == pytest.approx(2.0, abs=0.5)


@pytest.mark.parametrize("top", [1, 4, 20, V, 10 * V])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_likeliest_tokens_alone_bias_the_gradient_by_what_they_leave_out(top: int, temperature: float) -> None:
    """2 T delta a row, exactly: the bound is met."""
    z = tensors((6, V))[0]
    logits, eye = tensors((6, V), seed=1)[0], torch.eye(V, dtype=torch.float64)
    found = []
    for kept in (0, top):
        mine = z.clone().requires_grad_()
        total, tail = divergence_sum(mine, eye, None, Teacher(logits, eye), temperature=temperature, top=kept)
        found.append(torch.autograd.grad(total, mine)[0])
    p = torch.softmax(logits / temperature, 1)
    delta = 1.0 - p.topk(min(top, V), 1).values.sum(1)
    torch.testing.assert_close((found[1] - found[0]).abs().sum(1), 2 * temperature * delta, rtol=0, atol=1e-12)
    assert tail.item() == pytest.approx(delta.sum().item(), abs=1e-12)


def test_tokens_that_the_teacher_lacks_get_none_of_its_probability() -> None:
    ids = torch.arange(V).flip(0)
    ids[[3, 8]] = -1
    h, w, b = student(4)
    of = teacher(4)._replace(ids=ids)
    total, _ = divergence_sum(h, w, b, of)
    known = (ids >= 0).nonzero().flatten()
    theirs = of._replace(ids=None).logits(0, 4, torch.float64)[:, ids[known]]
    log_q = log_softmax(h @ w.T + b, 1)[:, known]
    log_p = log_softmax(theirs, 1)
    assert total.item() == pytest.approx((log_p.exp() * (log_p - log_q)).sum().item(), rel=1e-12)
    (by_bias,) = torch.autograd.grad(total, b)
    assert (by_bias[[3, 8]] > 0).all(), "what the teacher never says is made less likely"


def test_no_row_gives_no_loss_and_no_gradient() -> None:
    ours = student(0)
    total, _ = divergence_sum(*ours, teacher(0), temperature=2.0, top=3)
    assert total.item() == 0.0
    assert all(not grad.any() for grad in torch.autograd.grad(total, ours))


def test_logits_live_one_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    plain = divergence.linear
    monkeypatch.setattr(divergence, "linear", lambda *given: seen.append(plain(*given).shape) or plain(*given))
    divergence_sum(*student(), teacher())
    assert seen == [(HEAD_ROWS, V)] * 2 + [(70, V)] * 2


def test_bf16_products_give_nearly_the_same() -> None:
    ours = [each.detach().float().requires_grad_() for each in student()]
    of = Teacher(*(each.float() for each in teacher()[:3]))
    exact, _ = divergence_sum(*ours, of, temperature=2.0)
    rough, _ = divergence_sum(*ours, of, temperature=2.0, precision="bf16")
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=2e-2)
    for one, other in zip(torch.autograd.grad(exact, ours), torch.autograd.grad(rough, ours)):
        assert (one - other).norm() <= 3e-2 * one.norm()
