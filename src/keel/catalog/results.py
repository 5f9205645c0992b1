"""What models scored, ranked only within one data set, metric and setting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from keel.catalog.rows import Model, Result, shared_setting
from keel.catalog.store import Catalogue

# The metric's first word decides, in any case; of all others more is better.
LOWER_IS_BETTER = frozenset({
    "fid", "perplexity", "ppl", "error", "loss", "bits", "nll", "wer", "cer", "ter", "mse", "rmse", "latency",
})  # fmt: skip
Group = tuple[str, str, str]


class Adapted(NamedTuple):
    """The best published adaptation of a base on MTEB(eng, v2). It is the adaptation's score, never the base's."""

    score: float
    adaptation: str
    base: str

    def __str__(self) -> str:
        return (
            f"best published adaptation: {self.adaptation}, MTEB(eng, v2) {self.score:g} (not {self.base}'s own score)"
        )


def of(known: Catalogue, model_id: str) -> tuple[Result, ...]:
    """Every recorded result of a model."""
    return tuple(result for result in known.results if result.model_id == model_id)


def lower_is_better(metric: str) -> bool:
    """Whether less is better: FID, perplexity, error rates.

    Example:
        >>> lower_is_better("FID"), lower_is_better("bits_per_byte"), lower_is_better("acc %")
        (True, True, False)
    """
    return re.split(r"[\s_-]", metric.strip().casefold())[0] in LOWER_IS_BETTER


def ranked(known: Catalogue, dataset: str, metric: str, setting: str) -> tuple[Result, ...]:
    """The results of one data set, metric and setting, the best first.

    Example:
        >>> best = ranked(Catalogue(), "COCO FID-30k", "FID", "zero-shot")
        >>> best[0].value <= best[-1].value
        True
    """
    group = (dataset, metric, shared_setting(setting))
    found = [result for result in known.results if result.group == group]
    return tuple(sorted(found, key=lambda result: result.value, reverse=not lower_is_better(metric)))


def comparable(known: Catalogue, ids: Iterable[str]) -> Mapping[Group, tuple[Result, ...]]:
    """The groups in which every one of these models has a result, each ranked.

    Example:
        >>> known = Catalogue()
        >>> list(comparable(known, ["bert-base-uncased", "roberta-base"]))
        []
    """
    wanted = set(ids)
    shared: dict[Group, set[str]] = {}
    for result in known.results:
        if result.model_id in wanted:
            shared.setdefault(result.group, set()).add(result.model_id)
    return {
        group: tuple(result for result in ranked(known, *group) if result.model_id in wanted)
        for group, found in shared.items() if found == wanted
    }  # fmt: skip


def best_adaptation(model: Model) -> Adapted | None:
    """The best published adaptation of a base, where one is recorded; a raw base has no such score."""
    if model.best_adapted_mteb is None:
        return None
    return Adapted(model.best_adapted_mteb, model.best_adapted_model or "unnamed", model.id)
