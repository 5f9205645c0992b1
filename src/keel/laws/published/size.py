"""Published laws of the best size (or tokens) for a budget of FLOP: Kaplan, Hoffmann, DeepSeek, Liang (DiT)."""

from __future__ import annotations

from typing import Any

from keel.laws.law import Law
from keel.laws.published.loss import BODY, KAPLAN_C, PF_DAY, TOTAL
from keel.laws.published.stated import stated

# Approach 2 states its budgets (Hoffmann et al., sec. 3.2); they stand for the other two, made of the same runs.
_ISOFLOP = (6e18, 3e21)


def power(c: Any, flop: Any) -> Any:
    """k C^a."""
    return c.k * flop**c.a


def kaplan_power(c: Any, flop: Any) -> Any:
    """k (C in PF-days)^a."""
    return c.k * (flop / PF_DAY) ** c.a


def anchored(c: Any, flop: Any) -> Any:
    """N0 (C / C0)^a: an exponent with one row of the paper's own table."""
    return c.N0 * (flop / c.C0) ** c.a


def _kaplan(name: str, unit: str, k: float, a: float) -> Law:
    return stated(
        f"kaplan-optimal-{name}", kaplan_power, "k (C / 8.64e19)^a", {"flop": "6 N D, body only, small batch"},
        {"k": k, "a": a}, unit=unit, valid={"flop": KAPLAN_C},
        origin="Kaplan et al. 2020, arXiv:2001.08361, sec. 6 and Table 6: exponent too high for today's training "
        "(Porian et al. 2024, arXiv:2406.19146)",
    )  # fmt: skip


def _hoffmann(approach: int, flop: float, a: float, low: float, high: float) -> Law:
    table = "Table 3" if approach == 1 else "Table A3"
    return stated(
        f"hoffmann-{approach}-size", anchored, "N0 (C / C0)^a",
        {"flop": "forward and backward, tables and attention included: 1.0 to 1.1 of 6 N D"},
        {"N0": 1e10, "C0": flop, "a": a}, unit=f"params ({TOTAL})", valid={"flop": _ISOFLOP},
        origin=f"Hoffmann et al. 2022, arXiv:2203.15556, approach {approach}: a from Table 2 (10-90 %: {low}-{high}), "
        f"the row of 10 billion from {table}",
    )  # fmt: skip


_DEEPSEEK = "DeepSeek-AI 2024, arXiv:2401.02954, eq. 4"
_DEEPSEEK_FLOP = {"flop": "M D, with M = non-embedding FLOP per token, attention included"}
_DIT = "Liang et al. 2024, arXiv:2410.08184: text-to-image diffusion transformers, 6 N D; checked once at 1.5e21"
_DIT_BOX = {"flop": (1e17, 6e18)}

SIZE: tuple[Law, ...] = (
    _kaplan("size", f"params ({BODY})", 1.3e9, 0.73),
    _kaplan("tokens", "tokens", 2e10, 0.27),
    _kaplan("batch", "tokens a step", 2.0e6, 0.24),
    _kaplan("steps", "steps", 5.4e3, 0.03),
    _hoffmann(1, 1.23e22, 0.50, 0.488, 0.502),
    _hoffmann(2, 1.32e22, 0.49, 0.462, 0.534),
    _hoffmann(3, 2.46e22, 0.46, 0.454, 0.455),
    stated("deepseek-flop-per-token", power, "k C^a", _DEEPSEEK_FLOP, {"k": 0.1715, "a": 0.5243},
           unit="non-embedding FLOP a token", origin=_DEEPSEEK, valid={"flop": (1e17, 3e20)}),
    stated("deepseek-tokens", power, "k C^a", _DEEPSEEK_FLOP, {"k": 5.8316, "a": 0.4757}, unit="tokens",
           origin=_DEEPSEEK, valid={"flop": (1e17, 3e20)}),
    stated("dit-size", power, "k C^a", {"flop": "6 N D"}, {"k": 0.0009, "a": 0.5681}, unit="params",
           origin=_DIT + "; k is printed to one digit", valid=_DIT_BOX),
    stated("dit-tokens", power, "k C^a", {"flop": "6 N D"}, {"k": 186.8535, "a": 0.4319}, unit="image and text tokens",
           origin=_DIT, valid=_DIT_BOX),
)  # fmt: skip
