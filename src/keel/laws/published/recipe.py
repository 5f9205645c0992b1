"""Published laws of the recipe: learning rate and batch by size, tokens or FLOP; steps against batch."""

from __future__ import annotations

from typing import Any

from keel.laws.law import Law
from keel.laws.published.loss import BODY, TOKENS
from keel.laws.published.size import power
from keel.laws.published.stated import stated

_DEEPSEEK = "DeepSeek-AI 2024, arXiv:2401.02954, eq. 1: runs within .25 % of the best loss"
_DEEPSEEK_FLOP = {"flop": "non-embedding FLOP a token (attention included) x tokens"}
_STEP = "Li et al. 2025 (Step Law), arXiv:2503.04715: AdamW, cosine to a fixed least rate; intercepts scatter by e^.6"
_STEP_N = {"params": BODY, "tokens": TOKENS}
_STEP_BOX = {"params": (5.9e7, 1e9), "tokens": (0.0, 1e11)}
_MCCANDLISH = "McCandlish et al. 2018, arXiv:1812.06162: (S/Smin - 1)(E/Emin - 1) = 1, Bcrit = Emin/Smin"
_BATCHES = {"batch_tokens": "tokens a step", "critical_batch_tokens": "Bcrit at the loss wanted"}
_ANY = (0.0, float("inf"))


def falling(c: Any, flop: Any) -> Any:
    """k C^-a."""
    return c.k * flop**-c.a


def step_lr(c: Any, params: Any, tokens: Any) -> Any:
    """Peak learning rate: falls with size, rises with tokens."""
    return c.k * params**-c.a * tokens**c.b


def critical_batch(c: Any, loss: Any) -> Any:
    """Tokens a step beyond which steps no longer fall in proportion."""
    return c.B * loss ** (-1 / c.a)


RECIPE: tuple[Law, ...] = (
    stated("deepseek-lr", falling, "k C^-a", _DEEPSEEK_FLOP, {"k": 0.3118, "a": 0.1250}, unit="peak learning rate",
           origin=_DEEPSEEK, valid={"flop": (1e17, 2e19)}),
    stated("deepseek-batch", power, "k C^a", _DEEPSEEK_FLOP, {"k": 0.2920, "a": 0.3271}, unit="tokens a step",
           origin=_DEEPSEEK, valid={"flop": (1e17, 2e19)}),
    stated("step-lr", step_lr, "k N^-a D^b", _STEP_N, {"k": 1.79, "a": 0.713, "b": 0.307}, unit="peak learning rate",
           origin=_STEP, valid=_STEP_BOX),
    stated("step-batch", lambda c, tokens: c.k * tokens**c.b, "k D^b", {"tokens": TOKENS}, {"k": 0.58, "b": 0.571},
           unit="tokens a step", origin=_STEP, valid={"tokens": _STEP_BOX["tokens"]}),
    stated("kaplan-critical-batch", critical_batch, "B L^(-1/a)", {"loss": "nats per token, WebText2"},
           {"B": 2e8, "a": 0.21}, unit="tokens a step", valid={},
           origin="Kaplan et al. 2020, arXiv:2001.08361, eq. 1.4 (2.1e8 in its Table 5)"),
    stated("mccandlish-steps", lambda c, batch_tokens, critical_batch_tokens: 1 + critical_batch_tokens / batch_tokens,
           "S/Smin = 1 + Bcrit/B", _BATCHES, {}, unit="times the least steps", origin=_MCCANDLISH,
           valid=dict.fromkeys(_BATCHES, _ANY)),
    stated("mccandlish-tokens", lambda c, batch_tokens, critical_batch_tokens: 1 + batch_tokens / critical_batch_tokens,
           "E/Emin = 1 + B/Bcrit", _BATCHES, {}, unit="times the least tokens", origin=_MCCANDLISH,
           valid=dict.fromkeys(_BATCHES, _ANY)),
)  # fmt: skip
