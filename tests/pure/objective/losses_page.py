"""The tables of docs/losses.md that follow from the facts and options, as the page must have them.

`python tests/pure/objective/losses_page.py` prints the first two: paste them where they differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keel.objective import OBJECTIVES
from keel.objective.facts import FACTS
from keel.objective.options import OPTIONS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "losses.md"
CONTEXT = 128
TOLD: dict[str, dict[str, Any]] = {"mbart": {"language": "de"}, "translation": {"languages": ["de", "en"]}}


def tokens(loss: str) -> str:
    """Special tokens beside the separator, numbered ones and languages by their kind."""
    roles = FACTS[loss].roles(TOLD.get(loss, {}), CONTEXT)
    kinds = dict.fromkeys(
        f"{role.split()[0]}s" if role.startswith(("sentinel", "language")) else role for role in roles
    )
    kinds.pop("separator", None)
    return ", ".join(kinds) or "-"


def served() -> Iterator[str]:
    """A row a loss: what it reads, its special tokens, families and judge."""
    for loss in OBJECTIVES:
        facts = FACTS[loss]
        if facts.unlocks:
            yield f"| {loss} | {facts.reads} | {tokens(loss)} | {', '.join(facts.families)} | {facts.judge} |"


def uses() -> Iterator[str]:
    """A row a loss: what it unlocks and precludes."""
    for loss in OBJECTIVES:
        facts = FACTS[loss]
        if facts.unlocks:
            yield f"| {loss} | {', '.join(facts.unlocks)} | {', '.join(facts.precludes)} |"


def given() -> set[tuple[str, str, str]]:
    """Every loss, option and default, as TOML has it."""
    return {
        (loss, name, json.dumps(value)) for loss, known in OPTIONS.items() for name, value in known.defaults.items()
    }


def table(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    text = PAGE.read_text(encoding="utf-8")
    part = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


if __name__ == "__main__":
    print("\n".join([*served(), "", *uses()]))
