"""Published laws of mixtures of experts: Clark (size and experts), Krajewski (size, tokens and granularity)."""

from __future__ import annotations

from typing import Any

import numpy as np

from keel.laws.law import Law
from keel.laws.published.loss import NATS, TOKENS
from keel.laws.published.stated import stated


def clark(c: Any, params: Any, experts: Any) -> Any:
    """log10 L = d - a n - b e + c n e, with n = log10 N, e = log10 of the saturating number of experts."""
    n = np.log(params) / np.log(10.0)
    e = np.log(saturating(experts, c.Estart, c.Emax)) / np.log(10.0)
    return 10 ** (c.d - c.a * n - c.b * e + c.c * n * e)


def saturating(experts: Any, start: Any, most: Any) -> Any:
    """1/E^ = 1/(E - 1 + 1/(1/Estart - 1/Emax)) + 1/Emax: Estart at one expert, Emax at infinitely many."""
    return 1 / (1 / (experts - 1 + 1 / (1 / start - 1 / most)) + 1 / most)


def krajewski(c: Any, params: Any, tokens: Any, granularity: Any) -> Any:
    """E + (g G^-q + A) N^-a + B D^-b."""
    return c.E + (c.g * granularity**-c.q + c.A) * params**-c.a + c.B * tokens**-c.b


def _clark(short: str, router: str, a: float, b: float, c: float, d: float, start: float, most: float) -> Law:
    return stated(
        f"clark-{short}", clark, "log10 L = d - a log10 N - b log10 E^ + c log10 N log10 E^, E^ from Estart to Emax",
        {"params": "active: body that one token meets, no tables", "experts": "per routed layer, 1 = dense"},
        {"a": a, "b": b, "c": c, "d": d, "Estart": start, "Emax": most}, unit=NATS,
        origin=f"Clark et al. 2022, arXiv:2202.01169, eq. 1, Table 3 ({router}); every run 130e9 tokens: no law in D",
        valid={"params": (1.5e7, 1.3e9), "experts": (1.0, 512.0)},
    )  # fmt: skip


_KRAJEWSKI = "Krajewski et al. 2024, arXiv:2402.07871, eq. 9, Table 1 (printed to 2-3 digits; RMSE .015): {}"

ROUTED: tuple[Law, ...] = (
    _clark("s-base", "S-Base", 0.082, 0.108, 0.009, 1.104, 1.847, 314.478),
    _clark("rl-r", "RL-R", 0.083, 0.126, 0.012, 1.111, 1.880, 469.982),
    _clark("hash", "Hash", 0.087, 0.136, 0.012, 1.157, 4.175, 477.741),
    stated("krajewski", krajewski, "E + (g G^-q + A) N^-a + B D^-b",
           {"params": "all experts, without tables and routers (43 active ones at 64-fold expansion)",
            "tokens": TOKENS, "granularity": "width of a dense layer over that of one expert"},
           {"E": 0.47, "g": 2.1, "q": 0.58, "A": 18.1, "a": 0.115, "B": 30.8, "b": 0.147}, unit=NATS,
           origin=_KRAJEWSKI.format("64-fold expansion"),
           valid={"params": (1.29e8, 3.7e9), "tokens": (1.6e10, 1.3e11), "granularity": (1.0, 16.0)}),
    stated("krajewski-dense", lambda c, params, tokens: c.E + c.A * params**-c.a + c.B * tokens**-c.b,
           "E + A N^-a + B D^-b", {"params": "body: without tables", "tokens": TOKENS},
           {"E": 0.47, "A": 16.3, "a": 0.126, "B": 26.7, "b": 0.127}, unit=NATS,
           origin=_KRAJEWSKI.format("its dense models"), valid={"tokens": (1.6e10, 1.3e11)}),
)  # fmt: skip
