"""What serving and training hardware allow a model to be, how much it serves, and which limits cannot be weighed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keel.answer import Number
from keel.catalog.rows import Accelerator
from keel.catalog.store import Catalogue
from keel.choose.candidates import Survey
from keel.choose.holdings import Holdings
from keel.choose.served import BYTES_A_PARAM, ROOM, STATE_BYTES, Training, lengths, query_ms
from keel.choose.weights import Weighed
from keel.errors import Problem, Refusal, Refused
from keel.plan.means import Means
from keel.size.serve import largest
from keel.study import Serve, Study, UseCase

DAYS_SERVED = 365.0
SERVED_SOURCE = "convention: a model serves for a year; 128 tokens a query, 64 written, where the study says none"
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
    """The memory of the nodes that the study names, as many as it allows (else one); None where it names none."""
    if means.assumed:
        return None
    number = study.limits.nodes or 1
    sizes = [(node.hardware.accelerator.memory_bytes * node.hardware.devices * number, node.hardware.name)
             for node in means.nodes if node.hardware.accelerator.memory_bytes]  # fmt: skip
    if not sizes:
        return None
    most, name = max(sizes)
    return Training(most, f"{number} x {name}")


def possible(most: Most | None, surveyed: Survey) -> None:
    """Limits that no model meets, released or new.

    Raises:
        Refused: with the smallest relaxation.
    """
    if most is None or most.params >= LEAST_PARAMS or surveyed.candidates:
        return
    late = [item.why for item in surveyed.dropped if item.fact == most.why]
    raise Refused(Refusal(
        f"no model meets the limit of {most.why}", most.note + (f"; {late[0]}" if late else ""),
        most.relax or f"raise the limit of {most.why}",
    ))  # fmt: skip


def _served(known: Catalogue, case: UseCase) -> list[Most]:
    serve = case.serve
    chip = known.accelerators.get(serve.accelerator or "") if serve else None
    if serve is None or chip is None:
        return []
    found = []
    if chip.memory_bytes:
        found.append(Most(chip.memory_bytes / BYTES_A_PARAM / ROOM, "memory", f"a {chip.id} serves '{case.name}'"))
    return found + _in_time(chip, serve, case)


def _in_time(chip: Accelerator, serve: Serve, case: UseCase) -> list[Most]:
    """The most that a latency allows; nothing where the chip's speed is unknown."""
    least = query_ms(chip, LEAST_PARAMS, case)
    if serve.latency_ms is None or least is None:
        return []
    return [Most(
        largest(chip, serve.latency_ms, *lengths(case)).high, "latency",
        f"{serve.latency_ms:g} ms on a {chip.id} for '{case.name}'",
        f"raise latency_ms of '{case.name}' to {least.high:.2g}: a model of a million parameters meets that",
    )]  # fmt: skip


def not_weighed(known: Catalogue, study: Study, held: Holdings) -> list[Problem]:
    """What is said of serving and cannot be weighed."""
    found = []
    for case in study.use_case:
        serve, where = case.serve, f"[[use_case]] {case.name}: serve"
        if serve is None:
            continue
        chip = known.accelerators.get(serve.accelerator or "")
        if serve.latency_ms is not None and chip is None:
            found.append(Problem(f"the latency of '{case.name}' is not weighed", "no accelerator is named to serve it",
                                 'serve = { accelerator = "t4", ... }', where))  # fmt: skip
        elif serve.latency_ms is not None and chip is not None and query_ms(chip, LEAST_PARAMS, case) is None:
            found.append(Problem(f"the latency of '{case.name}' is not weighed", f"how fast a {chip.id} is, is unknown",
                                 "add its peak and mem_bw_gbs to catalog/accelerators.csv", where))  # fmt: skip
        if serve.queries_per_day is not None and not held.text:
            found.append(Problem(f"the traffic of '{case.name}' is not weighed", "no law for serving counts images",
                                 "compare models by their latency", where))  # fmt: skip
    return found


def served_tokens(study: Study, held: Holdings) -> float | None:
    """Tokens served over a year by all use cases that say their traffic; None where none does."""
    daily = [case.serve.queries_per_day * sum(lengths(case)) for case in study.use_case
             if case.serve and case.serve.queries_per_day]  # fmt: skip
    return DAYS_SERVED * sum(daily) if daily and held.text else None


def served_number(study: Study, held: Holdings) -> list[Number]:
    """The tokens served, where traffic is said."""
    tokens = served_tokens(study, held)
    if tokens is None:
        return []
    return [Number("size.served_tokens", tokens, "tokens", formula="queries a day x tokens of a query x 365 days",
                   source=SERVED_SOURCE)]  # fmt: skip
