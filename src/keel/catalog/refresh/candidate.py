"""A row that a provider proposes, and what a gate says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from keel.catalog.rows import Accelerator, Corpus, Model, Offer, Result

Row = Model | Result | Corpus | Accelerator | Offer
Outcome = Literal["take", "keep old", "reject", "needs a flag"]


class Candidate(NamedTuple):
    """Cells as the table's file has them, and a name for people. `counts`: a model's parameters by dtype."""

    name: str
    cells: Mapping[str, str]
    counts: Mapping[str, float] = {}


class Verdict(NamedTuple):
    """What becomes of a row: `gate` 0 where none objects; `cells` may be mended (the shape's count for the hub's)."""

    name: str
    outcome: Outcome
    why: str
    gate: int
    cells: Mapping[str, str]
