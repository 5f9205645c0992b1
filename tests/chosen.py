"""Small parts of a decision for tests of choose/ and plan/: models, use cases, data, a shortlist."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, get_type_hints

from keel.catalog.rows import Model, Result
from keel.catalog.store import Catalogue
from keel.choose.candidates import Candidate
from keel.choose.cover import row, share
from keel.choose.holdings import Holdings
from keel.choose.kinds import kind_of
from keel.choose.rank import Ranked, Shortlist
from keel.choose.weights import Weighed
from keel.size.time import Estimate
from keel.study import UseCase

SHIPPED = Catalogue()


def exactly(value: float) -> Estimate:
    return Estimate(value, value, value, "made for a test")


def model(id_: str, params: float | None = 1e8, **fields: Any) -> Model:
    """An English masked encoder under a permissive licence, unless said otherwise; all else is unknown."""
    blank = {name: "" if kind is str else None for name, kind in get_type_hints(Model).items()}
    given = {
        "id": id_, "name": id_, "family": id_, "params": params, "modality": "text", "architecture": "encoder",
        "objective": "MLM", "languages": "en", "licence": "mit", "licence_class": "permissive", "year": 2020,
        "is_family_base": True, "kept": "shipped", "as_of": "2026-11-24",
    }  # fmt: skip
    return Model(**(blank | given | fields))


def catalogue(*models: Model, results: Sequence[Result] = ()) -> Any:
    """A catalogue of these models alone, with the shipped accelerators."""
    return SimpleNamespace(models={each.id: each for each in models}, results=tuple(results), corpora={},
                           accelerators=SHIPPED.accelerators)  # fmt: skip


def score(model_id: str, dataset: str, value: float, metric: str = "accuracy", **fields: str) -> Result:
    """A result that the user recorded."""
    given = {"setting": "fine-tuned", "kept": "catalog/model_results.csv"} | fields
    return Result(model_id, "", dataset, metric, value, source="own run", **given)


def case(name: str, task: str = "text-classification", weight: float = 1.0, **fields: Any) -> Weighed:
    return Weighed(UseCase(name=name, task=task, **fields), weight, "yours")


def candidate(made: Model, cases: Sequence[Weighed] = (), **fields: Any) -> Candidate:
    cells = row(made, cases)
    return Candidate(made, kind_of(made), cells, share(cells, cases), ())._replace(**fields)


def shortlist(*models: Model, cases: Sequence[Weighed] = (), met: bool = False) -> Shortlist:
    """In this order, without scores."""
    ranked = tuple(Ranked(candidate(each, cases), None, "first", met) for each in models)
    return Shortlist(ranked, (), (), "")


def data(amount: float | None = 1e9, modality: str = "text", **fields: Any) -> Holdings:
    """`amount` of tokens, images or pairs, measured and in English."""
    unit = {"image": "images", "image-text": "pairs"}.get(modality, "tokens")
    blank = Holdings(
        modality, unit, None if amount is None else exactly(amount), None, None, None, None, None, ("en",), (), "",
        stated=False, source="made for a test",
    )  # fmt: skip
    return blank._replace(**fields)
