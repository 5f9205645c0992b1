"""May it be used? Licence classes against a limit, with the basis and the date that the class was read on.

A class is a hint for a filter and never legal advice; it says nothing about the rights in the training data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from keel.catalog.rows import Corpus, LicenceClass, Model
from keel.errors import StudyError, nearest

HINT = (
    "Licence classes are a hint for a filter, never legal advice; they say nothing about the rights in training data."
)
LIMITS: Mapping[str, frozenset[LicenceClass]] = {
    "permissive": frozenset({"permissive"}),
    "conditional": frozenset({"permissive", "conditional"}),
    "any": frozenset({"permissive", "conditional", "non-commercial", "unclear", "unknown"}),
}


class Smallest(NamedTuple):
    """The smallest member of a family that a limit allows, and the members that it dropped: (id, reason)."""

    model: Model | None
    dropped: tuple[tuple[str, str], ...]


def allowed(row: Model | Corpus, limit: str) -> str:
    """Empty where the limit allows the row, else the reason: class, licence, basis and date.

    Raises:
        StudyError: the limit is none of permissive, conditional, any.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> models = Catalogue().models
        >>> allowed(models["qwen2.5-0.5b"], "permissive")
        ''
        >>> allowed(models["mae-base"], "permissive").split("; ")[0]
        "non-commercial licence (cc-by-nc-4.0), the limit is 'permissive'"
    """
    if limit not in LIMITS:
        raise StudyError(f"'{limit}' is no limit for licences", why="unknown name", fix=nearest(limit, LIMITS),
                         where="[limits] licence")  # fmt: skip
    if row.licence_class in LIMITS[limit]:
        return ""
    return f"{_cause(row, limit)}; {basis(row)}"


def basis(row: Model | Corpus) -> str:
    """On what the class rests and since when: "basis: LICENSE, read 2026-11-24"."""
    found = row.licence_basis if isinstance(row, Model) else row.source
    return f"basis: {found or 'none recorded'}, read {row.as_of or 'on an unknown day'}"


def _cause(row: Model | Corpus, limit: str) -> str:
    name = row.licence or "none recorded"
    if row.licence_class == "unreleased":
        what = "its data was" if isinstance(row, Corpus) else "its weights were"
        return f"never released: {what} not published, so no licence can allow it"
    if row.licence_class in ("unclear", "unknown"):
        return f"{row.licence_class} licence ({name}): it cannot be said to be {limit}"
    return f"{row.licence_class} licence ({name}), the limit is '{limit}'"


def smallest_allowed(models: Iterable[Model], family: str, limit: str) -> Smallest:
    """The smallest member of a family among those the limit allows: the filter comes before the smallest.

    A member of unknown size is left out, and said, where the size of another is known.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> found = smallest_allowed(Catalogue().models.values(), "Qwen2.5", "permissive")
        >>> found.model.id, [name for name, _ in found.dropped]
        ('qwen2.5-0.5b', ['qwen2.5-3b', 'qwen2.5-72b'])
    """
    members = [model for model in models if model.family == family]
    reasons = {model.id: allowed(model, limit) for model in members}
    free = [model for model in members if not reasons[model.id]]
    sized = [model for model in free if model.params is not None]
    dropped = [(model.id, reasons[model.id]) for model in members if reasons[model.id]]
    if sized:
        dropped += [(model.id, "its size is unknown") for model in free if model.params is None]
    first = min(sized, key=lambda model: model.params or 0.0) if sized else next(iter(free), None)
    return Smallest(first, tuple(dropped))


def by_family(models: Iterable[Model], limit: str) -> Mapping[str, Smallest]:
    """`smallest_allowed` of every family."""
    known = tuple(models)
    return {family: smallest_allowed(known, family, limit) for family in sorted({model.family for model in known})}
