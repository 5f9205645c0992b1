"""What the hardware that serves or trains allows a released model to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keel.catalog.rows import Accelerator, Model
from keel.catalog.store import Catalogue
from keel.choose.weights import Weighed
from keel.errors import StudyError
from keel.size.serve import latency_ms
from keel.size.time import Estimate
from keel.study import Limits, Serve, UseCase

# Of one query, where the study does not say; [[use_case]] serve = { tokens_in, tokens_out } overrides it.
TOKENS_IN, TOKENS_OUT = 128.0, 64.0
WRITES = frozenset({"text-generation", "summarization", "translation", "image-to-text", "image-text-to-text"})
BYTES_A_PARAM = 2.0  # served in 16 bits
ROOM = 1.2  # weights and what a query needs beside them
STATE_BYTES = 16.0  # of a parameter in training: weights, gradient, master copy and AdamW's two moments


class Training(NamedTuple):
    """The nodes that may train: their memory, and how it is called."""

    bytes: float
    name: str

    def too_large(self, params: float) -> str:
        """Why so many parameters cannot be trained there; "" where they can.

        Example:
            >>> Training(24e9, "1 x aws:g5.xlarge").too_large(1e9)
            ''
            >>> Training(24e9, "1 x aws:g5.xlarge").too_large(7e9).split(";")[0]
            'memory: training takes 16 bytes a parameter, 112 GB, and 1 x aws:g5.xlarge has 24'
        """
        need = STATE_BYTES * params
        if need <= self.bytes:
            return ""
        return (f"memory: training takes {STATE_BYTES:g} bytes a parameter, {need / 1e9:,.0f} GB, and {self.name} has "
                f"{self.bytes / 1e9:,.0f}; [limits] nodes allows more")  # fmt: skip


def too_much(known: Catalogue, model: Model, cases: Sequence[Weighed], limits: Limits) -> tuple[str, str] | None:
    """("latency" or "memory", why): limits that even the optimistic end misses, all of them; None where it fits."""
    if model.params is None:
        return None
    need = model.params * BYTES_A_PARAM * ROOM
    found = list[tuple[str, str]]()
    if limits.memory_gb and need > limits.memory_gb * 1e9:
        found.append(("memory", f"needs {need / 1e9:.3g} GB to serve, and the limit is {limits.memory_gb:g}"))
    for item in cases:
        serve = item.case.serve
        chip = known.accelerators.get(serve.accelerator or "") if serve else None
        if serve is not None and chip is not None:
            found += _on(chip, serve, need, model.params, item.case)
    if not found:
        return None
    kind = "latency" if any(name == "latency" for name, _ in found) else "memory"
    return kind, "; ".join(f"{name}: {why}" for name, why in found)


def _on(chip: Accelerator, serve: Serve, need_bytes: float, params: float, case: UseCase) -> list[tuple[str, str]]:
    """What a chip cannot do of one use case."""
    found = []
    if chip.memory_bytes and need_bytes > chip.memory_bytes:
        found.append(("memory", f"{case.name}: needs {need_bytes / 1e9:.3g} GB, a {chip.id} has "
                                f"{chip.memory_bytes / 1e9:.3g}"))  # fmt: skip
    took = query_ms(chip, params, case)
    if serve.latency_ms is not None and took is not None and took.low > serve.latency_ms:
        found.append(("latency", f"{case.name}: {took.low:.3g} to {took.high:.3g} ms a query on a {chip.id}, and the "
                                 f"limit is {serve.latency_ms:g} ({took.source})"))  # fmt: skip
    return found


def query_ms(chip: Accelerator, params: float, case: UseCase) -> Estimate | None:
    """Milliseconds of one query of a use case on a chip; None where its peak or its memory's rate is unknown."""
    try:
        return latency_ms(chip, params, *lengths(case))
    except StudyError:
        return None


def lengths(case: UseCase) -> tuple[float, float]:
    """Tokens of a query and of its answer; conventions where the study says none.

    Example:
        >>> lengths(UseCase(name="find", task="retrieval")), lengths(UseCase(name="draft", task="text-generation"))
        ((128.0, 0.0), (128.0, 64.0))
    """
    serve = case.serve
    said = serve.tokens_out if serve else None
    tokens_out = said if said is not None else TOKENS_OUT if case.task in WRITES else 0.0
    return (serve.tokens_in if serve else None) or TOKENS_IN, tokens_out
