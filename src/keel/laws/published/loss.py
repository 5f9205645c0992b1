"""Published laws of the loss in params and tokens: Kaplan, Hoffmann, Besiroglu, Muennighoff, Gadre, Busbridge."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keel.laws.forms import LAWS
from keel.laws.law import Law
from keel.laws.published.stated import stated

NATS = "nats_per_token"
PF_DAY = 8.64e19  # FLOP in a petaflop-day
TOKENS = "training tokens seen"
# What N counts, the first word as in `--params-count`.
BODY, TOTAL = "body: without vocabulary tables", "total: with vocabulary tables"
ONE_TABLE, TIED = "with-head: body and one vocabulary table", "total: with its one, tied table"


def _known(name: str, form: str, constants: tuple[float, ...], *, count: str, origin: str, params: tuple[float, float],
           tokens: tuple[float, float]) -> Law:  # fmt: skip
    """A fitted form with published constants in the order of its params."""
    law = LAWS[form]
    return Law(
        name=name, formula=law.formula, coords=law.coords, params=law.params, curve=law.curve, origin=origin,
        valid={"params": params, "tokens": tokens}, fixed=tuple(math.log(c) for c in constants),
        counts={"params": count, "tokens": TOKENS}, unit=NATS,
    )  # fmt: skip


# Kaplan et al. ------------------------------------------------------------------------------------------------------

_KAPLAN = "Kaplan et al. 2020, arXiv:2001.08361, {}; WebText2, context 1024; ignores the head's FLOP, long warm-up"
_KAPLAN_N, _KAPLAN_D = (768.0, 1.5e9), (2.2e7, 2.3e10)
_EARLY = "tokens of the set, trained on until the test loss rises"
KAPLAN_C = (1.2e-8 * PF_DAY, 1.2 * PF_DAY)  # "eight orders of magnitude", up to the budget that its largest N is for


def kaplan(c: Any, params: Any, unique_tokens: Any) -> Any:
    """L(N, D), both binding."""
    return ((c.Nc / params) ** (c.aN / c.aD) + c.Dc / unique_tokens) ** c.aD


KAPLAN = (
    stated("kaplan", kaplan, "((Nc/N)^(aN/aD) + Dc/D)^aD", {"params": BODY, "unique_tokens": _EARLY},
           {"Nc": 6.4e13, "aN": 0.076, "Dc": 1.8e13, "aD": 0.103}, unit=NATS, origin=_KAPLAN.format("eq. 1.5, Table 2"),
           valid={"params": _KAPLAN_N, "unique_tokens": _KAPLAN_D}),
    stated("kaplan-params", lambda c, params: (c.Nc / params) ** c.aN, "(Nc/N)^aN", {"params": BODY},
           {"Nc": 8.8e13, "aN": 0.076}, unit=NATS, origin=_KAPLAN.format("eq. 1.1: trained to convergence"),
           valid={"params": _KAPLAN_N}),
    stated("kaplan-tokens", lambda c, unique_tokens: (c.Dc / unique_tokens) ** c.aD, "(Dc/D)^aD",
           {"unique_tokens": _EARLY}, {"Dc": 5.4e13, "aD": 0.095}, unit=NATS,
           origin=_KAPLAN.format("eq. 1.2: large models"), valid={"unique_tokens": _KAPLAN_D}),
    stated("kaplan-compute", lambda c, flop: (c.Cc / (flop / PF_DAY)) ** c.aC, "(Cc / (C / 8.64e19))^aC",
           {"flop": "6 N D without tables, batch far below critical"}, {"Cc": 3.1e8, "aC": 0.050}, unit=NATS,
           origin=_KAPLAN.format("eq. 1.3: best size at each budget"), valid={"flop": KAPLAN_C}),
)  # fmt: skip

# Hoffmann et al., Besiroglu et al. ----------------------------------------------------------------------------------

_HOFFMANN_BOX = {"params": (70e6, 16e9), "tokens": (5e9, 500e9)}
_HOFFMANN = "Hoffmann et al. 2022, arXiv:2203.15556, eq. 10{}; inconsistent with the paper's own sizes: prefer {}"

HOFFMANN = (
    _known("hoffmann", "chinchilla", (1.69, 406.4, 0.34, 410.7, 0.28), count=TOTAL, **_HOFFMANN_BOX,
           origin=_HOFFMANN.format(" as printed", "chinchilla-besiroglu")),
    _known("hoffmann-tex", "chinchilla", tuple(math.exp(c) for c in (0.5267228, 6.0073404)) + (0.33917084,)
           + (math.exp(6.0179186), 0.2849083), count=TOTAL, **_HOFFMANN_BOX,
           origin=_HOFFMANN.format(" at the precision of its TeX source", "chinchilla-besiroglu")),
    _known("chinchilla-besiroglu", "chinchilla", (1.8172, 477.84, 0.3473, 2143.86, 0.3672), count=TOTAL,
           params=(57e6, 16e9), tokens=(5e9, 500e9),
           origin="Besiroglu et al. 2024, arXiv:2404.10102: refit of Hoffmann et al. without the 5 highest losses"),
)  # fmt: skip

# Muennighoff et al. -------------------------------------------------------------------------------------------------


def muennighoff(c: Any, params: Any, tokens: Any, unique_tokens: Any) -> Any:
    """L(N, D, U): tokens beyond U, and params beyond those that U can feed, are worth exponentially less."""
    fresh = np.minimum(tokens, unique_tokens)
    fed = np.minimum(params, fresh * (c.A / c.B) ** (1 / c.a))
    return c.E + c.A * _worth(params, fed, c.RN) ** -c.a + c.B * _worth(tokens, fresh, c.RD) ** -c.a


def _worth(seen: Any, fresh: Any, decay: Any) -> Any:
    """fresh + fresh R* (1 - exp(-R / R*)), with R the repeats beyond the first."""
    return fresh + fresh * decay * (1 - np.exp(-(seen / fresh - 1) / decay))


MUENNIGHOFF = (
    stated("muennighoff", muennighoff, "E + A N'^-a + B D'^-a, D' = U (1 + RD (1 - exp(-(D/U - 1)/RD))), N' alike",
           {"params": TIED, "tokens": "tokens seen, repeats included", "unique_tokens": "tokens that differ"},
           {"E": math.exp(0.6254804), "A": math.exp(6.255414), "B": math.exp(7.3049974), "a": 0.3526596,
            "RD": 15.387756, "RN": 5.309743},
           unit=NATS, origin="Muennighoff et al. 2023, arXiv:2305.16264; C4. Refit E, A, B on your own runs",
           valid={"params": (7e6, 9e9), "tokens": (1e8, 9e11), "unique_tokens": (1e8, 1.78e11)}),
)  # fmt: skip

# Gadre et al. -------------------------------------------------------------------------------------------------------

_GADRE = (
    "Gadre et al. 2024, arXiv:2403.08540: trained on {}, loss on C4; printed as E + (p M^h + q M^-h) C^-h with "
    "M = D/N, C = 6ND: a = 2h, A = p 6^-h, B = q 6^-h"
)


def _gadre(short: str, corpus: str, tokens: float, constants: tuple[float, float, float, float]) -> Law:
    """From the released fits' constants: E, A, q, a. Their first factor is that of N^-a, their second that of C^-h."""
    floor, scale, of_compute, rate = constants
    return _known(f"gadre-{short}", "tied", (floor, scale, rate, of_compute * 6 ** (-rate / 2)), count=ONE_TABLE,
                  params=(1.05e7, 6.9e9), tokens=(5.2e7, tokens), origin=_GADRE.format(corpus))  # fmt: skip


