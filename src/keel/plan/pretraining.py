"""The ways of pretraining of the chosen category that serve a use case: what each unlocks and precludes, and lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from keel.choose.holdings import Holdings
from keel.choose.kind import Category, Kind
from keel.choose.kinds import KINDS
from keel.choose.lambdas import lambdas
from keel.choose.weights import Weighed
from keel.objective.fact import Cite, Use
from keel.objective.facts import FACTS
from keel.plan.losses import DEFAULTS

LACKS = {
    "parallel": "needs pairs of translations", "instructions": "needs instructions with their answers",
    "labels": "needs labels",
}  # fmt: skip


class _Way(NamedTuple):
    """A loss of a kind; `name` is keel's where it trains it, else the kind's own."""

    name: str
    kind_name: str
    kind: Kind

    def cite(self, use: Use) -> Cite | None:
        """Why it serves a use: what the loss says of itself, else what its kind says; None where it does not."""
        facts = FACTS.get(self.name)
        if facts is not None and use in facts.unlocks:
            return facts.unlocks[use]
        if self.precluded(use) or not self.kind.serves(use):
            return None
        return self.kind.cite(use)

    def precluded(self, use: Use) -> Cite | None:
        """Why it cannot serve a use; None where no source says so."""
        facts = FACTS.get(self.name)
        return (facts.precludes.get(use) if facts is not None else None) or self.kind.precludes.get(use)

    def lacks(self, held: Holdings) -> str:
        """What the data lack for it, as far as is known."""
        facts = FACTS.get(self.name)
        needs = facts.needs if facts is not None else frozenset({self.kind.needs})
        beside = held.modality == "text" and held.pairs  # translations beside plain text
        have = {held.modality, "labels" if held.labels else "", "parallel" if beside else ""}
        return "; ".join(LACKS[need] for need in sorted(needs - have) if need in LACKS)


def ways(category: Category, cases: Sequence[Weighed], held: Holdings) -> list[dict[str, Any]]:
    """Each with the use cases that it unlocks; those that the data can feed first, then by weight.

    What needs labels is left out where the study says none: see `left_out`.
    """
    fed = [(name, kind) for name, kind in _of(category) if not kind.needs or held.labels]
    found = [_Way(name, kind_name, kind) for kind_name, kind in fed for name in kind.losses or (kind_name,)]
    told = [(way, [(item, cite) for item in cases if (cite := way.cite(item.case.task))]) for way in found]
    ordered = sorted((pair for pair in told if pair[1]), key=lambda pair: (
        bool(pair[0].lacks(held)), -sum(item.weight * pair[0].kind.serves(item.case.task) for item, _ in pair[1]),
    ))  # fmt: skip
    return [_json(way, unlocked, cases, held) for way, unlocked in ordered]


def left_out(category: Category, cases: Sequence[Weighed], held: Holdings) -> list[dict[str, str]]:
    """Ways that would serve a use case and cannot be fed, with what is lacking."""
    said = "none are said" if held.labels is None else "there are none"
    return [{"id": name, "why": f"{LACKS[kind.needs]}, and {said}"} for name, kind in _of(category)
            if kind.needs and not held.labels and any(kind.serves(item.case.task) for item in cases)]  # fmt: skip


def _of(category: Category) -> list[tuple[str, Kind]]:
    return [(name, kind) for name, kind in KINDS.items() if kind.category == category]


def _json(
    way: _Way, unlocked: Sequence[tuple[Weighed, Cite]], cases: Sequence[Weighed], held: Holdings
) -> dict[str, Any]:
    against = [(item, cite) for item in cases if (cite := way.precluded(item.case.task))]
    notes = (way.kind.note, way.lacks(held), lambdas(held) if way.kind.balanced else "")
    return {
        "id": way.name, "kind": way.kind_name, "unlocks": [item.case.task for item, _ in unlocked],
        "trains_here": way.name in FACTS and FACTS[way.name].needs <= DEFAULTS.keys(), "why": _cited(unlocked),
        "precludes": [item.case.task for item, _ in against], "precludes_why": _cited(against),
        "note": "; ".join(filter(None, notes)),
    }  # fmt: skip


def _cited(cites: Sequence[tuple[Weighed, Cite]]) -> str:
    return "; ".join(f"{item.case.name}: {cite.why} ({cite.source})" for item, cite in cites)
