"""The decision as data: what `keel plan --json` gives and plan.json keeps."""

from __future__ import annotations

from typing import Any

from keel.choose import cover, simple
from keel.choose.category import Chosen
from keel.choose.kind import CATEGORIES
from keel.choose.kinds import KINDS, kind_of
from keel.choose.lambdas import lambdas
from keel.choose.route import thresholds
from keel.objective.facts import FACTS
from keel.plan.decide import Decision, binds_why
from keel.plan.proposed import proposed
from keel.plan.smaller import smaller
from keel.size.ask import LawSize


def decision_json(made: Decision) -> dict[str, Any]:
    """Everything, in plain values; unknown is null."""
    return {
        "route": {
            "value": made.route.value, "why": made.route.why, "others": dict(made.route.others),
            "thresholds": [dict(zip(("route", "least", "unit", "source"), row)) for row in thresholds(made.held)],
        },
        "category": _category(made.chosen), "base": _base(made), "shortlist": _shortlist(made),
        "dropped": [{"id": item.id, "why": item.why, "fact": item.fact, "category": _category_of(made, item.id)}
                    for item in (*made.surveyed.dropped, *made.listed.dropped)],
        "losses": losses(made), "size": _size(made), "cost": made.cost.json(nodes_of(made)), "binds": made.binds,
        "binds_why": binds_why(made),
        "proposed": proposed(made),
        "from_scratch": made.fresh.json() | {"params": made.band.params, "tokens": made.band.tokens,
                                             "epochs": made.band.epochs},
        "data": _data(made), "budget": _budget(made), "deployed": _fleet(made),
        "use_cases": [{"name": item.case.name, "task": item.case.task, "weight": item.weight, "why": item.why}
                      for item in made.cases],
        "smaller": smaller(made), "problems": [problem._asdict() for problem in made.problems], "investments": dict(made.invested), "catalogue": {"sha256": made.known.digest, "overlays": list(made.known.overlays)},
    }  # fmt: skip


def _category_of(made: Decision, name: str) -> str:
    kind = KINDS.get(kind_of(made.known.models[name]))
    return kind.category if kind else ""


def nodes_of(made: Decision) -> int:
    """Nodes that the deadline asks for; one without a deadline."""
    return int(made.invested["nodes"] or 1)


def _category(chosen: Chosen) -> dict[str, Any]:
    return {"value": chosen.category, "why": chosen.why, "beside": list(chosen.beside),
            "covers": {name: chosen.covers.get(name, 0.0) for name in CATEGORIES}}  # fmt: skip


def _base(made: Decision) -> dict[str, Any] | None:
    model = made.base
    if model is None:
        return None
    return {
        "id": model.id, "hub_id": model.hub_id or None, "params": model.params, "licence": model.licence or None,
        "licence_class": model.licence_class, "licence_basis": model.licence_basis or None, "year": model.year,
        "languages": model.languages or None, "from": model.kept, "as_of": model.as_of,
        "note": KINDS[made.listed.ranked[0].candidate.kind].note if made.listed.ranked else "",
    }  # fmt: skip


def _shortlist(made: Decision) -> list[dict[str, Any]]:
    seen = [item.candidate for item in made.listed.ranked]
    easier = simple.simpler([item.model for item in seen])
    return [
        {
            "id": item.candidate.model.id, "covers": cover.strengths(item.candidate.cells),
            "matrix": cover.told(item.candidate.cells),
            "cover": item.candidate.cover, "score": item.score.value if item.score else None,
            "score_on": " | ".join(item.score.group) if item.score else None,
            "score_source": item.score.source if item.score else None, "why": item.why,
            "caveats": list(item.candidate.caveats), "params": item.candidate.model.params,
            "licence_class": item.candidate.model.licence_class, "simpler_than": easier[item.candidate.model.id],
            "corpora": behind_lines(made, item.candidate.model.id),
        }
        for item in made.listed.ranked
    ]  # fmt: skip


def behind_lines(made: Decision, model_id: str) -> list[str]:
    """The corpora behind a candidate, and that their overlap with the user's is unknown."""
    from keel.catalog import behind

    return list(behind.describe(behind.corpora_of(made.known, made.known.models[model_id])))


def losses(made: Decision) -> list[dict[str, Any]]:
    """The ways of pretraining of the chosen category that serve a use case, most weight first; keel's own named."""
    found = []
    for name, kind in KINDS.items():
        if kind.category != made.chosen.category:
            continue
        uses = [item for item in made.cases if kind.serves(item.case.task) > 0]
        weight = sum(item.weight * kind.serves(item.case.task) for item in uses)
        if not uses or (name == "supervised" and not made.held.labels):
            continue
        lacking = _lacking(name, made)
        for loss in kind.losses or (name,):
            own = FACTS[loss].unlocks if loss in FACTS else {}
            given = [(item, own.get(item.case.task) or kind.cite(item.case.task)) for item in uses]
            found.append(((bool(lacking), -weight), {
                "id": loss, "kind": name, "unlocks": [item.case.task for item in uses], "trains_here": loss in FACTS,
                "why": "; ".join(f"{item.case.name}: {cite.why} ({cite.source})" for item, cite in given if cite),
                "precludes": [item.case.task for item in made.cases if item.case.task in kind.precludes],
                "note": "; ".join(filter(None, (kind.note, lacking, lambdas(made.held) if loss == "coca" else ""))),
            }))  # fmt: skip
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def _lacking(kind: str, made: Decision) -> str:
    """What the data lack for a kind of loss; "" where nothing is known to be missing."""
    held = made.held
    if kind == "translated" and held.modality != "parallel":
        return "needs pairs of translations"
    if kind == "instructed" and held.modality != "instructions":
        return "needs instructions with their answers"
    return ""


def _size(made: Decision) -> dict[str, Any]:
    band = made.band
    return {
        "params_low": band.params_low, "params_high": band.params_high, "params": band.params, "tokens": band.tokens,
        "epochs": band.epochs, "low_set_by": band.low_set_by, "high_set_by": band.high_set_by, "flop": band.flop,
        "unspent_flop": band.unspent_flop, "point_law": band.point_law, "stated": made.held.stated,
        "laws": [_law(law) for law in band.laws],
    }  # fmt: skip


def _law(law: LawSize) -> dict[str, Any]:
    return law._asdict()


def _data(made: Decision) -> dict[str, Any]:
    held = made.held
    unique = held.unique
    return {
        "modality": held.modality, "unit": held.unit, "unique": unique.value if unique else None,
        "low": unique.low if unique else None, "high": unique.high if unique else None, "bytes": held.bytes,
        "documents": held.documents, "labels": held.labels, "pairs": held.pairs, "languages": list(held.languages),
        "few": list(held.few), "stated": held.stated, "source": f"{held.source}; {unique.source if unique else ''}",
    }  # fmt: skip


def _budget(made: Decision) -> dict[str, Any]:
    means = made.means
    return {
        "usd": means.usd, "flop": means.flop.value if means.flop else None,
        "flop_low": means.flop.low if means.flop else None, "flop_high": means.flop.high if means.flop else None,
        "reserves": [item._asdict() for item in means.reserves], "hardware": [node.hardware.name for node in means.nodes],
        "hardware_assumed": means.assumed,
    }  # fmt: skip


def _fleet(made: Decision) -> dict[str, Any] | None:
    fleet = made.fleet
    if fleet is None:
        return None
    return {"rows": [{"name": row.name, "base": row.base.id if row.base else None, "why": row.why} for row in fleet.rows],
            "params": list(fleet.params) if fleet.params else None, "summary": fleet.summary}  # fmt: skip
