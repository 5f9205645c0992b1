"""Scores that the user recorded on their own use cases: which candidates they accept, and which is good enough.

Good enough is what meets every acceptance where each use case says one, else what is within the margin of the best
candidate. A use case on which a candidate was not scored leaves it unknown there: neither met nor missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keel.catalog.store import Catalogue
from keel.choose.candidates import Candidate
from keel.choose.weights import Weighed
from keel.choose.yardsticks import Score, recorded
from keel.study import UseCase

MARGIN = 0.02  # of a metric, where a use case names none
# In this order: good enough wherever it was recorded, on a part of it, worse than the best, unknown.
ENOUGH, PARTLY, WORSE, NOT_SCORED = range(4)


class Records(NamedTuple):
    """Scores by use case and candidate; cases without any are left out. `left`: rows that rank nothing, with why."""

    cases: tuple[UseCase, ...]
    scores: Mapping[str, Mapping[str, Score]]
    left: tuple[str, ...]


class Verdict(NamedTuple):
    """What the records say of a candidate; `score`: on the weightiest use case on which it was scored.

    `missed`: one recorded score misses what is accepted. `met`: every use case says what it accepts, and it is met.
    """

    score: Score | None
    scored: bool
    missed: bool
    met: bool
    tier: int
    why: str


def read(known: Catalogue, candidates: Sequence[Candidate], cases: Sequence[Weighed]) -> Records:
    """Every recorded score of a candidate, the weightiest use case first."""
    ids = {item.model.id for item in candidates}
    ordered = tuple(item.case for item in sorted(cases, key=lambda each: -each.weight))
    found, left = dict[str, Mapping[str, Score]](), list[str]()
    for case in ordered:
        record = recorded(known, case.name, case.metric)
        left += [f"{case.name}: {text}" for text in record.left]
        left += [f"{case.name}: {name} is no candidate here" for name in record.scores if name not in ids]
        if scores := {name: score for name, score in record.scores.items() if name in ids}:
            found[case.name] = scores
    return Records(ordered, found, tuple(left))


def judged(item: Candidate, own: Records) -> Verdict:
    """One candidate against what is accepted, and against the best."""
    marks = [_mark(item.model.id, case, own.scores[case.name]) for case in own.cases if case.name in own.scores]
    seen = [mark for mark in marks if mark.score is not None]
    if not seen:
        return Verdict(None, False, False, False, NOT_SCORED, "not scored on your use cases")
    missed = any(mark.met is False for mark in seen)
    met = len(seen) == len(own.cases) and all(mark.met for mark in seen)
    enough = all(mark.good if mark.met is None else mark.met for mark in seen)
    tier = (ENOUGH if len(seen) == len(marks) else PARTLY) if enough else WORSE
    return Verdict(seen[0].score, True, missed, met, tier, "; ".join(mark.text for mark in marks))


class _Mark(NamedTuple):
    """One candidate on one use case. `met` None: not scored, or nothing is said to be accepted."""

    score: Score | None
    good: bool
    met: bool | None
    text: str


def _mark(name: str, case: UseCase, scores: Mapping[str, Score]) -> _Mark:
    score = scores.get(name)
    if score is None:
        return _Mark(None, False, None, f"{case.name}: not scored")
    margin = case.margin or MARGIN
    good = score.better >= max(other.better for other in scores.values()) - margin
    met = None if case.accept is None else score.better >= score.turned(case.accept)
    close = f"within {margin:g} of the best" if good else f"over {margin:g} worse than the best"
    fate = (
        "" if met is None else f", accepted at {case.accept:g}" if met else f", misses {case.accept:g}, what you accept"
    )
    return _Mark(score, good, met, f"{case.name}: {score.value:g} {score.group[1]} (from your overlay), {close}{fate}")
