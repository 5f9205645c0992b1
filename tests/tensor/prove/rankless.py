"""The product's engine, mutated wherever this module is imported: counts are not added over ranks."""

from __future__ import annotations

from users import Suffix

from keel.run import engine

engine._all_sums = dict  # type: ignore[assignment]


class Rankless(Suffix):
    """A sound loss under an engine that is not."""
