"""Published laws of the best vocabulary: Tao, three ways. The value is in params: divide by the width for entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from keel.laws.law import Law
from keel.laws.published.stated import stated

_TAO = (
    "Tao et al. 2024, arXiv:2407.13623, {}; constants of its released code; 33M to 3B, tokens at the best for the size"
)
_PARAMS = "vocabulary params (entries x width, one table)"
_BODY = {"params_body": "body: without vocabulary tables"}
_BOX = (3.3e7, 2.87e9)
NEWTON_STEPS = 50


def tao_flop(c: Any, params_body: Any) -> Any:
    """Both at the best for C: body = p C^1/2, vocabulary = q C^v."""
    return c.q * ((params_body / c.p) ** 2) ** c.v


def tao_derivative(c: Any, params_body: Any) -> Any:
    """V0 (N / N0)^g."""
    return c.V0 * (params_body / c.N0) ** c.g


def tao_loss(c: Any, params_body: Any, flop: Any) -> Any:
    """The vocabulary of least loss A2 Nv^-w + B D^-b at D = C / (6 (N + Nv)), in millions and billions.

    d/dNv = 0:  w A2 Nv^-(w+1) = b B (6e-9 C^-1 1e6)^b (N + Nv)^(b-1); Newton on the logarithm of Nv.
    """
    body, budget = params_body / 1e6, flop / 1e15
    u = np.log(0.05 * body) + 0 * c.w * budget
    for _ in range(NEWTON_STEPS):
        vocabulary = np.exp(u)
        gap = (np.log(c.w * c.A2) - (c.w + 1) * u) - (
            np.log(c.b * c.B) + c.b * np.log(6 / budget) + (c.b - 1) * np.log(body + vocabulary)
        )
        slope = -(c.w + 1) - (c.b - 1) * vocabulary / (body + vocabulary)
        u = u - gap / slope
    return 1e6 * np.exp(u)


VOCABULARY: tuple[Law, ...] = (
    stated("tao-flop", tao_flop, "q ((N/p)^2)^v", _BODY,
           {"p": float(np.exp(-2.48465)), "q": float(np.exp(-1.58903)), "v": 0.41636}, unit=_PARAMS,
           origin=_TAO.format("approach 1 (least loss at each budget)"), valid={"params_body": _BOX}),
    stated("tao-derivative", tao_derivative, "V0 (N/N0)^g", _BODY, {"V0": 3.146e6, "N0": 3.3e7, "g": 0.83540},
           unit=_PARAMS, origin=_TAO.format("approach 2 (FLOP by vocabulary)"), valid={"params_body": _BOX}),
    stated("tao-loss", tao_loss, "argmin over Nv of A2 Nv^-w + B D^-b, D = C / (6 (N + Nv)); in 1e6 params, 1e9 tokens",
           _BODY | {"flop": "6 (N + Nv) D"}, {"A2": 0.195842, "w": 0.670737, "B": 2.12411, "b": 0.446606}, unit=_PARAMS,
           origin=_TAO.format("approach 3 (loss in both)"), valid={"params_body": _BOX}),
)  # fmt: skip
