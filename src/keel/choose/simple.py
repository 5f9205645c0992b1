"""Simple against complex, from what can be observed; a pair that no fact orders stays unordered: that is taste.

Proxies: parameters, models in the pipeline, operations beyond the plain ones of its time, terms of its loss, and whether
the pretraining code is public. Papers and open issues are not in the catalogue, and so are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keel.catalog.rows import Model

# Words of architecture and objective that name a part or an operation beyond a plain stack.
PARTS = ("+", "frozen", "cascade", "prior", "decoder exists")
OPERATIONS = (
    "disentangled", "block-sparse", "moe", "experts", "q-former", "cross-attention", "cascade", "permutation",
    "gradient-disentangled", "layers shared", "hierarchical", "mixture", "momentum", "interleaved", "upcycled",
)  # fmt: skip


class Proxies(NamedTuple):
    """What can be counted; less is simpler in each."""

    params: float | None
    parts: int
    operations: int
    loss_terms: int
    code_missing: int


def proxies(model: Model) -> Proxies:
    """Counts of one model."""
    words = f"{model.architecture} {model.objective}".lower()
    return Proxies(
        model.params, 1 + sum(model.architecture.count(word) for word in PARTS),
        sum(word in words for word in OPERATIONS), 1 + model.objective.count("+"),
        int(model.pretrain_code in ("", "no")),
    )  # fmt: skip


def simpler(models: Sequence[Model]) -> Mapping[str, list[str]]:
    """By id, those that a model is simpler than: no proxy more, one less; nothing where a size is unknown.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> known = Catalogue().models
        >>> simpler([known["bert-base-uncased"], known["deberta-v3-large"]])["bert-base-uncased"]
        ['deberta-v3-large']
    """
    counted = {model.id: proxies(model) for model in models}
    return {name: [other for other in counted if _less(one, counted[other])] for name, one in counted.items()}


def _less(one: Proxies, other: Proxies) -> bool:
    pairs = [(a, b) for a, b in zip(one, other) if a is not None and b is not None]
    known = len(pairs) == len(one)
    return known and all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
