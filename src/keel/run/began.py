"""The report of a start: what was taken, what was missing and freshly made, what was left, what was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SHOWN = 6


class Began(NamedTuple):
    """Where a part's weights came from, by their names in the library.

    `taken` came whole, `missing` are freshly made, `grown` are tables with so many rows freshly made at their end,
    `cut` tables that lost so many rows from theirs, `unexpected` weights of the source that the part has no place for.
    """

    source: str
    taken: tuple[str, ...]
    missing: tuple[str, ...]
    grown: Mapping[str, int]
    cut: Mapping[str, int]
    unexpected: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """Plain values for execution.json."""
        return {name: value if isinstance(value, str) else dict(value) if isinstance(value, Mapping) else list(value)
                for name, value in self._asdict().items()}  # fmt: skip

    def text(self, part: str) -> str:
        """For people; long lists are shortened, and say by how much.

        Example:
            >>> print(Began("bert in release", ("a", "b"), ("head",), {"table": 2}, {}).text("model"))
            model starts from bert in release: 2 weights taken
              freshly made (1): head
              rows freshly made: table 2
        """
        lines = [f"{part} starts from {self.source}: {len(self.taken)} weights taken"]
        lines += _list("freshly made", self.missing) + _list("not used", self.unexpected)
        lines += _rows("rows freshly made", self.grown) + _rows("rows cut", self.cut)
        return "\n  ".join([*lines, *self.notes])


def _list(title: str, names: Sequence[str]) -> list[str]:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"{title} ({len(names)}): {', '.join(names[:SHOWN])}{more}"] if names else []


def _rows(title: str, tables: Mapping[str, int]) -> list[str]:
    return [f"{title}: {', '.join(f'{name} {rows}' for name, rows in tables.items())}"] if tables else []
