"""Snapshots of leaderboards: who is near the top on every task and every time, and what speaks against them.

A leaderboard is not the user's data: it says where to look first, never which model is best for them.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from keel.catalog.snapshots import Snapshot

LESS = re.compile(r"(?:\b|_)(fid|perplexity|ppl|wer|cer|loss|error)(?:\b|_)", re.IGNORECASE)
NOT_YOURS = "A leaderboard is not your data: it says where to look first, and a model may have seen its test sets."


class Standing(NamedTuple):
    """A model over all tasks and snapshots: mean rank, its spread over tasks, and the share of places in the top k."""

    model: str
    mean_rank: float
    task_spread: float
    top_share: float
    places: int
    missing: int
    snapshots: int
    licence: str
    contaminated: bool | None


class Drift(NamedTuple):
    """How alike two snapshots order the models that both hold: Kendall's tau-b, None for fewer than two."""

    first: str
    second: str
    tau: float | None
    models: int


def ranks(snapshot: Snapshot, task: str) -> Mapping[str, float]:
    """1 is best; ties share their mean rank; FID, perplexity, WER, CER, loss and error are better the less they are.

    Example:
        >>> from keel.catalog.snapshots import Entry
        >>> entries = tuple(Entry(name, {"acc": score}, "", None) for name, score in (("a", 1), ("b", 2), ("c", 2)))
        >>> ranks(Snapshot("s", "", ("acc",), entries), "acc")
        {'b': 1.5, 'c': 1.5, 'a': 3.0}
    """
    sign = 1 if LESS.search(task) else -1
    scored = sorted(((sign * entry.scores[task], entry.model) for entry in snapshot.entries if task in entry.scores),
                    key=lambda pair: pair[0])  # fmt: skip
    values = [value for value, _ in scored]
    return {model: values.index(value) + (values.count(value) + 1) / 2 for value, model in scored}


def standings(snapshots: Sequence[Snapshot], top: int = 5) -> tuple[Standing, ...]:
    """Every model over all tasks and snapshots, the steadiest near the top first.

    `top_share` counts every task of every snapshot, so a task where a model has no score is no place in the top.
    `task_spread` is the standard deviation of a model's mean ranks over tasks.
    """
    places: dict[str, dict[str, list[float]]] = {}
    top_places: dict[str, int] = {}
    total = sum(len(snapshot.tasks) for snapshot in snapshots)
    for snapshot in snapshots:
        for task in snapshot.tasks:
            found = ranks(snapshot, task)
            for model, rank in found.items():
                places.setdefault(model, {}).setdefault(task, []).append(rank)
                top_places[model] = top_places.get(model, 0) + (rank <= top)
    made = [_standing(snapshots, model, tasks, top_places[model] / total, total) for model, tasks in places.items()]
    return tuple(sorted(made, key=lambda one: (-one.top_share, one.mean_rank, one.model)))


def _standing(
    snapshots: Sequence[Snapshot], model: str, tasks: Mapping[str, list[float]], share: float, total: int
) -> Standing:
    entries = [entry for snapshot in snapshots for entry in snapshot.entries if entry.model == model]
    flat = [rank for found in tasks.values() for rank in found]
    flags = [entry.contaminated for entry in entries if entry.contaminated is not None]
    means = [statistics.fmean(found) for found in tasks.values()]
    return Standing(
        model, statistics.fmean(flat), statistics.stdev(means) if len(means) > 1 else 0.0, share, len(flat),
        total - len(flat), len(entries), next((entry.licence for entry in reversed(entries) if entry.licence), ""),
        any(flags) if flags else None,
    )  # fmt: skip


def overall(snapshot: Snapshot) -> Mapping[str, float]:
    """Mean rank of the models that are scored on every task; the others cannot be compared over all."""
    by_task = [ranks(snapshot, task) for task in snapshot.tasks]
    whole = [entry.model for entry in snapshot.entries if all(entry.model in found for found in by_task)]
    return {model: statistics.fmean(found[model] for found in by_task) for model in whole}


def drift(snapshots: Sequence[Snapshot]) -> tuple[Drift, ...]:
    """Each snapshot against the next by date: does the order last?"""
    ordered = sorted(snapshots, key=lambda snapshot: snapshot.date)
    made = []
    for first, second in pairwise(ordered):
        before, after = overall(first), overall(second)
        shared = sorted(before.keys() & after.keys())
        tau = kendall([before[model] for model in shared], [after[model] for model in shared])
        made.append(Drift(first.name, second.name, tau, len(shared)))
    return tuple(made)


def kendall(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Kendall's tau-b: (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y)).

    Reference: Kendall 1945, The treatment of ties in ranking problems, Biometrika 33.

    Example:
        >>> kendall([1, 2, 3], [1, 2, 3]), kendall([1, 2, 3], [3, 2, 1]), kendall([1], [1])
        (1.0, -1.0, None)
    """
    pairs = [(x[i] - x[j], y[i] - y[j]) for i in range(len(x)) for j in range(i)]
    signed = sum((a * b > 0) - (a * b < 0) for a, b in pairs)
    whole = math.sqrt(sum(a != 0 for a, _ in pairs) * sum(b != 0 for _, b in pairs))
    return signed / whole if whole else None
