"""From every model of the catalogue to those that could be the base, each dropped one with the fact that dropped it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from keel.catalog import languages, licence
from keel.catalog.rows import Model
from keel.catalog.store import Catalogue
from keel.choose.category import Chosen
from keel.choose.cover import Cell, row, share
from keel.choose.holdings import Holdings
from keel.choose.kinds import KINDS, SPEECH, kind_of
from keel.choose.served import Training, too_much
from keel.choose.weights import Weighed
from keel.study import Limits


class Wanted(NamedTuple):
    """What a base is held against. `training`: the nodes that the study names; None where it names none."""

    cases: tuple[Weighed, ...]
    held: Holdings
    limits: Limits
    chosen: Chosen
    training: Training | None = None


class Dropped(NamedTuple):
    """A model that is no candidate; `fact` names the kind of reason."""

    id: str
    fact: str
    why: str


class Candidate(NamedTuple):
    """A model that could be the base. `caveats`: what is unknown of it or weak in it; `unsure`: of its languages."""

    model: Model
    kind: str
    cells: tuple[Cell, ...]
    cover: float
    caveats: tuple[str, ...]
    unsure: bool = False


class Survey(NamedTuple):
    """What is left, and what is not."""

    candidates: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...]


def survey(known: Catalogue, wanted: Wanted) -> Survey:
    """The licence filters first, then use, category, languages, latency and memory."""
    kept, dropped = list[Candidate](), list[Dropped]()
    for model in known.models.values():
        cells = row(model, wanted.cases)
        if fact := _against(known, model, cells, wanted):
            dropped.append(Dropped(model.id, *fact))
            continue
        unknown = _unknown_languages(model, wanted.held)
        caveats = (*unknown, *_unsized(model), *_short(model, wanted.held), *_weak(cells))
        kept.append(Candidate(model, kind_of(model), cells, share(cells, wanted.cases), caveats, bool(unknown)))
    return Survey(tuple(kept), tuple(dropped))


def _against(known: Catalogue, model: Model, cells: tuple[Cell, ...], wanted: Wanted) -> tuple[str, str] | None:
    """(fact, why): the first that drops a model; None where nothing does."""
    if reason := licence.allowed(model, wanted.limits.licence):
        return "licence", reason
    kind = KINDS.get(kind_of(model))
    if kind is None:
        return "use", _no_kind(model)
    if cells and not any(cell.strength for cell in cells):
        return "use", f"serves none of them: {cells[0].task}: {cells[0].why}{_by(cells[0])}"
    if kind.category not in (wanted.chosen.category, *wanted.chosen.tied):
        return "category", f"it is {kind.category}; {wanted.chosen.why}"
    if missing := [code for code in _spoken(model, wanted.held) if languages.speaks(model, code) is False]:
        return "language", f"was not trained on {', '.join(missing)} (its languages: {model.languages})"
    if found := too_much(known, model, wanted.cases, wanted.limits):
        return found
    if wanted.training is not None and model.params and (big := wanted.training.too_large(model.params)):
        return "memory", big
    return None


def _no_kind(model: Model) -> str:
    """Why keel does not know what a model is for."""
    if kind_of(model) == SPEECH:
        return f"{model.modality} ({model.objective}): no use case of keel's is about it"
    said = f"{model.architecture or 'architecture unknown'}; {model.objective or 'objective unknown'}"
    return f"keel knows no such way of pretraining: {said}"


def _by(cell: Cell) -> str:
    return f" ({cell.source})" if cell.source else ""


def _weak(cells: Iterable[Cell]) -> list[str]:
    return [f"{cell.case}: {'weak' if cell.strength else 'no'}: {cell.why}{_by(cell)}"
            for cell in cells if cell.strength < 1]  # fmt: skip


def _spoken(model: Model, held: Holdings) -> tuple[str, ...]:
    """The languages that a model has to know: none, where it reads or draws images alone."""
    return () if KINDS[kind_of(model)].category in ("vision", "diffusion") else held.languages


def _unknown_languages(model: Model, held: Holdings) -> tuple[str, ...]:
    unknown = [code for code in _spoken(model, held) if languages.speaks(model, code) is None]
    said = model.languages or "unknown"
    return (f"whether it knows {', '.join(unknown)} is unknown (languages: {said})",) if unknown else ()


def _unsized(model: Model) -> tuple[str, ...]:
    return () if model.params else ("its size is unknown, and so whether it can be served and trained",)


def _short(model: Model, held: Holdings) -> tuple[str, ...]:
    """A context that cuts a mean document."""
    long = held.document_tokens
    if long is None or model.context is None or long <= model.context:
        return ()
    return (f"its context of {model.context:,} positions cuts a mean document of {long:,.0f} tokens",)
