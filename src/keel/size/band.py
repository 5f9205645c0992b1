"""From a budget and the data to a range of sizes: each end with what sets it, and what binds.

    upper = min(the laws' upper end, memory, latency, the models deployed today)
    lower = max(the smallest admissible released member, the size within 1 % of the best loss, the size to serve)

Where the data end first, the size is the one that they support and the rest of the budget stays unspent: at fixed
FLOP an epochs rule bounds the size from below, never from above. Laws stand side by side and are never averaged.

Reference: Hoffmann et al. 2022, arXiv:2203.15556; Muennighoff et al. 2023, arXiv:2305.16264; Sardana et al. 2024,
arXiv:2401.00448.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from keel.answer import Number
from keel.errors import Problem
from keel.laws.law import FLOP_PER_PARAM_TOKEN
from keel.size.ask import Ask, LawSize
from keel.size.doubts import check, doubts
from keel.size.serving import to_serve
from keel.size.ways import TOLERANCE, sizes

__all__ = ["Ask", "Band", "LawSize", "band"]
STATED = "stated, not measured"


class Band(NamedTuple):
    """A range of sizes and one run in it. None: unknown. `binds`: data, compute, memory, latency or nothing.

    `params`, `tokens`, `flop`: the run of the first law that may set the band, within the limits; `point_law` names it.
    """

    params_low: float | None
    params_high: float | None
    low_set_by: str
    high_set_by: str
    params: float | None
    tokens: float | None
    epochs: float | None
    flop: float | None
    unspent_flop: float | None
    binds: str
    laws: tuple[LawSize, ...]
    numbers: tuple[Number, ...]
    problems: tuple[Problem, ...]
    point_law: str = ""


class End(NamedTuple):
    """One end of the band: a size and what sets it."""

    params: float
    set_by: str


def band(ask: Ask) -> Band:
    """The range of sizes that a budget and the data support.

    Raises:
        StudyError: numbers that cannot be meant, all of them.

    Example:
        >>> from keel.size.time import Estimate
        >>> some = Estimate(2.5e21, 2e21, 3e21, "stated")
        >>> found = band(Ask("decoder", some, Estimate(4.3e9, 4.1e9, 4.5e9, "measured"), "tokens"))
        >>> found.binds, f"{found.tokens:.3g} tokens, {found.flop:.2g} flop, {found.unspent_flop / 2.5e21:.0%} unspent"
        ('data', '1.72e+10 tokens, 7.7e+19 flop, 97% unspent')
    """
    check(ask)
    laws = sizes(ask)
    usable = [law for law in laws if law.in_band]
    problems = list(doubts(ask, laws))
    point = next((law for law in usable if law.params is not None), None)
    served = to_serve(ask, point) if point else None
    high = _upper(ask, usable)
    low, squeezed = _lower(ask, usable, served, high)
    problems += squeezed
    params = _within(served.params if served else point.params if point else None, low, high, ask)
    tokens, flop, unspent = _run(ask, params, served.tokens if served else point.tokens if point else None, point)
    binds = _binds(ask, point, params, tokens)
    epochs = None if tokens is None or ask.cap is None else max(1.0, ask.epochs.most * tokens / ask.cap.value)
    found = Band(
        low.params if low else None, high.params if high else None, low.set_by if low else "",
        high.set_by if high else "", params, tokens, epochs, flop, unspent, binds, laws, (), tuple(problems),
        point.law if point else "",
    )  # fmt: skip
    return found._replace(numbers=_numbers(found, ask, point))


def _upper(ask: Ask, laws: list[LawSize]) -> End | None:
    ends = [End(law.params_high, f"{law.law}, upper end") for law in laws if law.params_high is not None]
    found = [max(ends)] if ends else []
    if ask.most_params is not None:
        found.append(End(ask.most_params, " ".join(filter(None, (ask.most_why, ask.most_note)))))
    if ask.deployed_params is not None:
        found.append(End(ask.deployed_params[1], "the largest model deployed today"))
    return min(found) if found else None


def _lower(ask: Ask, laws: list[LawSize], served: LawSize | None, high: End | None) -> tuple[End | None, list[Problem]]:
    """The greatest lower bound, and what to say where it lies above the upper one."""
    near = [(law.least_params, law.law) for law in laws if law.least_params is not None]
    ranges = [End(law.params_low, f"{law.law}, lower end") for law in laws if law.params_low is not None]
    found = []
    if near:
        found.append(End(min(near)[0], f"within {100 * TOLERANCE:g} % of the best loss by {min(near)[1]}"))
    elif ranges:
        found.append(min(ranges))
    if ask.smallest_params is not None:
        found.append(End(ask.smallest_params, f"the smallest released member {ask.smallest_id}".strip()))
    if served is not None and served.params is not None:
        found.append(End(served.params, "the cheapest to train and serve"))
    if ask.deployed_params is not None:
        found.append(End(ask.deployed_params[0], "the smallest model deployed today"))
    if not found:
        return None, []
    low = max(found)
    if high is None or low.params <= high.params:
        return low, []
    return _meet(ask, found, low, high)


def _meet(ask: Ask, found: list[End], low: End, high: End) -> tuple[End, list[Problem]]:
    """Bounds that cross: the limit wins over a wish, and the problem says which gave way."""
    if ask.smallest_params is not None and ask.most_params is not None and ask.smallest_params > ask.most_params:
        return low, [Problem(
            f"no released member fits: the smallest has {ask.smallest_params:.3g} parameters, "
            f"{ask.most_why or 'the limit'} allows {ask.most_params:.3g}",
            f"{ask.most_note or ask.most_why}; {ask.smallest_id}".strip("; "),
            f"allow {ask.smallest_params / ask.most_params:.2g} times as many parameters, or train a smaller one "
            "from scratch", "size",
        )]  # fmt: skip
    kept = [end for end in found if end.params <= high.params]
    said = Problem(
        f"{low.set_by} asks for {low.params:.3g} parameters, {high.set_by} allows {high.params:.3g}",
        "the upper bound is kept", "raise that limit, or accept the loss of a smaller model", "size",
    )  # fmt: skip
    return (max(kept) if kept else End(high.params, high.set_by)), [said]


def _within(params: float | None, low: End | None, high: End | None, ask: Ask) -> float | None:
    """The recommended size, moved into the band; no law, no recommendation."""
    if params is None:
        return None
    if high is not None:
        params = min(params, high.params)
    return max(params, low.params) if low is not None and (high is None or low.params <= high.params) else params


def _run(
    ask: Ask, params: float | None, tokens: float | None, point: LawSize | None
) -> tuple[float | None, float | None, float | None]:
    """Tokens, FLOP and what is left of the budget for a size: as many tokens as the money and the data give."""
    if params is None or point is None:
        return None, None, None
    cap = ask.cap.value if ask.cap else math.inf
    bought = ask.flop.value / (FLOP_PER_PARAM_TOKEN * params) if ask.flop else math.inf
    if point.params is not None and params == point.params and tokens is not None:
        bought = min(bought, tokens)  # the law's own tokens, where its FLOP are not 6 N D
    seen = min(cap, bought)
    if not math.isfinite(seen):
        return tokens, point.flop, None
    flop = FLOP_PER_PARAM_TOKEN * params * seen
    return seen, flop, max(0.0, ask.flop.value - flop) if ask.flop else None


def _binds(ask: Ask, point: LawSize | None, params: float | None, tokens: float | None) -> str:
    """What keeps the run from being better: a limit on size, the data, or the money."""
    wanted = point.params if point and point.params is not None else None
    if ask.most_params is not None and (wanted is None or ask.most_params < wanted):
        return ask.most_why or "memory"
    if ask.cap is not None and (ask.flop is None or (tokens is not None and tokens >= ask.cap.value * (1 - 1e-6))):
        return "data"
    return "compute" if ask.flop is not None else "nothing"


def _numbers(found: Band, ask: Ask, point: LawSize | None) -> tuple[Number, ...]:
    """The band's numbers with their origin."""
    rests = f"; {STATED}" if ask.stated else ""
    inputs: dict[str, float | int | str] = {"category": ask.category, "max_epochs": ask.epochs.most}
    if ask.flop is not None:
        inputs["flop"] = ask.flop.value
    if ask.unique is not None:
        inputs[f"unique_{ask.unit}"] = ask.unique.value
    source = f"{point.source if point else 'limits'}{rests}"
    valid, outside = (point.valid, point.outside) if point else ("", "")
    numbers = []
    for name, value, how in (
        ("size.params_low", found.params_low, f"max of the lower bounds; set by {found.low_set_by}"),
        ("size.params_high", found.params_high, f"min of the upper bounds; set by {found.high_set_by}"),
    ):
        if value is not None:
            numbers.append(Number(name, value, "params", formula=how, inputs=inputs, source=source, valid=valid,
                                  outside=outside))  # fmt: skip
    if found.params is None or found.tokens is None:
        return tuple(numbers)
    assert point is not None
    numbers += [
        Number("size.params", found.params, f"params ({point.counts})", found.params_low, found.params_high,
               point.formula, inputs, source, valid, outside),
        Number("size.tokens", found.tokens, "tokens", formula=f"min(best tokens, {ask.epochs.most:g} epochs of unique)",
               inputs=inputs, source=f"{source}; epochs: {ask.epochs.source}", valid=valid, outside=outside),
    ]  # fmt: skip
    if found.flop is not None:
        numbers.append(Number("size.flop", found.flop, "flop", formula="6 N D", inputs=inputs, source=source))
    if found.unspent_flop is not None:
        numbers.append(Number("size.unspent_flop", found.unspent_flop, "flop", formula="budget - 6 N D", inputs=inputs,
                              source=ask.flop.source if ask.flop else ""))  # fmt: skip
    return tuple(numbers)
