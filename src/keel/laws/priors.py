"""What is believed before the first run is seen: where the floor of a loss lies, given its unit.

A floor is hardly visible in small runs, so its prior decides far forecasts (docs/decisions/0002). Three cases:

- bits per byte: the floor of text is a known quantity of the world. The best published models reach .6-.7 bits per
  byte of mixed English text and must lie above the floor: log E ~ N(log 0.5, 0.3).
  Reference: Rae et al. 2021, arXiv:2112.11446; Hoffmann et al. 2022, arXiv:2203.15556, Fig. 5 (bits per byte, Pile).
- answers among classes or candidates: no floor of the world lies below them, a model may become certain; and they fall
  faster than the loss of text, exponents of .3 to 1.4 where a ladder was seen to its end (docs/decisions/0009):
  log E ~ N(log .1, 1) of the lowest loss, log exponent ~ N(log .5, .6).
- any other unit: the floor is believed to lie at a share of the lowest loss seen that was learnt across public
  ladders (learnt.py), most of them in nats per token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from keel.laws.law import Coord, Floats, Frame, Law, Param
from keel.laws.learnt import Learnt

BITS_PER_BYTE = "bits_per_byte"
TEXT_FLOOR_BITS, TEXT_FLOOR_SD = 0.5, 0.3
CERTAIN_FLOOR, CERTAIN_FLOOR_SD, CERTAIN_RATE_SD = 0.1, 1.0, 0.6
CERTAIN_RATES: Mapping[Coord, float] = {"params": 0.5, "tokens": 0.5, "none": 0.5, "flop": 0.32}
CERTAIN = frozenset({"class_nats", "retrieval_nats", "probe_nats", "recall", "share_right"})
CERTAIN_WIDEN = 1.0  # how far laws may be trusted on these was learnt nowhere: no interval is drawn in (or out)
LEAST_FALL = -0.05  # a floor is believed at least 5 % below the lowest loss
FAR_BELOW = 0.3  # a floor under 30 % of the lowest loss leaves no trace in a ladder


# Judges of models that no public ladder is about: what was learnt from decoders is then a guess about another kind.
_DECODERS = "the laws' priors were learnt on decoders: believe this optimum no further than the runs reach"
_WIDE = "the laws' priors of this judge are wide, no public ladder stands behind them: believe it near the runs"
UNLIKE: Mapping[str, str] = {
    "masked_bits_per_byte": _DECODERS, "replaced_bits_per_byte": _DECODERS, **dict.fromkeys(sorted(CERTAIN), _WIDE),
}  # fmt: skip


def believed(unit: str, known: Learnt) -> Learnt:
    """What was learnt on public ladders, as far as it holds for a unit.

    Example:
        >>> from keel.laws.learnt import learnt
        >>> believed("class_nats", learnt()).widen, believed("nats_per_token", learnt()) == learnt()
        (1.0, True)
    """
    return known._replace(widen=CERTAIN_WIDEN) if unit in CERTAIN else known


def floor_prior(unit: str, frame: Frame, known: Learnt) -> tuple[float, float]:
    """Mean and SD of log E relative to the frame's loss.

    Example:
        >>> from keel.laws.law import UNIT
        >>> from keel.laws.learnt import learnt
        >>> [round(z, 2) for z in floor_prior("bits_per_byte", UNIT, learnt())]
        [-0.69, 0.3]
    """
    if unit == BITS_PER_BYTE:
        return math.log(TEXT_FLOOR_BITS) - frame.log_value, TEXT_FLOOR_SD
    if unit in CERTAIN:
        return math.log(CERTAIN_FLOOR), CERTAIN_FLOOR_SD
    return known.floor_mean, known.floor_sd


def priors(law: Law, unit: str, frame: Frame, known: Learnt) -> tuple[Floats, Floats]:
    """Means and SDs of the law's log constants in the frame.

    What ladders share is the slope of the whole loss, rate x (1 - E / L): where the floor is believed lower than in
    the ladders that the rates were learnt on, the rates are believed smaller by the same factor.
    """
    floor = floor_prior(unit, frame, known)
    if unit in CERTAIN:
        return _certain(law, floor)
    near = math.log1p(-math.exp(known.floor_mean))
    shift = known.rate_shift + near - math.log1p(-math.exp(min(floor[0], LEAST_FALL)))
    floored = _has_floor(law)

    def belief(param: Param) -> tuple[float, float]:
        if param.role == "floor":
            return floor
        return (param.mean + shift, known.rate_sd) if floored and param.role == "rate" else (param.mean, param.sd)

    pairs = [belief(param) for param in law.params]
    return np.array([m for m, _ in pairs]), np.array([s for _, s in pairs])


def _certain(law: Law, floor: tuple[float, float]) -> tuple[Floats, Floats]:
    """Exponents are those of the whole loss, whether a law has a floor or not: where there is one, it hardly counts."""

    def belief(param: Param) -> tuple[float, float]:
        if param.role == "floor":
            return floor
        return (math.log(CERTAIN_RATES[param.coord]), CERTAIN_RATE_SD) if param.role == "rate" else param[2:4]

    means, sds = zip(*map(belief, law.params))
    return np.array(means), np.array(sds)


def _has_floor(law: Law) -> bool:
    return any(p.role == "floor" for p in law.params)


def odds(law: Law, unit: str, frame: Frame, known: Learnt) -> float:
    """Prior odds of a law: one, but for a law without floor the chance that the floor lies too low to be seen.

    Example:
        >>> from keel.laws.forms import LAWS
        >>> from keel.laws.law import UNIT
        >>> from keel.laws.learnt import learnt
        >>> odds(LAWS["floorless"], "nats_per_token", UNIT, learnt()) < 0.05 < odds(LAWS["coupled"], "", UNIT, learnt())
        True
    """
    if _has_floor(law):
        return 1.0
    mean, sd = floor_prior(unit, frame, known)
    return 0.5 * math.erfc((mean - math.log(FAR_BELOW)) / (sd * math.sqrt(2.0)))
