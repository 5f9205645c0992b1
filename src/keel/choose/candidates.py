"""From every model of the catalogue to those that could be the base, each dropped one with the fact that dropped it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from keel.catalog import languages, licence
from keel.catalog.rows import Accelerator, Model
from keel.catalog.store import Catalogue
from keel.choose.category import Chosen
from keel.choose.cover import Cell, row, share
from keel.choose.holdings import Holdings
from keel.choose.kinds import KINDS, kind_of
from keel.choose.weights import Weighed
from keel.size.serve import latency_ms
from keel.size.time import Estimate
from keel.study import Limits, UseCase

# Of one query, where the study does not say; [[use_case]] serve = { tokens_in, tokens_out } overrides it.
TOKENS_IN, TOKENS_OUT = 128.0, 64.0
WRITES = frozenset({"text-generation", "summarization", "translation", "image-to-text", "image-text-to-text"})
BYTES_A_PARAM = 2.0  # served in 16 bits
ROOM = 1.2  # weights and what a query needs beside them
STATE_BYTES = 16.0  # of a parameter in training: weights, gradient, master copy and AdamW's two moments


class Dropped(NamedTuple):
    """A model that is no candidate; `fact` names the kind of reason."""

    id: str
    fact: str
    why: str


class Candidate(NamedTuple):
    """A model that could be the base. `caveats`: what is unknown of it or weak in it."""

    model: Model
    kind: str
    cells: tuple[Cell, ...]
    cover: float
    caveats: tuple[str, ...]


class Survey(NamedTuple):
    """What is left, and what is not."""

    candidates: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...]


def survey(
    known: Catalogue, cases: Sequence[Weighed], held: Holdings, limits: Limits, chosen: Chosen,
    training: Training | None = None,
) -> Survey:  # fmt: skip
    """The licence filters first, then use, category, languages, latency and memory."""
    kept, dropped = list[Candidate](), list[Dropped]()
    for model in known.models.values():
        cells = row(model, cases)
        found = _fact(known, model, cells, cases, held, limits, chosen, training)
        if isinstance(found, Dropped):
            dropped.append(found)
        else:
            kept.append(Candidate(model, kind_of(model), cells, share(cells, cases), found))
    return Survey(tuple(kept), tuple(dropped))


def _fact(
    known: Catalogue, model: Model, cells: Sequence[Cell], cases: Sequence[Weighed], held: Holdings, limits: Limits,
    chosen: Chosen, training: Training | None,
) -> Dropped | tuple[str, ...]:  # fmt: skip
    """The first fact that drops a model, else its caveats."""
    if reason := licence.allowed(model, limits.licence):
        return Dropped(model.id, "licence", reason)
    kind = KINDS.get(kind_of(model))
    if kind is None:
        return Dropped(model.id, "use", f"{model.modality} ({model.objective}): no use case of this study is about it")
    if cases and not any(cell.strength for cell in cells):
        return Dropped(model.id, "use", f"serves none of them: {cells[0].task}: {cells[0].why} {_by(cells[0])}")
    if kind.category not in (chosen.category, *chosen.tied):
        return Dropped(model.id, "category", f"it is {kind.category}; {chosen.why}")
    spoken = _languages(model, held)
    if isinstance(spoken, Dropped):
        return spoken
    if late := _cannot_serve(known, model, cases, limits):
        return late
    if training is not None and model.params and (big := training.too_large(model.params)):
        return Dropped(model.id, "memory", big)
    unsized = () if model.params else ("its size is unknown",)
    return (*spoken, *unsized, *_short(model, held), *_weak(cells))


def _by(cell: Cell) -> str:
    return f"({cell.source})" if cell.source else ""


def _weak(cells: Iterable[Cell]) -> list[str]:
    return [f"{cell.case}: {'weak: ' if cell.strength else 'no: '}{cell.why} {_by(cell)}".strip()
            for cell in cells if cell.strength < 1]  # fmt: skip


def _languages(model: Model, held: Holdings) -> Dropped | tuple[str, ...]:
    """Every language of the data is known to it, or it is not known whether."""
    if KINDS[kind_of(model)].category in ("vision", "diffusion"):
        return ()
    said = {code: languages.speaks(model, code) for code in held.languages}
    if missing := [code for code, speaks in said.items() if speaks is False]:
        return Dropped(
            model.id, "language", f"was not trained on {', '.join(missing)} (its languages: {model.languages})"
        )
    unknown = [code for code, speaks in said.items() if speaks is None]
    return (f"whether it knows {', '.join(unknown)} is unknown (languages: {model.languages or 'unknown'})",) * bool(
        unknown
    )


def _cannot_serve(known: Catalogue, model: Model, cases: Sequence[Weighed], limits: Limits) -> Dropped | None:
    """Limits of memory and of latency that even the optimistic end misses, all of them."""
    if model.params is None:
        return None
    need, facts, kinds = model.params * BYTES_A_PARAM * ROOM, list[str](), list[str]()
    if limits.memory_gb and need > limits.memory_gb * 1e9:
        facts.append(f"memory: needs {need / 1e9:.3g} GB to serve, and the limit is {limits.memory_gb:g}")
        kinds.append("memory")
    for item in cases:
        serve = item.case.serve
        chip = known.accelerators.get(serve.accelerator or "") if serve else None
        if serve is None or chip is None:
            continue
        if chip.memory_bytes and need > chip.memory_bytes:
            facts.append(
                f"memory: {item.case.name}: needs {need / 1e9:.3g} GB, a {chip.id} has {chip.memory_bytes / 1e9:.3g}"
            )
            kinds.append("memory")
        if serve.latency_ms is not None and (took := query_ms(chip, model.params, item.case)).low > serve.latency_ms:
            facts.append(f"latency: {item.case.name}: {took.low:.3g} to {took.high:.3g} ms a query on a {chip.id}, and the "
                         f"limit is {serve.latency_ms:g} ({took.source})")  # fmt: skip
            kinds.append("latency")
    return Dropped(model.id, "latency" if "latency" in kinds else "memory", "; ".join(facts)) if facts else None


def document_tokens(held: Holdings) -> float | None:
    """Tokens of a mean document; None where it is unknown."""
    return held.unique.value / held.documents if held.text and held.unique and held.documents else None


def _short(model: Model, held: Holdings) -> tuple[str, ...]:
    """A context that cuts a mean document."""
    long = document_tokens(held)
    if long is None or model.context is None or long <= model.context:
        return ()
    return (f"its context of {model.context:,} positions cuts a mean document of {long:,.0f} tokens",)


class Training(NamedTuple):
    """The nodes that may train: their memory, and how it is called."""

    bytes: float
    name: str

    def too_large(self, params: float) -> str:
        """Why so many parameters cannot be trained there; "" where they can."""
        need = STATE_BYTES * params
        if need <= self.bytes:
            return ""
        return (f"memory: training takes {STATE_BYTES:g} bytes a parameter, {need / 1e9:,.0f} GB, and {self.name} has "
                f"{self.bytes / 1e9:,.0f}; [limits] nodes allows more")  # fmt: skip


def query_ms(chip: Accelerator, params: float, case: UseCase) -> Estimate:
    """Milliseconds of one query of a use case on a chip."""
    return latency_ms(chip, params, *lengths(case))


def lengths(case: UseCase) -> tuple[float, float]:
    """Tokens of a query and of its answer; conventions where the study says none."""
    serve = case.serve
    said = serve.tokens_out if serve else None
    tokens_out = said if said is not None else TOKENS_OUT if case.task in WRITES else 0.0
    return (serve.tokens_in if serve else None) or TOKENS_IN, tokens_out
