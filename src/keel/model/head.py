"""The head that computes only what the loss needs: logits live one chunk of rows at a time and are never stored.

Legend: n rows, d width, V vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from keel.model.shapes import HEAD_ROWS

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


UNDERFLOW = 1e-30


class _NllSum(Function):
    """sum_i [logsumexp(z_i) - z_{i t_i}], z = W h + b; gradients form in the forward pass, in place of logits.

    The incoming gradient is a scalar (the loss is a sum), so scaling at the end is exact. It is done in place; a second
    backward pass over the same graph forms them again. `dtype` is that of the products.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_nd: Tensor, weight_vd: Tensor, bias_v: Tensor | None, targets_n: Tensor, dtype: torch.dtype
    ) -> Tensor:
        need_grad = hidden_nd.requires_grad or weight_vd.requires_grad
        bias = None if bias_v is None else bias_v.detach()
        total, grads = _form(hidden_nd.detach(), weight_vd.detach(), bias, targets_n, dtype, need_grad)
        ctx.save_for_backward(hidden_nd, weight_vd, bias_v, targets_n)
        ctx.grads, ctx.dtype = grads, dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None, None]:  # type: ignore[override]
        if ctx.grads is None:
            hidden_nd, weight_vd, bias_v, targets_n = ctx.saved_tensors
            ctx.grads = _form(hidden_nd, weight_vd, bias_v, targets_n, ctx.dtype, True)[1]
        found, ctx.grads = ctx.grads, None
        by_bias = None if found.bias is None else found.bias.mul_(grad)
        return found.hidden.to(grad.dtype).mul_(grad), found.weight.mul_(grad), by_bias, None, None


class _Grads(NamedTuple):
    """Gradients by the hidden states (in the products' type), the table and the bias (in fp32 at least)."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None


@torch.no_grad()
def _form(
    hidden_nd: Tensor, weight_vd: Tensor, bias_v: Tensor | None, targets_n: Tensor, dtype: torch.dtype, need_grad: bool
) -> tuple[Tensor, _Grads | None]:
    """The sum and, where wanted, its gradients.

    d/dz = softmax(z) - onehot(t), so each chunk's logits become its gradient, in one buffer for all chunks.
    """
    total, grads = torch.zeros((), dtype=_wide(hidden_nd)), None
    h_nd, w_vd = hidden_nd.to(dtype), weight_vd.to(dtype)
    b_v = None if bias_v is None else bias_v.to(dtype)
    logits = h_nd.new_empty(min(HEAD_ROWS, len(h_nd)), len(w_vd))
    if need_grad:
        by_bias = None if b_v is None else torch.zeros_like(b_v, dtype=_wide(weight_vd))
        # Without a row no chunk ever writes the table's gradient.
        fill = torch.empty_like if len(h_nd) else torch.zeros_like
        grads = _Grads(torch.empty_like(h_nd), fill(weight_vd, dtype=_wide(weight_vd)), by_bias)
        product = grads.weight if grads.weight.dtype == dtype else torch.empty_like(w_vd)
    for first in range(0, len(h_nd), HEAD_ROWS):
        rows = slice(first, first + HEAD_ROWS)
        h, t = h_nd[rows], targets_n[rows, None]
        p = _logits(h, w_vd, b_v, logits[: len(h)])
        torch.softmax(p, 1, out=p)
        total += _nll(p.gather(1, t), h, w_vd, b_v, t).sum()
        if grads is not None:
            p.scatter_add_(1, t, torch.full_like(t, -1, dtype=p.dtype))
            torch.mm(p, w_vd, out=grads.hidden[rows])
            _add_product(grads.weight, p, h, product, first == 0)
            if grads.bias is not None:
                grads.bias.add_(p.sum(0, dtype=grads.bias.dtype))
    return total, grads


def _logits(h_nd: Tensor, w_vd: Tensor, b_v: Tensor | None, out_nv: Tensor) -> Tensor:
    """W h + b, into a buffer that is there."""
    return torch.mm(h_nd, w_vd.T, out=out_nv) if b_v is None else torch.addmm(b_v, h_nd, w_vd.T, out=out_nv)


def _wide(tensor: Tensor) -> torch.dtype:
    """Sums are kept in fp32 at least."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _nll(p_n1: Tensor, h_nd: Tensor, w_vd: Tensor, b_v: Tensor | None, t_n1: Tensor) -> Tensor:
    """-ln p of the targets; where p underflows the logits are formed again."""
    nll_n1 = -p_n1.to(_wide(p_n1)).log()
    lost_n = (p_n1 < UNDERFLOW).squeeze(1)
    if lost_n.any():
        z = torch.nn.functional.linear(h_nd[lost_n], w_vd, b_v).to(nll_n1.dtype)
        nll_n1[lost_n] = z.logsumexp(1, keepdim=True) - z.gather(1, t_n1[lost_n])
    return nll_n1


def _add_product(total_vd: Tensor, p_nv: Tensor, h_nd: Tensor, product_vd: Tensor, fresh: bool) -> None:
    """total += p^T h, or = where it is fresh; `product_vd` is room for the product where its type is another."""
    if total_vd is product_vd:
        torch.addmm(total_vd, p_nv.T, h_nd, beta=0 if fresh else 1, out=total_vd)
        return
    torch.mm(p_nv.T, h_nd, out=product_vd)
    if fresh:
        total_vd.copy_(product_vd)
    else:
        total_vd.add_(product_vd)


def nll_sum(
    hidden: Tensor, weight_vd: Tensor, targets: Tensor, precision: str = "fp32", bias_v: Tensor | None = None
) -> Tensor:
    """Sum over all positions of -ln softmax(W h + b)[target], in nats.

    Shapes: hidden (..., d), weight (V, d), targets (...), bias (V,). `precision` "bf16" forms the logits in bf16; sums
    stay fp32. No position at all gives 0, and gradients of 0.

    Example:
        >>> import torch
        >>> round(float(nll_sum(torch.zeros(2, 3, 4), torch.ones(8, 4), torch.zeros(2, 3, dtype=torch.long))), 4)
        12.4766
    """
    rows_nd, targets_n = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    dtype = torch.bfloat16 if precision == "bf16" else rows_nd.dtype
    total: Tensor = _NllSum.apply(rows_nd, weight_vd, bias_v, targets_n, dtype)
    return total
