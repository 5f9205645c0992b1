"""Laws with published constants: the same type as a fitted law, with `fixed` set and a citation for origin."""

from __future__ import annotations

import math

from keel.laws.forms import LAWS
from keel.laws.law import Law

_ADDITIVE = LAWS["chinchilla"]

PUBLISHED: dict[str, Law] = {
    "chinchilla-besiroglu": Law(
        name="chinchilla-besiroglu",
        formula=_ADDITIVE.formula,
        coords=_ADDITIVE.coords,
        params=_ADDITIVE.params,
        curve=_ADDITIVE.curve,
        origin="Besiroglu et al. 2024, arXiv:2404.10102: refit of Hoffmann et al. 2022 (nats per token)",
        valid={"params": (57e6, 16e9), "tokens": (5e9, 500e9)},
        fixed=tuple(math.log(c) for c in (1.8172, 477.84, 0.3473, 2143.86, 0.3672)),
    ),
}
