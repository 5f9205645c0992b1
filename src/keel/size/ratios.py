"""Masked models: nobody has published a law with constants, so tokens a parameter, from two sources far apart.

    N = sqrt(C / (6 r)),  D = r N;  where the data end first  N = D / r            r: tokens a parameter

Protein MLM tilts the other way (N ~ C^.776, Cheng et al. 2024): no ratio holds for all masked models.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from keel.laws.law import FLOP_PER_PARAM_TOKEN
from keel.size.ask import Ask, LawSize

FORMULA = "N = sqrt(C / (6 r)), D = r N; where the data end first N = D / r"


class Ratio(NamedTuple):
    """Tokens a parameter (positions, masked or not; tables included) with its range; `value` None: a range alone."""

    name: str
    value: float | None
    low: float
    high: float
    params: tuple[float, float] | None
    source: str
    note: str


MASKED: tuple[Ratio, ...] = (
    Ratio("keel-masked", 80.0, 21.0, 342.0, (2.2e4, 1.41e5),
          "keel's own masked ladder, 2 seeds, one corpus of 4M tokens: docs/lab-notebook.md",
          "r = 80, 90 %: 21 to 342; measured at .1M parameters and carried far beyond"),
    Ratio("optibert-abstract", None, 200.0, 2000.0, None,
          "Dervishi et al. 2025, EMNLP main 1804, abstract: 10 to 100 times the ratio of decoders; constants not read",
          "r = 200 to 2000, with 20 for a decoder's; no middle is published"),
)  # fmt: skip


def by_ratio(ratio: Ratio, ask: Ask) -> LawSize:
    """The size that a ratio gives, at the budget or, where the data end first, for the data.

    Example:
        >>> from keel.size.time import Estimate
        >>> some = Estimate(1.08e21, 1.08e21, 1.08e21, "stated")
        >>> found = by_ratio(MASKED[0], Ask("encoder", some, None, "tokens"))
        >>> f"{found.params:.3g} params, {found.tokens:.3g} tokens, {found.params_low:.3g} to {found.params_high:.3g}"
        '1.5e+09 params, 1.2e+11 tokens, 7.25e+08 to 2.93e+09'
    """
    middle = ratio.value or math.sqrt(ratio.low * ratio.high)
    flop, cap = ask.flop, ask.cap
    size = _size(middle, flop.value if flop else None, cap.value if cap else None)
    low = _size(ratio.high, flop.low if flop else None, cap.low if cap else None)
    high = _size(ratio.low, flop.high if flop else None, cap.high if cap else None)
    tokens = middle * size
    known = ratio.value is not None
    bound = cap is not None and tokens >= cap.value * (1 - 1e-9)
    return LawSize(
        law=ratio.name, params=size if known else None, params_low=low, params_high=high,
        tokens=tokens if known else None, epochs=_epochs(tokens, ask) if known else None, loss=None,
        flop=FLOP_PER_PARAM_TOKEN * size * tokens if known else None, modality_match=True,
        valid="not stated" if ratio.params is None else "params {:.3g}-{:.3g}".format(*ratio.params),
        outside=_outside(ratio, size), source=ratio.source, note=ratio.note, counts="total: with tables",
        data_bound=bound, formula=FORMULA,
    )  # fmt: skip


def _size(ratio: float, flop: float | None, cap: float | None) -> float:
    by_flop = math.sqrt(flop / (FLOP_PER_PARAM_TOKEN * ratio)) if flop else math.inf
    return min(by_flop, cap / ratio if cap else math.inf)


def _epochs(tokens: float, ask: Ask) -> float | None:
    return None if ask.unique is None else max(1.0, tokens / ask.unique.value)


def _outside(ratio: Ratio, params: float) -> str:
    if ratio.params is None:
        return "unknown: its range is not in the abstract"
    low, high = ratio.params
    return (
        f"params {params / high:.3g}x above"
        if params > high
        else f"params {low / params:.3g}x below"
        if params < low
        else ""
    )
