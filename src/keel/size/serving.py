"""A model that will be served a lot: smaller, trained longer, at the same training budget.

    min over N, D of 6 N D + 2 N D_serve  s.t.  L(N, D) = l     <=>     s(N, D) = 1 + D_serve / (3 D)

with s = (dL/d log N) / (dL/d log D); along 6 N D = C this gives the size whose training costs the budget, and with
D_serve = 0 the compute-optimal one.

Reference: Sardana et al. 2024, arXiv:2401.00448, eq. 3.
"""

from __future__ import annotations

import math

import numpy as np

from keel.laws.law import FLOP_PER_PARAM_TOKEN, Law
from keel.laws.published import PUBLISHED
from keel.size.ask import Ask, LawSize
from keel.size.optima import Point, held

STEP = 1e-3  # of log N and log D, for derivatives
GRID, ROUNDS = 241, 4


def serving_size(
    law: Law, flop: float, served_tokens: float, cap: float = math.inf, unique: float | None = None
) -> Point | None:
    """The size to train with `flop` and then serve `served_tokens`, with at most `cap` tokens; None: the law has none.

    Example:
        >>> found = serving_size(PUBLISHED["hoffmann"], 6 * 4.04e9 * 816e9, 1e12)
        >>> f"{found.params:.3g} params, {found.tokens:.3g} tokens, loss {found.loss:.2f}"
        '4.04e+09 params, 8.16e+11 tokens, loss 2.10'
    """
    if not {"params", "tokens"} <= set(law.coords):
        return None
    rest = held(law, unique)
    low, high = math.log(1e3), math.log(flop / FLOP_PER_PARAM_TOKEN)
    for _ in range(ROUNDS):
        sizes = np.linspace(low, high, GRID)
        tokens = np.exp(math.log(flop / FLOP_PER_PARAM_TOKEN) - sizes)
        by_size, by_tokens = (
            np.log(law.at(params=np.exp(sizes - dn), tokens=tokens * math.exp(-dd), **rest))
            - np.log(law.at(params=np.exp(sizes + dn), tokens=tokens * math.exp(dd), **rest))
            for dn, dd in ((STEP, 0.0), (0.0, STEP))
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            wants_more = by_size > by_tokens * (1 + served_tokens / (3 * tokens))
        if not wants_more.any() or wants_more.all():
            return None
        at = int(np.flatnonzero(wants_more)[-1])
        if at == len(sizes) - 1:
            return None
        low, high = float(sizes[at]), float(sizes[at + 1])
    params = max(math.exp((low + high) / 2), flop / (FLOP_PER_PARAM_TOKEN * cap))
    seen = flop / (FLOP_PER_PARAM_TOKEN * params)
    return Point(params, seen, flop, float(law.at(params=params, tokens=seen, **rest)), data_bound=seen >= cap)


def to_serve(ask: Ask, point: LawSize) -> LawSize | None:
    """The point of a band moved to what serves cheapest; None where nothing is served or the law cannot say.

    Where the data bind already, no tokens are left to train a smaller model longer.
    """
    if not ask.serving_tokens or ask.flop is None or point.data_bound or point.law not in PUBLISHED:
        return None
    fresh = ask.unique.value if ask.unique is not None and ask.unit == "tokens" else None
    cap = ask.cap.value if ask.cap is not None else math.inf
    found = serving_size(PUBLISHED[point.law], ask.flop.value, ask.serving_tokens, cap, fresh)
    if found is None:
        return None
    return point._replace(params=found.params, tokens=found.tokens, loss=found.loss, data_bound=found.data_bound)
