"""What is believed before the first run is seen: where the floor of a loss lies, given its unit.

A floor is hardly visible in small runs, so its prior decides far forecasts (docs/decisions/0002). Two cases only:

- bits per byte: the floor of text is a known quantity of the world. The best published models reach .6-.7 bits per
  byte of mixed English text and must lie above the floor: log E ~ N(log 0.5, 0.3).
  Reference: Rae et al. 2021, arXiv:2112.11446; Hoffmann et al. 2022, arXiv:2203.15556, Fig. 5 (bits per byte, Pile).
- any other unit: the floor is believed to lie near three quarters of the lowest loss seen, as it does in published
  ladders in nats per token (E = 1.7-1.8 below 2.2-3): log E ~ N(log L_low - 0.3, 0.3).
"""

from __future__ import annotations

import math

import numpy as np

from keel.laws.law import Floats, Frame, Law

BITS_PER_BYTE = "bits_per_byte"
TEXT_FLOOR_BITS, TEXT_FLOOR_SD = 0.5, 0.3
NEAR_FLOOR, NEAR_FLOOR_SD = -0.3, 0.3
FAR_BELOW = 0.3  # a floor under 30 % of the lowest loss leaves no trace in a ladder


def floor_prior(unit: str, frame: Frame) -> tuple[float, float]:
    """Mean and SD of log E relative to the frame's loss.

    Example:
        >>> from keel.laws.law import UNIT
        >>> [round(z, 2) for z in floor_prior("bits_per_byte", UNIT)], floor_prior("nats_per_token", UNIT)
        ([-0.69, 0.3], (-0.3, 0.3))
    """
    if unit == BITS_PER_BYTE:
        return math.log(TEXT_FLOOR_BITS) - frame.log_value, TEXT_FLOOR_SD
    return NEAR_FLOOR, NEAR_FLOOR_SD


def priors(law: Law, unit: str, frame: Frame) -> tuple[Floats, Floats]:
    """Means and SDs of the law's log constants in the frame."""
    floor = floor_prior(unit, frame)
    pairs = [floor if p.role == "floor" else (p.mean, p.sd) for p in law.params]
    return np.array([m for m, _ in pairs]), np.array([s for _, s in pairs])


def odds(law: Law, unit: str, frame: Frame) -> float:
    """Prior odds of a law: one, but for a law without floor the chance that the floor lies too low to be seen.

    Example:
        >>> from keel.laws.forms import LAWS
        >>> from keel.laws.law import UNIT
        >>> odds(LAWS["floorless"], "nats_per_token", UNIT) < 0.01 < odds(LAWS["coupled"], "", UNIT)
        True
    """
    if any(p.role == "floor" for p in law.params):
        return 1.0
    mean, sd = floor_prior(unit, frame)
    return 0.5 * math.erfc((mean - math.log(FAR_BELOW)) / (sd * math.sqrt(2.0)))
