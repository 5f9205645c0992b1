"""From candidates to a shortlist: one a family, the smallest that is good enough first; a larger one only to grow to.

What fits comes first: the category, its cover, known languages, a context that holds a document. "Good enough": its
score is at most CLOSE below the best of those that fit best, in one group of comparable results. A model without a
comparable score stands behind those that have one. Where the user's own use cases were scored, those scores decide:
see `record.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keel.catalog.store import Catalogue
from keel.choose import record, yardsticks
from keel.choose.candidates import Candidate, Dropped
from keel.choose.category import OF_TEXT
from keel.choose.holdings import Holdings
from keel.choose.kinds import KINDS
from keel.choose.record import Records
from keel.choose.weights import Weighed
from keel.choose.yardsticks import Score
from keel.units import show_params

CLOSE = 0.10  # of the best score: a convention, shown
LONGEST, TIED_PLACES = 8, 3
ALIKE = 1.15  # sizes within 15 % are one size: then fewer positions a text, then the younger model
USUAL_CONTEXT, UNKNOWN_CUT = 512, 0.5
OWN = "your own recorded scores"


class Ranked(NamedTuple):
    """A candidate with its score in the group that ranks, and why it stands where it does.

    `met`: whether recorded scores meet what every use case accepts.
    """

    candidate: Candidate
    score: Score | None
    why: str
    met: bool = False


class Shortlist(NamedTuple):
    """The first is the base; `grown`: what the same family has beyond it.

    `recorded`: use cases with recorded scores of candidates; `left`: recorded rows that rank nothing.
    """

    ranked: tuple[Ranked, ...]
    dropped: tuple[Dropped, ...]
    grown: tuple[Candidate, ...]
    yardstick: str
    left: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()


def shortlist(
    known: Catalogue, candidates: Sequence[Candidate], cases: Sequence[Weighed], held: Holdings, main: str
) -> Shortlist:
    """Candidates in order; those that are not shown are dropped with the reason."""
    own = record.read(known, candidates, cases)
    listed = _by_record(candidates, own) if own.scores else _by_published(known, candidates, cases, held, main)
    return listed._replace(left=own.left, recorded=tuple(own.scores))


def _by_published(
    known: Catalogue, candidates: Sequence[Candidate], cases: Sequence[Weighed], held: Holdings, main: str
) -> Shortlist:
    firsts, dropped = _smallest(candidates)
    scored, used = _published(known, firsts, cases, held)

    def fitness(item: Candidate) -> tuple[float, ...]:
        """What comes before any score: less is better."""
        return float(KINDS[item.kind].category != main), -round(item.cover, 9), float(item.unsure), _cut(item, held)

    fittest = min(map(fitness, firsts), default=())
    judged = [item for item in firsts if item.model.id in scored]
    rivals = [item for item in judged if fitness(item) == fittest] or judged
    best = max((scored[item.model.id].better for item in rivals), default=0.0)
    good = {name for name, score in scored.items() if score.better >= best - CLOSE * abs(best)}

    def order(item: Candidate) -> tuple[float, ...]:
        name = item.model.id
        tier = 0.0 if name in good else 1.0 if name in scored else 2.0
        return *fitness(item), tier, *_size_about(item), -item.model.year, _size(item)

    firsts = _mixed(sorted(firsts, key=order), main)
    ranked = [Ranked(item, scored.get(item.model.id), _why(item, scored, good, used)) for item in firsts]
    return _listed(ranked, dropped, grown(candidates, firsts[0] if firsts else None), used)


def _by_record(candidates: Sequence[Candidate], own: Records) -> Shortlist:
    """The smallest that is good enough, then the rest by size.

    One that misses what is accepted gives way, and with it the smaller members of its family.
    """
    verdicts = {item.model.id: record.judged(item, own) for item in candidates}
    ranked, dropped, seen = list[Ranked](), list[Dropped](), dict[tuple[str, str], Candidate]()
    missed: dict[tuple[str, str], Candidate] = {}
    for item in sorted(candidates, key=_size):
        if verdicts[item.model.id].missed:
            missed[item.model.family, item.kind] = item  # the largest that misses

    def order(item: Candidate) -> tuple[float, ...]:
        return verdicts[item.model.id].tier, -round(item.cover, 9), _size(item)

    for item in sorted(candidates, key=order):
        verdict, family = verdicts[item.model.id], (item.model.family, item.kind)
        why = f"{show_params(item.model.params)}; {verdict.why}"
        if verdict.missed:
            dropped.append(Dropped(item.model.id, "missed", why))
        elif not verdict.scored and family in missed and _size(item) <= _size(missed[family]):
            larger = missed[family].model.id
            dropped.append(Dropped(item.model.id, "missed", f"no larger than {larger}, which misses what you accept"))
        elif not verdict.scored and family in seen:
            dropped.append(_later(item, seen[family], verdicts[seen[family].model.id].scored))
        else:
            seen.setdefault(family, item)
            ranked.append(Ranked(item, verdict.score, why, verdict.met))
    left = [item for item in candidates if not verdicts[item.model.id].missed]
    return _listed(ranked, dropped, grown(left, ranked[0].candidate if ranked else None), OWN)


def _listed(
    ranked: Sequence[Ranked], dropped: Sequence[Dropped], larger: tuple[Candidate, ...], used: str
) -> Shortlist:
    """The first LONGEST; the others are told with their place."""
    last = [beyond(item, place, len(ranked)) for place, item in enumerate(ranked[LONGEST:], LONGEST + 1)]
    return Shortlist(tuple(ranked[:LONGEST]), (*dropped, *last), larger, used)


def beyond(item: Ranked, place: int, number: int) -> Dropped:
    """One that is not shown."""
    return Dropped(item.candidate.model.id, "rank", f"ranked {place} of {number}: {item.why}")


def _size(item: Candidate) -> float:
    """Parameters; an unknown size stands last."""
    return item.model.params or math.inf


def _size_about(item: Candidate) -> tuple[float, float]:
    """Its size in steps of ALIKE, and whether it reads bytes: several positions where others read one token."""
    size = item.model.params
    step = math.inf if size is None else float(round(math.log(size) / math.log(ALIKE)))
    return step, float("bytes" in item.model.context_said)


def _smallest(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Dropped]]:
    """The smallest member of each family; the others wait until it misses what is accepted."""
    first: dict[tuple[str, str], Candidate] = {}
    for item in sorted(candidates, key=_size):
        first.setdefault((item.model.family, item.kind), item)
    kept = {item.model.id for item in first.values()}
    others = [item for item in candidates if item.model.id not in kept]
    return list(first.values()), [_later(item, first[item.model.family, item.kind]) for item in others]


def _later(item: Candidate, first: Candidate, scored: bool = False) -> Dropped:
    """Another member of a family that is tried already: one to grow to, or one that nobody scored."""
    said = f"of the family {item.model.family}, {first.model.id} is tried first"
    if scored:
        return Dropped(item.model.id, "unscored", f"{said}: it was scored on your use cases, and this one was not")
    return Dropped(item.model.id, "larger", f"{said}; grow to it only when a recorded acceptance metric is missed")


def _mixed(ordered: list[Candidate], main: str) -> list[Candidate]:
    """The main category first; where another one ties with it, it has its places too."""
    own = [item for item in ordered if KINDS[item.kind].category == main]
    tied = [item for item in ordered if KINDS[item.kind].category != main]
    places = LONGEST - min(len(tied), TIED_PLACES)
    return [*own[:places], *tied[:TIED_PLACES], *own[places:], *tied[TIED_PLACES:]]


def _cut(item: Candidate, held: Holdings) -> float:
    """0 where half of a mean document fits its context at least, else how much is lost, in steps of four.

    An unknown context stands between one that fits and one that does not.
    """
    long = held.document_tokens
    if long is None or (item.model.context is not None and long <= 2 * item.model.context):
        return 0.0
    if item.model.context is None:
        return UNKNOWN_CUT if long > 2 * USUAL_CONTEXT and KINDS[item.kind].category in OF_TEXT else 0.0
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
    cover = f"covers {100 * item.cover:.3g} % of the weight; " if item.cells else ""
    return f"{cover}{show_params(item.model.params)}; trained by {item.model.objective or 'an unknown loss'}"


def _why(item: Candidate, scored: Mapping[str, Score], good: set[str], used: str) -> str:
    score = scored.get(item.model.id)
    if score is None:
        return f"{plainly(item)}; no comparable published score"
    close = f"{100 * CLOSE:.0f} %"
    place = f"within {close} of the best" if item.model.id in good else f"over {close} below the best"
    return f"{plainly(item)}; {score.value:g} on {used}: {place}"


def grown(candidates: Sequence[Candidate], base: Candidate | None) -> tuple[Candidate, ...]:
    """Larger members of the base's family, smallest first; none where its size is unknown."""
    least = base.model.params if base is not None else None
    if base is None or least is None:
        return ()
    more = [item for item in candidates if item.model.family == base.model.family and (item.model.params or 0) > least]
    return tuple(sorted(more, key=_size))
