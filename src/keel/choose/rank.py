"""From candidates to a shortlist: one a family, the smallest that is good enough first; a larger one only when it must grow.

"Good enough": its score is at most CLOSE below the best candidate's, in one group of comparable results; or, where the
user's own use cases were scored, within their margin. A model without a comparable score has none, and stands behind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keel.catalog.store import Catalogue
from keel.choose import yardsticks
from keel.choose.candidates import Candidate, Dropped, document_tokens
from keel.choose.holdings import Holdings
from keel.choose.kinds import KINDS
from keel.choose.weights import Weighed
from keel.choose.yardsticks import Score

CLOSE = 0.10  # of the best score: a convention, shown
MARGIN = 0.02  # of a metric, where a use case names none
LONGEST, TIED_PLACES = 8, 3
INFINITE = float("inf")


class Ranked(NamedTuple):
    """A candidate with its score in the group that ranks, and why it stands where it does."""

    candidate: Candidate
    score: Score | None
    why: str
    met: bool | None = None  # the recorded acceptance metrics: all met, one missed, or None: not recorded


class Shortlist(NamedTuple):
    """The first is the base; `grown`: what the same family has beyond it, for when it is not enough."""

    ranked: tuple[Ranked, ...]
    dropped: tuple[Dropped, ...]
    grown: tuple[Candidate, ...]
    yardstick: str


def shortlist(
    known: Catalogue, candidates: Sequence[Candidate], cases: Sequence[Weighed], held: Holdings, main: str
) -> Shortlist:
    """Candidates in order; those that are not shown are dropped with the reason."""
    own = _recorded(known, cases)
    if own:
        return _by_record(candidates, cases, own)
    scored, used = _published(known, candidates, cases, held)
    best = max((score.better for score in scored.values()), default=0.0)
    good = {name for name, score in scored.items() if score.better >= best - CLOSE * abs(best)}

    def order(item: Candidate) -> tuple[float, ...]:
        name, unsure = item.model.id, any("is unknown" in text for text in item.caveats)
        tier = 0.0 if name in good else 1.0 if name not in scored else 2.0
        return (float(KINDS[item.kind].category != main), -round(item.cover, 9), float(unsure), _cut(item, held), tier,
                item.model.params or INFINITE, -item.model.year)  # fmt: skip

    firsts, dropped = _smallest(candidates)
    firsts = _mixed(sorted(firsts, key=order), main)
    ranked = [Ranked(item, scored.get(item.model.id), _why(item, scored, good, used)) for item in firsts]
    beyond = [Dropped(item.candidate.model.id, "rank", f"ranked {place} of {len(ranked)}: {item.why}")
              for place, item in enumerate(ranked[LONGEST:], LONGEST + 1)]  # fmt: skip
    return Shortlist(tuple(ranked[:LONGEST]), (*dropped, *beyond), _grown(candidates, firsts), used)


def _smallest(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Dropped]]:
    """The smallest member of each family; the others wait until it misses what is accepted."""
    first: dict[tuple[str, str], Candidate] = {}
    for item in sorted(candidates, key=lambda each: each.model.params or INFINITE):
        first.setdefault((item.model.family, item.kind), item)
    kept = {item.model.id for item in first.values()}
    return list(first.values()), [
        Dropped(item.model.id, "larger", f"of the family {item.model.family}, "
                f"{first[item.model.family, item.kind].model.id} is tried first; grow to it only when a recorded acceptance "
                "metric is missed")
        for item in candidates if item.model.id not in kept
    ]  # fmt: skip


def _mixed(ordered: list[Candidate], main: str) -> list[Candidate]:
    """The main category first; where another one ties with it, it has its places too."""
    own = [item for item in ordered if KINDS[item.kind].category == main]
    tied = [item for item in ordered if KINDS[item.kind].category != main]
    places = LONGEST - min(len(tied), TIED_PLACES)
    return [*own[:places], *tied[:TIED_PLACES], *own[places:], *tied[TIED_PLACES:]]


def _cut(item: Candidate, held: Holdings) -> float:
    """0 where half of a mean document fits its context at least, else how much is lost, in steps of four."""
    long = document_tokens(held)
    if long is None or item.model.context is None or long <= 2 * item.model.context:
        return 0.0
    return float(math.ceil(math.log(long / (2 * item.model.context), 4)))


def _published(known: Catalogue, candidates: Sequence[Candidate], cases: Sequence[Weighed],
               held: Holdings) -> tuple[Mapping[str, Score], str]:  # fmt: skip
    """Scores of the weightiest use case of which any candidate has comparable ones."""
    models = [item.model for item in candidates]
    for item in sorted(cases, key=lambda each: -each.weight):
        if found := yardsticks.scores(known, models, item.case.task, held.languages):
            dataset, metric, setting = next(iter(found.values())).group
            return found, f"{dataset}, {metric} ({setting})"
    return {}, ""


def plainly(item: Candidate) -> str:
    """What it is: cover, size, loss."""
    size = f"{item.model.params / 1e6:.4g}M" if item.model.params else "size unknown"
    return f"covers {100 * item.cover:.3g} % of the weight; {size}; trained by {item.model.objective}"


def _why(item: Candidate, scored: Mapping[str, Score], good: set[str], used: str) -> str:
    score = scored.get(item.model.id)
    if score is None:
        return f"{plainly(item)}; no comparable published score"
    close = f"{100 * CLOSE:.0f} %"
    place = f"within {close} of the best" if item.model.id in good else f"over {close} below the best"
    return f"{plainly(item)}; {score.value:g} on {used}: {place}"


def _grown(candidates: Sequence[Candidate], firsts: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Larger members of the first one's family, smallest first."""
    if not firsts:
        return ()
    base = firsts[0].model
    more = [
        item
        for item in candidates
        if item.model.family == base.family and (item.model.params or 0) > (base.params or 0)
    ]
    return tuple(sorted(more, key=lambda item: item.model.params or INFINITE))