GADRE = (
    _gadre("c4", "C4", 1.38e11, (1.508, 113.69, 189.5, 0.24247)),
    _gadre("rpj", "RedPajama", 9.22e11, (1.837, 166.2, 366.7, 0.2729)),
    _gadre("rw", "RefinedWeb", 4.61e11, (1.734, 125.1, 246.2, 0.2544)),
)

# Busbridge et al. ---------------------------------------------------------------------------------------------------


def busbridge(c: Any, params: Any, tokens: Any) -> Any:
    """The supervised part of the distillation law."""
    return c.E + (c.A / params**c.a + c.B / tokens**c.b) ** c.g


BUSBRIDGE = (
    stated("busbridge-supervised", busbridge, "E + (A N^-a + B D^-b)^g", {"params": BODY, "tokens": TOKENS},
           {"E": 1.220, "A": 3355.0, "a": 0.408, "B": 18186.0, "b": 0.431, "g": 0.452}, unit=NATS,
           origin="Busbridge et al. 2025, arXiv:2502.08606: its law of plain training on C4, not of distillation",
           valid={"params": (1.43e8, 1.26e10), "tokens": (0.0, 5.12e11)}),
)  # fmt: skip

LOSS: tuple[Law, ...] = (*KAPLAN, *HOFFMANN, *MUENNIGHOFF, *GADRE, *BUSBRIDGE)
