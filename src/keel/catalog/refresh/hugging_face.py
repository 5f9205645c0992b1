"""Models by the hub's public API: licence, parameters by dtype, date of the last change; open ones need no key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.catalog.refresh.candidate import Candidate
from keel.catalog.refresh.payload import cells_of, mapping, parsed
from keel.catalog.store import Catalogue
from keel.catalog.tables import MODELS

HOST = "https://huggingface.co/api/models"
FIELDS = ("safetensors", "cardData", "config", "lastModified")
# Only licences that mean one thing; of all others the class is to be read by a person.
CLASSES: Mapping[str, str] = {
    "apache-2.0": "permissive", "mit": "permissive", "bsd-3-clause": "permissive", "bsd-2-clause": "permissive",
    "isc": "permissive", "cc0-1.0": "permissive", "cc-by-4.0": "permissive", "unlicense": "permissive",
    "cc-by-nc-4.0": "non-commercial", "cc-by-nc-sa-4.0": "non-commercial", "cc-by-nc-nd-4.0": "non-commercial",
    "openrail": "conditional", "bigscience-bloom-rail-1.0": "conditional", "creativeml-openrail-m": "conditional",
    "llama2": "conditional", "llama3": "conditional", "llama3.1": "conditional", "llama3.2": "conditional",
    "gemma": "conditional", "cc-by-sa-4.0": "conditional",
}  # fmt: skip


def url(hub_id: str) -> str:
    """The address of one model.

    Example:
        >>> url("FacebookAI/roberta-base")[:54]
        'https://huggingface.co/api/models/FacebookAI/roberta-b'
    """
    return f"{HOST}/{hub_id}?" + "&".join(f"expand[]={field}" for field in FIELDS)


def parse(data: bytes, name: str, known: Catalogue, day: str) -> tuple[list[Candidate], list[str]]:
    """One model, or a list of them; each must be in the catalogue, whose row is renewed."""
    tree = parsed(data, name)
    items = [mapping(item, name) for item in (tree if isinstance(tree, list) else [tree])]
    rows: dict[str, list[dict[str, str]]] = {}
    for row in cells_of(known, MODELS).values():
        rows.setdefault(row["hub_id"].lower(), []).append(row)
    found, said = [], []
    for item in items:
        hub_id = str(item.get("id") or item.get("modelId") or "")
        like = rows.get(hub_id.lower(), []) if hub_id else []
        if len(like) == 1:
            found.append(_candidate(item, like[0], day, name))
            continue
        said.append(f"'{hub_id}' is the hub id of {len(like)} rows of the catalogue, and one is needed")
    return found, said


def _candidate(item: Mapping[str, Any], like: Mapping[str, str], day: str, name: str) -> Candidate:
    licence = _licence(item)
    changed = str(item.get("lastModified", ""))[:10]
    cells = dict(like) | {"as_of": day}
    if licence:
        same = licence.lower() == like["license"].lower().split(" (")[0]
        cells["license_basis"] = f"hub tag, repository changed {changed or 'on an unknown day'}"
        if not same:
            cells |= {"license": licence, "license_class": CLASSES.get(licence.lower(), "unclear")}
    weights = item.get("safetensors")
    counts = dict(weights.get("parameters") or {}) if isinstance(weights, Mapping) else {}
    if not counts and isinstance(weights, Mapping) and weights.get("total"):
        counts = {"F?": weights["total"]}
    return Candidate(like["id"], cells, {str(dtype): float(number) for dtype, number in counts.items()})


def _licence(item: Mapping[str, Any]) -> str:
    """The card's licence; "other" gives way to the name beside it."""
    card = item.get("cardData")
    card = card if isinstance(card, Mapping) else {}
    said = card.get("license") or next(
        (str(tag)[8:] for tag in item.get("tags", ()) if str(tag).startswith("license:")), "")  # fmt: skip
    if isinstance(said, list):
        said = " / ".join(map(str, said))
    return str(card.get("license_name") or said) if said == "other" else str(said)
