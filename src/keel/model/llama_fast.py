"""The library's Llama forward pass with less memory traffic: same weights, same values, fewer and smaller tensors kept.

What it leaves out: masks (attention is causal), caches, one cast for each of q, k and v, and intermediates that the
backward pass can form again. tests/tensor/model/test_llama_fast.py holds it against the library's own forward pass.

Legend: B batch, T context, d width, h heads, k head width, f feed-forward width.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function
from torch.nn.functional import linear, scaled_dot_product_attention, silu


class _RmsNorm(Function):
    """w x / sqrt(mean x^2 + eps), given in `dtype`; keeps x and the reciprocal root."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_d: Tensor, epsilon: float, dtype: torch.dtype) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight_d, scale)
        normed: Tensor = (x * scale).mul_(weight_d).to(dtype)
        return normed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight_d, scale = ctx.saved_tensors
        normed, grad = x * scale, grad.to(x.dtype)
        product = grad * normed
        grad_weight = product.flatten(0, -2).sum(0)
        inner = (product @ weight_d).div_(x.shape[-1]).unsqueeze(-1)
        return (grad * weight_d).sub_(normed.mul_(inner)).mul_(scale), grad_weight, None, None


class _Rotate(Function):
    """Turn each pair (x_i, x_{i + k/2}) by its position's angle; nothing of x is kept, as the turn is linear."""

    @staticmethod
    def forward(ctx: Any, x_bhtk: Tensor, cos_tk: Tensor, sin_tk: Tensor) -> Tensor:
        ctx.save_for_backward(cos_tk, sin_tk)
        return _turn(x_bhtk, cos_tk, sin_tk)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos_tk, sin_tk = ctx.saved_tensors
        return _turn(grad, cos_tk, -sin_tk), None, None


def _turn(x_bhtk: Tensor, cos_tk: Tensor, sin_tk: Tensor) -> Tensor:
    first, second = x_bhtk.chunk(2, dim=-1)
    turned = torch.empty_like(x_bhtk)
    left, right = turned.chunk(2, dim=-1)
    left.copy_((first * cos_tk).sub_(second * sin_tk))
    right.copy_((second * cos_tk).add_(first * sin_tk))
    return turned


class _Gate(Function):
    """silu(gate) * up; keeps its two inputs only."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        grad_gate = torch.ops.aten.silu_backward(grad * up, gate)
        return grad_gate, silu(gate).mul_(grad)


def hidden_states(base: Any, tokens_bt: Tensor, autocast: torch.dtype | None) -> Tensor:
    """(B, T) tokens -> (B, T, d) states after the last norm of a library LlamaModel that was quickened.

    `autocast` is the type that matrix products are in under autocast, None without it.
    """
    x_btd = base.embed_tokens(tokens_bt)
    dtype = autocast or x_btd.dtype
    cos, sin = base.rotary_emb(x_btd, torch.arange(tokens_bt.shape[1])[None])
    half = cos.shape[-1] // 2
    turn = cos[0, :, :half], sin[0, :, :half]
    for layer in base.layers:
        x_btd = layer.fast(x_btd, turn, dtype)
    return _norm(base.norm, x_btd, x_btd.dtype)


def quicken(base: Any) -> None:
    """Give each layer of a library LlamaModel `fast`, beside `forward`: a way in that sharding can be told of."""
    for layer in base.layers:
        layer.fast = MethodType(_through, layer)


def _through(layer: Any, x_btd: Tensor, turn: tuple[Tensor, Tensor], dtype: torch.dtype) -> Tensor:
    x_btd = x_btd + _attend(layer.self_attn, _norm(layer.input_layernorm, x_btd, dtype), turn)
    return x_btd + _feed_forward(layer.mlp, _norm(layer.post_attention_layernorm, x_btd, dtype))


def _attend(attention: Any, x_btd: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Causal attention with rotary positions (Su et al. 2021, arXiv:2104.09864)."""
    shape = (*x_btd.shape[:-1], -1, attention.head_dim)
    q, k, v = (
        linear(x_btd, projection.weight).view(shape).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    q, k = _rotate(q, *turn), _rotate(k, *turn)
    mixed_bhtk = scaled_dot_product_attention(q, k, v, is_causal=True, scale=attention.scaling)
    return linear(mixed_bhtk.transpose(1, 2).reshape(x_btd.shape), attention.o_proj.weight)


def _feed_forward(mlp: Any, x_btd: Tensor) -> Tensor:
    """W_down (silu(W_gate x) * W_up x)."""
    gate, up = linear(x_btd, mlp.gate_proj.weight), linear(x_btd, mlp.up_proj.weight)
    gated: Tensor = _Gate.apply(gate, up)  # type: ignore[no-untyped-call]
    return linear(gated, mlp.down_proj.weight)


def _rotate(x_bhtk: Tensor, cos_tk: Tensor, sin_tk: Tensor) -> Tensor:
    turned: Tensor = _Rotate.apply(x_bhtk, cos_tk, sin_tk)  # type: ignore[no-untyped-call]
    return turned


def _norm(norm: Any, x_btd: Tensor, dtype: torch.dtype) -> Tensor:
    normed: Tensor = _RmsNorm.apply(x_btd, norm.weight, norm.variance_epsilon, dtype)  # type: ignore[no-untyped-call]
    return normed
