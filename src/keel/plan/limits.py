"""What serving and training hardware allow a model to be, and how much it will serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keel.catalog.store import Catalogue
from keel.choose.candidates import BYTES_A_PARAM, ROOM, lengths
from keel.choose.holdings import Holdings
from keel.choose.weights import Weighed
from keel.plan.means import Means
from keel.size.serve import largest
from keel.study import Study, UseCase

DAYS_SERVED = 365.0
SERVED_SOURCE = "queries a day x tokens of a query x 365 days: a model's life is taken to be a year"
STATE_BYTES = 16.0  # of a parameter in training: weights, gradient, master copy and two moments of AdamW
SHARE_FOR_STATE = 0.8


class Most(NamedTuple):
    """The most parameters that a limit allows."""

    params: float
    why: str
    note: str


def most_params(known: Catalogue, study: Study, cases: Sequence[Weighed], means: Means) -> Most | None:
    """The tightest of latency, the serving chip's memory, a stated memory, and the memory of the training nodes."""
    found = [most for item in cases for most in _served(known, item.case)]
    if study.limits.memory_gb:
        found.append(Most(study.limits.memory_gb * 1e9 / BYTES_A_PARAM / ROOM, "memory",
                          f"[limits] memory_gb = {study.limits.memory_gb:g}, 2 bytes a parameter served"))  # fmt: skip
    node = means.node
    if node is not None and study.limits.nodes and node.hardware.accelerator.memory_bytes:
        total = node.hardware.accelerator.memory_bytes * node.hardware.devices * study.limits.nodes
        found.append(Most(SHARE_FOR_STATE * total / STATE_BYTES, "memory",
                          f"{study.limits.nodes} x {node.hardware.name}: 16 bytes a parameter, sharded"))  # fmt: skip
    return min(found, default=None)


def _served(known: Catalogue, case: UseCase) -> list[Most]:
    serve = case.serve
    chip = known.accelerators.get(serve.accelerator or "") if serve else None
    if serve is None or chip is None:
        return []
    found = []
    if chip.memory_bytes:
        found.append(Most(chip.memory_bytes / BYTES_A_PARAM / ROOM, "memory", f"a {chip.id} serves '{case.name}'"))
    if serve.latency_ms is not None:
        tokens_in, tokens_out = lengths(case)
        found.append(Most(largest(chip, serve.latency_ms, tokens_in, tokens_out).high, "latency",
                          f"{serve.latency_ms:g} ms on a {chip.id} for '{case.name}'"))  # fmt: skip
    return found


def served_tokens(study: Study, held: Holdings) -> float | None:
    """Tokens served over a year by all use cases that say their traffic; None where none does."""
    daily = [case.serve.queries_per_day * sum(lengths(case)) for case in study.use_case
             if case.serve and case.serve.queries_per_day]  # fmt: skip
    return DAYS_SERVED * sum(daily) if daily and held.text else None
