"""The head that computes only what the loss needs: logits live one chunk of rows at a time and are never stored.

Legend: n rows, d width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from keel.model.shapes import HEAD_ROWS

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class _NllSum(Function):
    """sum_i [logsumexp(W h_i) - (W h_i)_{t_i}]; gradients are formed in the forward pass, in place of the logits.

    d/dz = softmax(z) - onehot(t), so each chunk's logits become its gradient and are dropped at once. The incoming
    gradient is a scalar (the loss is a sum), so scaling at the end is exact.
    """

    @staticmethod
    def forward(ctx: Any, hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor) -> Tensor:
        need_grad = hidden_nd.requires_grad or weight_vd.requires_grad
        total = torch.zeros((), dtype=_wide(hidden_nd))
        grad_hidden = torch.empty_like(hidden_nd)
        grad_weight = torch.zeros_like(weight_vd, dtype=_wide(weight_vd))
        for first in range(0, hidden_nd.shape[0], HEAD_ROWS):
            rows = slice(first, first + HEAD_ROWS)
            h, t = hidden_nd[rows], targets_n[rows, None]
            z = h @ weight_vd.T
            picked = z.gather(1, t).to(total.dtype)
            top = z.amax(1, keepdim=True)
            p = z.sub_(top).exp_()
            norm = p.sum(1, keepdim=True, dtype=total.dtype)
            total += (norm.log() + top.to(total.dtype) - picked).sum()
            if need_grad:
                p.mul_((1 / norm).to(p.dtype))
                p.scatter_add_(1, t, torch.full_like(t, -1, dtype=p.dtype))
                torch.mm(p, weight_vd, out=grad_hidden[rows])
                _add_product(grad_weight, p, h)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad.to(grad_hidden.dtype), grad_weight * grad.to(grad_weight.dtype), None


def _wide(tensor: Tensor) -> torch.dtype:
    """Sums are kept in fp32 at least."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _add_product(total_vd: Tensor, p_nv: Tensor, h_nd: Tensor) -> None:
    if p_nv.dtype == total_vd.dtype:
        total_vd.addmm_(p_nv.T, h_nd)
    else:
        total_vd += p_nv.T @ h_nd


def nll_sum(hidden: Tensor, weight_vd: Tensor, targets: Tensor, precision: str = "fp32") -> Tensor:
    """Sum over all positions of -ln softmax(W h)[target], in nats.

    Shapes: hidden (..., d), weight (V, d), targets (...). `precision` "bf16" forms the logits in bf16; sums stay fp32.

    Example:
        >>> import torch
        >>> round(float(nll_sum(torch.zeros(2, 3, 4), torch.ones(8, 4), torch.zeros(2, 3, dtype=torch.long))), 4)
        12.4766
    """
    rows_nd, targets_n = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    if precision == "bf16":
        rows_nd, weight_vd = rows_nd.bfloat16(), weight_vd.bfloat16()
    total: Tensor = _NllSum.apply(rows_nd, weight_vd, targets_n)
    return total
