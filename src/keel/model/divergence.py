"""How far a student's predictions are from a teacher's, one chunk of rows at a time: neither's logits are ever stored.

Legend: n rows, c rows of a chunk, d student's width, e teacher's, V vocabulary, W the teacher's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function
from torch.nn.functional import linear

from keel.model.head import DTYPES
from keel.model.shapes import HEAD_ROWS

NEVER = -1e30  # a logit that no softmax sees, and that 0 still multiplies to 0


class Teacher(NamedTuple):
    """What meets the teacher's table: rows (n, e), the table (W, e), its bias; `ids` (V,) is the teacher's id of each
    token of the student, -1 for none (None: the same ids)."""

    rows: Tensor
    table: Tensor
    bias: Tensor | None = None
    ids: Tensor | None = None

    def logits(self, first: int, last: int, dtype: torch.dtype) -> Tensor:
        """(c, V) in fp32 at least; tokens that it does not know get none of its probability."""
        bias = None if self.bias is None else self.bias.to(dtype)
        made = linear(self.rows[first:last].to(dtype), self.table.to(dtype), bias)
        made = made if made.dtype == torch.float64 else made.float()
        if self.ids is None:
            return made
        return made.index_select(1, self.ids.clamp(min=0)).masked_fill_(self.ids < 0, NEVER)


class _Divergence(Function):
    """T^2 sum_i KL(p_i || q_i); gradients form in the forward pass. d/dz = T^2 (q - p) / T, z the student's logits.

    The incoming gradient is a scalar (the loss is a sum), so scaling at the end is exact.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_nd: Tensor, weight_vd: Tensor, bias_v: Tensor | None, teacher: Teacher, temperature: float,
        top: int, dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        total, tail, ctx.grads = _form(hidden_nd, weight_vd, bias_v, teacher, temperature, top, dtype)
        ctx.mark_non_differentiable(tail)
        return total, tail

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        by_hidden, by_weight, by_bias = ctx.grads
        scaled = [None if each is None else each * grad for each in (by_hidden, by_weight, by_bias)]
        return (*scaled, None, None, None, None)


@torch.no_grad()
def _form(
    hidden_nd: Tensor, weight_vd: Tensor, bias_v: Tensor | None, teacher: Teacher, temperature: float, top: int,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor | None]]:  # fmt: skip
    """The sum, the teacher's probability outside its `top` tokens, and the gradients by rows, table and bias."""
    by_hidden, by_weight = torch.zeros_like(hidden_nd), torch.zeros_like(weight_vd)
    by_bias = None if bias_v is None else torch.zeros_like(bias_v)
    wide = torch.float64 if hidden_nd.dtype == torch.float64 else torch.float32
    total, tail = hidden_nd.new_zeros((), dtype=wide), hidden_nd.new_zeros((), dtype=wide)
    student = Teacher(hidden_nd, weight_vd, bias_v)
    for first in range(0, len(hidden_nd), HEAD_ROWS):
        last = min(first + HEAD_ROWS, len(hidden_nd))
        log_p_cv = torch.log_softmax(teacher.logits(first, last, dtype) / temperature, 1)
        if top:
            log_p_cv, left = _cut(log_p_cv, top)
            tail += left
        log_q_cv = torch.log_softmax(student.logits(first, last, dtype) / temperature, 1)
        p_cv = log_p_cv.exp()
        total += temperature**2 * (p_cv * (log_p_cv - log_q_cv)).sum()
        by_logit_cv = log_q_cv.exp_().sub_(p_cv).mul_(temperature)
        by_hidden[first:last] = by_logit_cv.to(dtype) @ weight_vd.to(dtype)
        by_weight += by_logit_cv.T.to(dtype) @ hidden_nd[first:last].to(dtype)
        if by_bias is not None:
            by_bias += by_logit_cv.sum(0)
    return total, tail, (by_hidden, by_weight, by_bias)


def _cut(log_p_cv: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """The likeliest `top` tokens of each row made to add to 1, and the probability of all others, summed over rows."""
    kept, places = log_p_cv.topk(min(top, log_p_cv.shape[1]), 1)
    sums = kept.logsumexp(1, keepdim=True)
    return torch.full_like(log_p_cv, NEVER).scatter_(1, places, kept - sums), (1.0 - sums.exp()).clamp_(min=0).sum()


def divergence_sum(
    hidden: Tensor, weight_vd: Tensor, bias_v: Tensor | None, teacher: Teacher, *, temperature: float = 1.0,
    top: int = 0, precision: str = "fp32",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """T^2 sum over rows of KL(p || q), in nats, p and q the softmax of the teacher's and the student's logits over T.

    T^2 keeps the gradient's size: by the student's logits it is T (q - p), which for large T is (z_q - z_p) / V, the
    regression of centred logits. `top` = k > 0: p is the teacher's k likeliest tokens made to add to 1. That biases the
    gradient by a row's logits by 2 T delta in sum of absolute values, no more and no less, where delta is the
    probability left out; the second value is the sum of delta over rows. Shapes: hidden (n, d), weight (V, d). Four
    chunks of 512 rows of V values are held at a time.

    Reference: Hinton et al. 2015, arXiv:1503.02531, section 2 (T^2) and 2.1 (large T).

    Example:
        >>> import torch
        >>> h, w = torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> float(divergence_sum(h, w, None, Teacher(h, w), temperature=2.0)[0])
        0.0
        >>> round(float(divergence_sum(h, w, None, Teacher(2 * h, w), temperature=2.0)[0]), 4)
        0.2479
    """
    assert hidden.dim() == 2, "rows"
    assert len(hidden) == len(teacher.rows), "one row of the teacher for each of the student"
    dtype = DTYPES["bf16"] if precision == "bf16" else hidden.dtype
    found: tuple[Tensor, Tensor] = _Divergence.apply(hidden, weight_vd, bias_v, teacher, temperature, top, dtype)  # type: ignore[no-untyped-call]
    return found
