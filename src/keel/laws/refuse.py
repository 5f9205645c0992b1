"""When there is no honest answer, and which run would make one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keel.errors import Refusal
from keel.laws.law import Row, Target
from keel.laws.links import link_of
from keel.units import show_count

if TYPE_CHECKING:
    from keel.laws.ensemble import Ensemble

LEAST_RUNS, LEAST_SIZES = 5, 3
SAME_SIZE = 0.03  # sizes within 3 % are one size
SAME_RATIO, OFF_RATIO = 0.1, 0.2  # log tokens per param: all within 10 %; target 20 % off
FLAT = 0.003
# Less than 5 % of loss over the whole ladder, at under .015 per log compute (published ladders: .04 and more), is a
# plateau: what comes after it (masked models drop within one doubling) cannot be read off it.
PLATEAU, PLATEAU_SLOPE = 0.05, 0.015
# Decades of compute: four times the back-test's reach, at most 1.5 beyond it; one where there is none.
FAR_FACTOR, FAR_BEYOND, FAR_LEAST = 4.0, 1.5, 1.0


def refuse(rows: Sequence[Row], aim: Target, unit: str = "") -> Refusal | None:
    """The first reason why these rows, of values in `unit`, cannot carry a forecast of `aim`, or None."""
    what = f"no forecast for {aim.params!r} params, {aim.tokens!r} tokens"
    bad = [z for z in (aim.params, aim.tokens, *([] if aim.flop is None else [aim.flop])) if not _positive(z)]
    if bad:
        return Refusal(what, f"the target has {bad[0]!r}", "give finite, positive params and tokens")
    what = f"no forecast for {show_count(aim.params)} params, {show_count(aim.tokens)} tokens"
    broken = [r.id for r in rows if not all(_positive(z) for z in (r.params, r.tokens, r.flop, r.value))]
    if broken:
        return Refusal(
            what, f"not finite and positive: {', '.join(broken[:5])}", "mend these runs, or leave them out by name"
        )
    return _too_few(rows, aim, what) or _one_ratio(rows, aim, what) or _flat(rows, what, unit)


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _sizes(rows: Sequence[Row]) -> list[float]:
    """Distinct sizes, those within 3 % taken as one."""
    found: list[float] = []
    for size in sorted(float(row.params) for row in rows):
        if not found or size > found[-1] * (1 + SAME_SIZE):
            found.append(size)
    return found


def _too_few(rows: Sequence[Row], aim: Target, what: str) -> Refusal | None:
    sizes = _sizes(rows)
    if len(sizes) < LEAST_SIZES:
        seen = ", ".join(show_count(size) for size in sizes) or "none"
        beyond = bool(sizes) and aim.params > sizes[-1] * 1.2
        new = math.sqrt(sizes[-1] * aim.params) if beyond else (sizes[0] if sizes else aim.params) / 3
        return Refusal(
            what, f"{len(sizes)} sizes seen ({seen}); a law in size needs {LEAST_SIZES}",
            f"add a run of about {show_count(new)} params",
        )  # fmt: skip
    if len(rows) < LEAST_RUNS:
        return Refusal(
            what, f"{len(rows)} runs for a law of three constants or more; {LEAST_RUNS} are needed",
            f"add {LEAST_RUNS - len(rows)} runs of {show_count(sizes[0])} params at other token counts",
        )  # fmt: skip
    return None


def _one_ratio(rows: Sequence[Row], aim: Target, what: str) -> Refusal | None:
    ratios = np.log([float(row.tokens) / float(row.params) for row in rows])
    off = abs(math.log(aim.tokens / aim.params) - float(ratios.mean()))
    if float(np.ptp(ratios)) > SAME_RATIO or off < OFF_RATIO:
        return None
    small = _sizes(rows)[0]
    wanted = small * aim.tokens / aim.params
    return Refusal(
        what,
        f"every run has {math.exp(ratios.mean()):.3g} tokens per param and the target {aim.tokens / aim.params:.3g}: "
        "size and tokens cannot be told apart",
        f"add a run of {show_count(small)} params at {show_count(wanted)} tokens",
    )


def _flat(rows: Sequence[Row], what: str, unit: str) -> Refusal | None:
    values = link_of(unit).to_loss(np.array([float(row.value) for row in rows]))
    if float(np.ptp(np.log(values))) < FLAT:
        return Refusal(
            what, f"the loss is constant within {100 * FLAT:g} %: nothing to extrapolate",
            "train longer or larger runs until the loss moves, or check the loss column",
        )  # fmt: skip
    flop = np.array([float(row.flop) for row in rows])
    fall, span = float(np.ptp(np.log(values))), float(np.ptp(np.log(flop)))
    if fall < PLATEAU and fall < PLATEAU_SLOPE * span:
        return Refusal(
            what, f"a plateau: the loss moved by {100 * fall:.2g} % over {math.exp(span):.3g} x of compute",
            f"train longer or larger runs, beyond {float(flop.max()):.2g} flop, until the loss falls steadily",
        )  # fmt: skip
    rank = np.corrcoef(np.argsort(np.argsort(flop)), np.argsort(np.argsort(values)))[0, 1]
    if rank > 0.3:
        return Refusal(
            what, f"the loss rises with compute (rank correlation {rank:.2f})",
            "check the sign of the loss column; else the larger runs need another learning rate",
        )  # fmt: skip
    return None


def too_wide(ensemble: Ensemble, aim: Target, ratio: float, level: float) -> Refusal:
    """An interval so wide that its middle would only mislead."""
    most = max(ensemble.rows, key=lambda row: row.flop)
    size = math.sqrt(most.params * aim.params)
    way = f"{show_count(size)} params at {show_count(size * aim.tokens / aim.params)} tokens"
    return Refusal(
        f"no forecast for {show_count(aim.params)} params, {show_count(aim.tokens)} tokens",
        f"the runs do not identify it: its {100 * level:g} % interval spans a factor of {ratio:.2g}",
        f"add a run on the way, of about {way}",
    )


def too_far(ensemble: Ensemble, distance: float, aim: Target) -> Refusal | None:
    """A target much farther than anything the back-tests could check."""
    reach = ensemble.cut.reach
    limit = max(FAR_LEAST, min(FAR_FACTOR * reach, reach + FAR_BEYOND))
    if distance <= limit:
        return None
    most = max(row.flop for row in ensemble.rows)
    needed = 10 ** (math.log10(most) + distance - limit)
    size = math.sqrt(needed / 6 * aim.params / aim.tokens)
    return Refusal(
        f"no forecast for {show_count(aim.params)} params, {show_count(aim.tokens)} tokens",
        f"{10**distance:.3g} x the largest run's compute; back-tests inside the runs reach "
        f"{10**reach:.3g} x and carry {10**limit:.3g} x",
        f"add a run of about {show_count(size)} params at {show_count(size * aim.tokens / aim.params)} tokens "
        f"({needed:.2g} flop)",
    )
