"""What serving and training hardware allow a model to be, and how much it will serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keel.catalog.store import Catalogue
from keel.choose.candidates import BYTES_A_PARAM, ROOM, STATE_BYTES, Training, lengths, query_ms
from keel.choose.holdings import Holdings
from keel.choose.weights import Weighed
from keel.plan.means import Means
from keel.size.serve import largest
from keel.study import Study, UseCase

DAYS_SERVED = 365.0
SERVED_SOURCE = "queries a day x tokens of a query x 365 days: a model's life is taken to be a year"
LEAST_PARAMS = 1e6  # of a model that is of any use: smaller than every release of the catalogue


class Most(NamedTuple):
    """The most parameters that a limit allows."""

    params: float
    why: str
    note: str
    relax: str = ""


def most_params(known: Catalogue, study: Study, cases: Sequence[Weighed], means: Means) -> Most | None:
    """The tightest of latency, the serving chip's memory, a stated memory, and the memory of the training nodes."""
    found = [most for item in cases for most in _served(known, item.case)]
    if study.limits.memory_gb:
        found.append(Most(study.limits.memory_gb * 1e9 / BYTES_A_PARAM / ROOM, "memory",
                          f"[limits] memory_gb = {study.limits.memory_gb:g}, 2 bytes a parameter served"))  # fmt: skip
    training = training_of(study, means)
    if training is not None and study.limits.nodes is not None:
        found.append(Most(training.bytes / STATE_BYTES, "memory", f"{training.name}: 16 bytes a parameter, sharded"))
    return min(found, default=None)


def training_of(study: Study, means: Means) -> Training | None:
    """The memory of the nodes that the study names, as many as it allows (one, unless said); None where it names none."""
    if means.assumed:
        return None
    number = study.limits.nodes or 1
    sizes = [(node.hardware.accelerator.memory_bytes * node.hardware.devices * number, node.hardware.name)
             for node in means.nodes if node.hardware.accelerator.memory_bytes]  # fmt: skip
    if not sizes:
        return None
    most, name = max(sizes)
    return Training(most, f"{number} x {name}")


def _served(known: Catalogue, case: UseCase) -> list[Most]:
    serve = case.serve
    chip = known.accelerators.get(serve.accelerator or "") if serve else None
    if serve is None or chip is None:
        return []
    found = []
    if chip.memory_bytes:
        found.append(Most(chip.memory_bytes / BYTES_A_PARAM / ROOM, "memory", f"a {chip.id} serves '{case.name}'"))
    if serve.latency_ms is not None:
        most = largest(chip, serve.latency_ms, *lengths(case)).high
        found.append(Most(
            most, "latency", f"{serve.latency_ms:g} ms on a {chip.id} for '{case.name}'",
            f"raise latency_ms of '{case.name}' to {query_ms(chip, LEAST_PARAMS, case).high:.2g}: a model of a million "
            "parameters meets that",
        ))  # fmt: skip
    return found


def served_tokens(study: Study, held: Holdings) -> float | None:
    """Tokens served over a year by all use cases that say their traffic; None where none does."""
    daily = [case.serve.queries_per_day * sum(lengths(case)) for case in study.use_case
             if case.serve and case.serve.queries_per_day]  # fmt: skip
    return DAYS_SERVED * sum(daily) if daily and held.text else None
