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


UNDERFLOW = 1e-30


class _NllSum(Function):
    """sum_i [logsumexp(W h_i) - (W h_i)_{t_i}]; gradients are formed in the forward pass, in place of the logits.

    The incoming gradient is a scalar (the loss is a sum), so scaling at the end is exact. It is done in place; a second
    backward pass over the same graph forms them again. `dtype` is that of the products.
    """

    @staticmethod
    def forward(ctx: Any, hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor, dtype: torch.dtype) -> Tensor:
        need_grad = hidden_nd.requires_grad or weight_vd.requires_grad
        total, grads = _form(hidden_nd.detach(), weight_vd.detach(), targets_n, dtype, need_grad)
        ctx.save_for_backward(hidden_nd, weight_vd, targets_n)
        ctx.grads, ctx.dtype = grads, dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        if ctx.grads is None:
            hidden_nd, weight_vd, targets_n = ctx.saved_tensors
            ctx.grads = _form(hidden_nd, weight_vd, targets_n, ctx.dtype, True)[1]
        (grad_hidden, grad_weight), ctx.grads = ctx.grads, None
        return grad_hidden.to(grad.dtype).mul_(grad), grad_weight.mul_(grad), None, None


@torch.no_grad()
def _form(
    hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor, dtype: torch.dtype, need_grad: bool
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """The sum and, where wanted, its gradients by the hidden states (in `dtype`) and the table (in fp32 at least).

    d/dz = softmax(z) - onehot(t), so each chunk's logits become its gradient, in one buffer for all chunks.
    """
    total, grads = torch.zeros((), dtype=_wide(hidden_nd)), None
    h_nd, w_vd = hidden_nd.to(dtype), weight_vd.to(dtype)
    logits = h_nd.new_empty(min(HEAD_ROWS, len(h_nd)), len(w_vd))
    if need_grad:
        grads = torch.empty_like(h_nd), torch.empty_like(weight_vd, dtype=_wide(weight_vd))
        product = grads[1] if grads[1].dtype == dtype else torch.empty_like(w_vd)
    for first in range(0, len(h_nd), HEAD_ROWS):
        rows = slice(first, first + HEAD_ROWS)
        h, t = h_nd[rows], targets_n[rows, None]
        p = torch.mm(h, w_vd.T, out=logits[: len(h)])
        torch.softmax(p, 1, out=p)
        total += _nll(p.gather(1, t), h, w_vd, t).sum()
        if grads is not None:
            p.scatter_add_(1, t, torch.full_like(t, -1, dtype=p.dtype))
            torch.mm(p, w_vd, out=grads[0][rows])
            _add_product(grads[1], p, h, product, first == 0)
    return total, grads


def _wide(tensor: Tensor) -> torch.dtype:
    """Sums are kept in fp32 at least."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _nll(p_n1: Tensor, h_nd: Tensor, w_vd: Tensor, t_n1: Tensor) -> Tensor:
    """-ln p of the targets; where p underflows the logits are formed again."""
    nll_n1 = -p_n1.to(_wide(p_n1)).log()
    lost_n = (p_n1 < UNDERFLOW).squeeze(1)
    if lost_n.any():
        z = (h_nd[lost_n] @ w_vd.T).to(nll_n1.dtype)
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


def nll_sum(hidden: Tensor, weight_vd: Tensor, targets: Tensor, precision: str = "fp32") -> Tensor:
    """Sum over all positions of -ln softmax(W h)[target], in nats.

    Shapes: hidden (..., d), weight (V, d), targets (...). `precision` "bf16" forms the logits in bf16; sums stay fp32.

    Example:
        >>> import torch
        >>> round(float(nll_sum(torch.zeros(2, 3, 4), torch.ones(8, 4), torch.zeros(2, 3, dtype=torch.long))), 4)
        12.4766
    """
    rows_nd, targets_n = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    dtype = torch.bfloat16 if precision == "bf16" else rows_nd.dtype
    total: Tensor = _NllSum.apply(rows_nd, weight_vd, targets_n, dtype)
    return total
