"""Arms that change the family: the same loss and images at the same FLOP, another architecture. Which wins is measured.

A family's size is the one whose FLOP a position are nearest to the baseline's, so that both see as many samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from keel.errors import Problem, StudyError, nearest
from keel.model.shapes import SHAPES, Size
from keel.model.shapes.vision_check import side
from keel.model.shapes.vision_ladder import RULES, at
from keel.objective.cost import flop_per_token
from keel.objective.held import facts_of
from keel.plan.ladder import Frame
from keel.plan.recipe import Choices

WIDTHS = range(4, 1025, 4)
FAR = 1.25  # FLOP a position may be so many times the baseline's, or one over it


def families_of(choices: Choices, frame: Frame) -> list[str]:
    """The families to hold beside the ladder's: those that the loss names as rivals, or the user's.

    Raises:
        StudyError: [set] arms.families names one that cannot serve the loss.
    """
    facts = facts_of(frame.loss, frame.options)
    rivals = [name for name in facts.rivals if name != frame.family]
    if not rivals and "arms.families" not in choices.overrides:
        return []
    names = choices.pick("arms.families", rivals, formula="other kinds of architecture that serve the loss",
                         source="which of them wins at this size of data is measured, not assumed")  # fmt: skip
    if wrong := [name for name in names if name not in facts.families]:
        raise StudyError.all(
            Problem(f"the family '{name}' cannot be an arm", f"the loss '{frame.loss}' is served by "
                    f"{', '.join(facts.families)}", nearest(name, facts.families), "[set] arms.families")
            for name in wrong
        )  # fmt: skip
    return [name for name in names if name != frame.family]


def size_of(frame: Frame, base: dict[str, Any], family: str) -> Size | Problem:
    """The size of `family` nearest to the baseline's FLOP a position, at most a quarter off.

    Legend: `base` is the baseline's size as it stands in its spec.
    """
    like = Size(**base)
    wanted = frame.flop_per_token(like)
    known = [(flop_per_token(frame.loss, frame.options, family, size), size) for size in _sizes(family, like)]
    if not known:
        why, fix = _reason(family, like)
        return Problem(f"no arm for the family {family}", why, f"{fix}, or leave it out of arms.families",
                       "[set] arms.families")  # fmt: skip
    flop, found = min(known, key=lambda item: max(item[0] / wanted, wanted / item[0]))
    ratio = flop / wanted
    if max(ratio, 1 / ratio) > FAR:
        return Problem(f"no arm for the family {family}", f"its nearest size has {ratio:.2g} times the FLOP a position",
                       "set arms.width wider, or leave it out of arms.families", "[set] arms.families")  # fmt: skip
    return found


def _sizes(family: str, like: Size) -> Iterator[Size]:
    """Sizes of a family for the baseline's samples: of text its width and depth, of images every width."""
    made = [_at(family, width, like) for width in WIDTHS] if family in RULES else [like]
    yield from (size for size in made if not SHAPES[family].problems(size))


def _reason(family: str, like: Size) -> tuple[str, str]:
    """Why even a wide one sees no such samples, and what would let it."""
    size = _at(family, max(WIDTHS) // 64 * 64, like) if family in RULES else like
    found = SHAPES[family].problems(size)[0]
    return f"{found.what}: {found.why}", found.fix


def _at(family: str, width: int, like: Size) -> Size:
    """A family that attends has the baseline's depth, less what stands for a block; another the published depth."""
    rule = RULES[family]
    size = at(family, width, image=side(like), patch=like.patch, classes=like.classes,
              head_width=like.head_width, embedding_width=like.embedding_width)  # fmt: skip
    return replace(size, layers=max(1, like.layers - rule.fewer)) if rule.heads and like.head_width else size
