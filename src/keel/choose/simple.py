"""Simple against complex, from what can be observed; a pair that no fact orders stays unordered: that is taste.

Proxies: parameters, models in the pipeline, operations beyond the plain ones of its time, terms of its loss, and
whether the pretraining code is public. Papers and open issues are not in the catalogue, and so are not counted.
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
    """What can be counted; less is simpler in each. None is unknown: a size is needed, code is then not compared."""

    params: float | None
    parts: int
    operations: int
    loss_terms: int
    code_missing: int | None


def proxies(model: Model) -> Proxies:
    """Counts of one model.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> proxies(Catalogue().models["bert-base-uncased"])[1:]
        (1, 0, 2, 0)
    """
    words = f"{model.architecture} {model.objective}".lower()
    return Proxies(
        model.params, 1 + sum(model.architecture.count(word) for word in PARTS),
        sum(word in words for word in OPERATIONS), 1 + model.objective.count("+"),
        int(model.pretrain_code == "no") if model.pretrain_code else None,
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
    """No proxy more, one less."""
    if one.params is None or other.params is None:
        return False
    pairs = [(mine, theirs) for mine, theirs in zip(one, other) if mine is not None and theirs is not None]
    return all(mine <= theirs for mine, theirs in pairs) and any(mine < theirs for mine, theirs in pairs)
