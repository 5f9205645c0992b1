"""Repeated tokens count for less: any law of params and tokens, with the tokens that fresh text would have needed.

    D'  =  U (1 + R (1 - exp(-(e - 1) / R))),    e = D / U epochs over U unique tokens
    R   =  R_D (N / U)^-r

R is the number of repeats after which nothing more is learnt; e = 1 gives D' = D. r > 0: the more params there are to
an unique token, the sooner it is learnt by heart.
Reference: Muennighoff et al. 2023, arXiv:2305.16264, eq. 5 (r = 0, R_D = 15.4 on C4 with up to 8.7B params). The power
of N / U is keel's: with r = 0 models of two params a token are forecast 15-20 % too low at 44 epochs (decision 0004).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from keel.laws.law import COORDS, Floats, Law, Param

D_AT, EPOCHS_AT = COORDS.index("tokens"), COORDS.index("epochs")
R_D, R_POWER = Param("R_D", "shape", math.log(5.0), 1.0), Param("r", "shape", math.log(0.3), 0.7)
N_AT = COORDS.index("params")


def worth(log_epochs: Floats, log_r: Floats) -> tuple[Floats, Floats]:
    """log (D' / D) for each log R [b, 1] and log epochs [n], and its derivative by log R: both [b, n]."""
    r, again = np.exp(log_r), np.expm1(log_epochs)
    left = np.exp(-again / r)
    gained = 1.0 + r * (1.0 - left)
    return np.log(gained) - log_epochs, r * (1.0 - left - left * again / r) / gained


def repeated(law: Law) -> Law:
    """The law with D' for D and two more constants; a law without tokens stays as it is.

    Example:
        >>> from keel.laws.forms import LAWS
        >>> [p.name for p in repeated(LAWS["chinchilla"]).params]
        ['E', 'A', 'a', 'B', 'b', 'R_D', 'r']
    """
    if "tokens" not in law.coords:
        return law
    roles = [(p.role, p.coord) for p in law.params]
    scale = roles.index(("scale", "tokens"))
    rate = roles.index(("rate", "tokens") if ("rate", "tokens") in roles else ("rate", "none"))

    def curve(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        crowd = x[:, N_AT] - (x[:, D_AT] - x[:, EPOCHS_AT])
        power = np.exp(theta[:, -1:])
        shift, by_r = worth(x[:, EPOCHS_AT], theta[:, -2:-1] - power * crowd)
        fresh = np.repeat(x[None], len(theta), 0)
        fresh[:, :, D_AT] += shift
        y, by = law.curve(theta[:, :-2], fresh)
        slope = -np.exp(theta[:, rate : rate + 1]) * by[:, :, scale] * by_r
        return y, np.concatenate([by, slope[:, :, None], (-slope * power * crowd)[:, :, None]], -1)

    return replace(
        law, name=f"{law.name}, repeats", formula=f"{law.formula}, D' for D", coords=(*law.coords, "epochs"),
        params=(*law.params, R_D, R_POWER), curve=curve,
    )  # fmt: skip
