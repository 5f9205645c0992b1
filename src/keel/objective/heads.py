"""Which families have the head that a loss needs, asked before anything is built."""

from __future__ import annotations

from keel.errors import StudyError
from keel.model.shapes import FEATURES, VISION


def check_head(loss: str, family: str, head: str) -> None:
    """Nothing where the family has the head.

    Raises:
        StudyError: it has not; the families that have are named.

    Example:
        >>> check_head("rtd", "electra", "replaced")
    """
    able = [name for name, features in FEATURES.items() if head in {**features.heads, **features.own_heads}]
    able += [name for name, shapes in VISION.items() if head in shapes.heads]
    if family not in able:
        raise StudyError(f"'{family}' cannot serve the loss '{loss}'", why=f"it has no head '{head}'",
                         fix=f"choose one of {', '.join(able)}, or another loss", where="family")  # fmt: skip
