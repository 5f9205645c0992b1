"""What is refused of images: each with its reason, counted, the first of them listed."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from keel.errors import Problem, StudyError

SHOWN = 20


class Bad(NamedTuple):
    """One refused item: what is wrong, why, and where it lies."""

    what: str
    why: str
    where: str


class Tally:
    """How many were refused for what, and the first twenty of all.

    Example:
        >>> tally = Tally()
        >>> tally.add(Bad("the file is empty", "it has no bytes", "a.png"))
        >>> tally.json()["kinds"]
        {'the file is empty': 1}
    """

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.first: list[Bad] = []

    def __len__(self) -> int:
        return self.kinds.total()

    def add(self, bad: Bad) -> None:
        """Count one, and list it while there is room."""
        self.kinds[bad.what] += 1
        if len(self.first) < SHOWN:
            self.first.append(bad)

    def json(self) -> dict[str, Any]:
        """count, kinds, and the first twenty."""
        return {"count": len(self), "kinds": dict(self.kinds.most_common()),
                "first": [bad._asdict() for bad in self.first]}  # fmt: skip

    def problems(self, decision: str) -> list[Problem]:
        """A problem of each kind, with the first places; `decision` says what becomes of them."""
        found = []
        for what, count in self.kinds.most_common():
            same = [bad for bad in self.first if bad.what == what]
            shown = "; ".join(f"{bad.where}: {bad.why}" for bad in same[:3])
            named = shown + (" ..." if count > 3 else "") if shown else "none of them is among the first listed"
            found.append(Problem(f"{count} x {what}", named, decision, "[data]"))
        return found


def need_pillow() -> None:
    """Raises:
    StudyError: Pillow is not installed.
    """
    from importlib.util import find_spec

    if find_spec("PIL") is None:
        raise StudyError("pillow is not installed", why="images need the extra 'images'",
                         fix="pip install 'keel[images]'", where="[data] image")  # fmt: skip
