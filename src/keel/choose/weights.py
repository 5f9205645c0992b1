"""What each use case weighs: the user's weight, a profile for search where none is given, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keel.study import UseCase

# Search carries most of the traffic of shops, hotels, services and deliveries (requirements R22): a convention.
SEARCH = frozenset({"retrieval", "reranking", "text-ranking", "image-text-retrieval"})
SEARCH_WEIGHT = 3.0
SEARCH_SOURCE = "search profile: high traffic; a convention, write weight = ... for your own"


class Weighed(NamedTuple):
    """A use case with its weight and where that comes from."""

    case: UseCase
    weight: float
    why: str


def weigh(cases: Sequence[UseCase]) -> tuple[Weighed, ...]:
    """weight x (value_usd / mean value_usd of the cases that say one); a case that says none is worth the mean.

    Example:
        >>> from keel.study import UseCase
        >>> [item.weight for item in weigh([UseCase(name="find", task="retrieval"),
        ...                                 UseCase(name="tag", task="text-classification", weight=2)])]
        [3.0, 2.0]
    """
    values = [case.value_usd for case in cases if case.value_usd is not None]
    return tuple(_weigh(case, sum(values) / len(values) if values else 0.0) for case in cases)


def _weigh(case: UseCase, mean_usd: float) -> Weighed:
    given = "weight" in case.model_fields_set
    weight = case.weight if given or case.task not in SEARCH else SEARCH_WEIGHT
    why = "yours" if given else SEARCH_SOURCE if case.task in SEARCH else "1 unless said"
    if case.value_usd is not None and mean_usd:
        return Weighed(case, weight * case.value_usd / mean_usd, f"{why}; x its value over the mean value")
    return Weighed(case, weight, why)
