"""What was learnt across public ladders: priors, how fast a run's word fades, and how much to widen the interval.

`learnt.json` is made by `benchmarks/learn.py` alone: one entry from all families, and one without each, so that the
benchmark can judge a family with what was learnt from the others.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import StudyError

FILE = Path(__file__).with_name("learnt.json")
ALL = "all"


class Learnt(NamedTuple):
    """One set of constants for all tables; logs are natural.

    `tau`, `way`, `fade`: relevance.py. `floor_mean`, `floor_sd`: log E relative to the log of the lowest loss (units
    without a known floor). `rate_shift`, `rate_sd`: on the log of the exponents in forms.py. `widen`: factor on the
    interval's width.
    """

    tau: float
    way: float
    fade: float
    floor_mean: float
    floor_sd: float
    rate_shift: float
    rate_sd: float
    widen: float


@cache
def _file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def _entry(without: str) -> dict[str, Any]:
    entries = _file()["entries"]
    if without and without not in entries:
        raise StudyError(
            f"nothing was learnt without {without!r}", why="families: " + ", ".join(sorted(set(entries) - {ALL})),
            fix="name one of them, or none", where=FILE.name,
        )  # fmt: skip
    found: dict[str, Any] = entries[without or ALL]
    return found


def learnt(without: str = "") -> Learnt:
    """The constants learnt from all families, or from all but one.

    Raises:
        StudyError: no such family.

    Example:
        >>> learnt().widen > 0 and "gadre" not in families_behind("gadre")
        True
    """
    return Learnt(**_entry(without)["values"])


def families_behind(without: str = "") -> frozenset[str]:
    """The families that these constants were learnt from."""
    return frozenset(_entry(without)["families"])