def _recorded(known: Catalogue, cases: Sequence[Weighed]) -> dict[str, Mapping[str, Score]]:
    found = {item.case.name: yardsticks.recorded(known, item.case.name, item.case.metric) for item in cases}
    return {name: scores for name, scores in found.items() if scores}


def _by_record(
    candidates: Sequence[Candidate], cases: Sequence[Weighed], own: Mapping[str, Mapping[str, Score]]
) -> Shortlist:
    """Scores on the user's own use cases decide: the smallest that is as good as the best one, then the rest by size."""

    def worst(item: Candidate) -> tuple[bool, bool]:
        """Whether it is as good as the best on each recorded case, and whether it meets each acceptance."""
        good, met = True, True
        for each in (case.case for case in cases if case.case.name in own):
            scores = own[each.name]
            score = scores.get(item.model.id)
            best = max(other.better for other in scores.values())
            good &= score is not None and score.better >= best - (each.margin or MARGIN)
            met &= score is not None and (each.accept is None or score.better >= _signed(each.accept, score))
        return good, met

    def order(item: Candidate) -> tuple[float, ...]:
        good, met = worst(item)
        scored = any(item.model.id in scores for scores in own.values())
        return float(not met), float(not good), float(not scored), -round(item.cover, 9), item.model.params or INFINITE

    ordered = sorted(candidates, key=order)
    first, dropped, seen, kept = next(iter(own)), list[Dropped](), set[tuple[str, str]](), list[Candidate]()
    for item in ordered:
        scored, met = any(item.model.id in scores for scores in own.values()), worst(item)[1]
        if scored and not met:
            dropped.append(Dropped(item.model.id, "missed", _told(item, own, *worst(item))))
        elif scored or (item.model.family, item.kind) not in seen:
            seen.add((item.model.family, item.kind))
            kept.append(item)
        else:
            dropped.append(
                Dropped(item.model.id, "larger", f"another of the family {item.model.family} is tried first")
            )
    ranked = [Ranked(item, own[first].get(item.model.id), _told(item, own, *worst(item)),
                     True if any(item.model.id in scores for scores in own.values()) else None)
              for item in kept]  # fmt: skip
    beyond = [Dropped(item.candidate.model.id, "rank", f"ranked {place}: {item.why}")
              for place, item in enumerate(ranked[LONGEST:], LONGEST + 1)]  # fmt: skip
    return Shortlist(tuple(ranked[:LONGEST]), (*dropped, *beyond), _grown(candidates, kept), "your own recorded scores")


def _signed(accept: float, score: Score) -> float:
    return accept if score.better == score.value else -accept


def _told(item: Candidate, own: Mapping[str, Mapping[str, Score]], good: bool, met: bool) -> str:
    said = [f"{case} {scores[item.model.id].value:g}" for case, scores in own.items() if item.model.id in scores]
    size = f"{item.model.params / 1e6:.4g}M" if item.model.params else "size unknown"
    if not said:
        return f"{size}; not scored on your use cases"
    verdict = "as good as the best" if good else "worse than the best"
    fate = "accepted" if met else "misses what you accept"
    return f"{size}; recorded {', '.join(said)} (from your overlay): {verdict}, {fate}"
