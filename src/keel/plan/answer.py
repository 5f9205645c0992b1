"""The decision as data: what `keel plan --json` gives and plan.json keeps."""

from __future__ import annotations

from typing import Any

from keel.catalog import behind
from keel.choose import cover, simple
from keel.choose.category import Chosen
from keel.choose.kind import CATEGORIES
from keel.choose.kinds import KINDS, kind_of
from keel.choose.reasons import thresholds
from keel.plan.decide import Decision
from keel.plan.pretraining import left_out, ways
from keel.plan.proposed import proposed
from keel.plan.smaller import smaller


def decision_json(made: Decision) -> dict[str, Any]:
    """Everything, in plain values; unknown is null."""
    fresh = {"params": made.band.params, "tokens": made.band.tokens, "epochs": made.band.epochs}
    return {
        "route": {
            "value": made.route.value, "why": made.route.why, "others": dict(made.route.others),
            "thresholds": [dict(zip(("route", "least", "unit", "source"), row)) for row in thresholds(made.held)],
        },
        "category": _category(made.chosen), "base": _base(made), "shortlist": _shortlist(made),
        "ranked_by": made.listed.yardstick,
        "dropped": [{"id": item.id, "why": item.why, "fact": item.fact, "category": _category_of(made, item.id)}
                    for item in (*made.surveyed.dropped, *made.listed.dropped)],
        "losses": ways(made.chosen.category, made.cases, made.held),
        "losses_left": left_out(made.chosen.category, made.cases, made.held), "size": _size(made),
        "cost": made.cost.json(nodes_of(made)), "binds": made.binds, "binds_why": made.binds_why,
        "proposed": proposed(made), "from_scratch": made.fresh.json() | fresh,
        "data": _data(made), "budget": _budget(made), "deployed": _fleet(made),
        "use_cases": [{"name": item.case.name, "task": item.case.task, "weight": item.weight, "why": item.why}
                      for item in made.cases],
        "smaller": smaller(made), "problems": [problem._asdict() for problem in made.problems],
        "investments": dict(made.invested),
        "catalogue": {"sha256": made.known.digest, "overlays": list(made.known.overlays)},
    }  # fmt: skip


def _category_of(made: Decision, name: str) -> str:
    kind = KINDS.get(kind_of(made.known.models[name]))
    return kind.category if kind else ""


def nodes_of(made: Decision) -> int:
    """Nodes that the deadline asks for; one without a deadline."""
    return int(made.invested["nodes"] or 1)


def _category(chosen: Chosen) -> dict[str, Any]:
    return {"value": chosen.category, "why": chosen.why, "beside": list(chosen.beside),
            "covers": {name: chosen.covers[name] for name in CATEGORIES}}  # fmt: skip


def _base(made: Decision) -> dict[str, Any] | None:
    base = made.base
    if base is None:
        return None
    model = base.model
    if model is None:
        unknown = dict.fromkeys(("hub_id", "licence", "licence_basis", "year", "languages"))
        return {"id": base.name, "params": base.params, **unknown, "licence_class": "unknown", "folder": base.folder,
                "from": "your folder", "as_of": None, "note": ""}  # fmt: skip
    kind = KINDS.get(kind_of(model))
    return {
        "id": base.name, "hub_id": model.hub_id or None, "params": model.params, "licence": model.licence or None,
        "licence_class": model.licence_class, "licence_basis": model.licence_basis or None, "year": model.year,
        "languages": model.languages or None, "folder": None, "from": model.kept, "as_of": model.as_of or None,
        "note": kind.note if kind else "",
    }  # fmt: skip


def _shortlist(made: Decision) -> list[dict[str, Any]]:
    easier = simple.simpler([item.candidate.model for item in made.listed.ranked])
    return [
        {
            "id": item.candidate.model.id, "covers": cover.strengths(item.candidate.cells),
            "matrix": cover.told(item.candidate.cells),
            "cover": item.candidate.cover, "score": item.score.value if item.score else None,
            "score_on": " | ".join(item.score.group) if item.score else None,
            "score_source": item.score.source if item.score else None, "why": item.why,
            "caveats": list(item.candidate.caveats), "params": item.candidate.model.params,
            "licence_class": item.candidate.model.licence_class, "simpler_than": easier[item.candidate.model.id],
            "corpora": list(behind.describe(behind.corpora_of(made.known, item.candidate.model))),
        }
        for item in made.listed.ranked
    ]  # fmt: skip


def _size(made: Decision) -> dict[str, Any]:
    band = made.band
    return {
        "params_low": band.params_low, "params_high": band.params_high, "params": band.params, "tokens": band.tokens,
        "epochs": band.epochs, "low_set_by": band.low_set_by, "high_set_by": band.high_set_by, "flop": band.flop,
        "unspent_flop": band.unspent_flop, "point_law": band.point_law, "stated": made.held.stated,
        "laws": [law._asdict() for law in band.laws],
    }  # fmt: skip


def _data(made: Decision) -> dict[str, Any]:
    held, unique = made.held, made.held.unique
    return {
        "modality": held.modality, "unit": held.unit, "unique": unique.value if unique else None,
        "low": unique.low if unique else None, "high": unique.high if unique else None, "bytes": held.bytes,
        "documents": held.documents, "labels": held.labels, "pairs": held.pairs, "languages": list(held.languages),
        "few": list(held.few), "domain": held.domain, "stated": held.stated,
        "source": f"{held.source}; {unique.source}" if unique else held.source,
    }  # fmt: skip


def _budget(made: Decision) -> dict[str, Any]:
    means = made.means
    return {
        "usd": means.usd, "flop": means.flop.value if means.flop else None,
        "flop_low": means.flop.low if means.flop else None, "flop_high": means.flop.high if means.flop else None,
        "flop_stated": means.stated_flop is not None,
        "reserves": [item._asdict() for item in means.reserves],
        "hardware": [node.hardware.name for node in means.nodes], "hardware_assumed": means.assumed,
    }  # fmt: skip


def _fleet(made: Decision) -> dict[str, Any] | None:
    fleet = made.fleet
    if fleet is None:
        return None
    rows = [{"name": row.name, "base": row.base.id if row.base else None, "why": row.why} for row in fleet.rows]
    return {"rows": rows, "params": list(fleet.params) if fleet.params else None, "summary": fleet.summary}
