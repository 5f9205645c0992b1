"""The frame of a ladder on images: their side in pixels, patches, widths that fit the time; positions are patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from keel.errors import StudyError
from keel.model.shapes import SHAPES, VISION, Size, head_width
from keel.model.shapes.vision_check import patches_of
from keel.model.shapes.vision_ladder import RULES, at
from keel.plan.fed import classes_of
from keel.plan.frame import THUMB, Inputs, seconds_of, widest, widths_of
from keel.plan.ladder import Frame
from keel.plan.losses import Loss, loss_of
from keel.plan.recipe import Choices

# (least side in pixels, patch): about 50 to 200 patches an image. A rule of thumb: 16 is ViT's at 224 pixels.
PATCHES = ((128, 16), (56, 8), (24, 4), (0, 2))
SHALLOW, SHALLOW_WIDTH = 4, 192


def frame_of(inputs: Inputs, choices: Choices) -> tuple[Frame, float]:
    """Sizes that fit the time, and the positions of one pass over the training images.

    Raises:
        StudyError: images without labels for a loss that needs them; a side that patches do not fill.
    """
    seen = inputs.corpus
    loss = loss_of(inputs.study, choices, inputs.category, inputs.corpus)
    side, patch = sides_of(seen, choices)
    unique = float(seen["split"]["train_images"]) * patches_of(side, patch)
    budget_s = seconds_of(inputs, choices)

    def frames(widths: Sequence[int]) -> tuple[Frame, float]:
        return _frame(choices, loss, widths, side, patch, seen), unique

    frame, _ = frames(widths_of(choices, widest(inputs, frames, budget_s), budget_s))
    tell(choices, frame, seen, unique)
    return frame, unique


def tell(choices: Choices, frame: Frame, seen: Mapping[str, Any], unique: float) -> None:
    """Record the depths and the positions of one pass."""
    published = RULES[frame.family].source
    choices.pick("model.layers", list(frame.layers), source=f"{THUMB}; from {SHALLOW_WIDTH} on {published}",
                 formula=f"{SHALLOW} below width {SHALLOW_WIDTH}, then as published")  # fmt: skip
    choices.pick("data.unique_tokens", round(unique), unit="tokens", formula="images to train on x patches",
                 inputs={"images": seen["split"]["train_images"], "patches": frame.context},
                 source="counted (keel look)")  # fmt: skip


def sides_of(seen: Mapping[str, Any], choices: Choices) -> tuple[int, int]:
    """Pixels of an image's side and of a patch's."""
    short = int(seen["size"]["side_pixels"])
    patch = int(choices.overrides.get("model.patch", next(size for least, size in PATCHES if short >= least)))
    side = choices.pick("model.image", max(patch, short // patch * patch), unit="pixels", source="measured (keel look)",
                        formula="the median of the shorter sides, at most 224, in whole patches")  # fmt: skip
    choices.pick(
        "model.patch", patch, unit="pixels", source=THUMB, formula="16 from 128 pixels on, 8 from 56, 4 from 24"
    )
    if side % patch:
        raise StudyError("'model.image' is no whole number of patches", why=f"{side} pixels, patches of {patch}",
                         fix=f"write {max(patch, side // patch * patch)}", where="[set]")  # fmt: skip
    return int(side), patch


def _frame(
    choices: Choices, loss: Loss, widths: Sequence[int], side: int, patch: int, seen: Mapping[str, Any]
) -> Frame:  # fmt: skip
    sizes = sizes_of(choices, loss.family, widths, side, patch)
    classes = classes_of(seen, loss.name, loss.options, loss.family, sizes[0])
    sizes = tuple(replace(size, classes=classes) for size in sizes)
    return Frame(loss.name, loss.options, loss.family, sizes, sizes[0].context, 0)


def sizes_of(
    choices: Choices, family: str, widths: Sequence[int], side: int, patch: int, *, vocabulary: int = 0
) -> tuple[Size, ...]:  # fmt: skip
    """A size for each width; `vocabulary`: that of a text beside the images, whose space is as wide as they are.

    Raises:
        StudyError: the family has no such size.
    """
    heads, layers = head_width(tuple(widths)), choices.overrides.get("model.layers")
    sizes = []
    for width in widths:
        size = at(family, width, image=side, patch=patch, classes=0, head_width=heads if RULES[family].heads else 0)
        shallow = RULES[family].heads and width < SHALLOW_WIDTH
        depth = int(layers) if layers else SHALLOW if shallow else size.layers
        joint = width if "joint" in VISION[family].heads else 0
        sizes.append(replace(size, layers=depth, vocabulary=vocabulary, embedding_width=joint))
    if problems := SHAPES[family].problems(sizes[0]):
        raise StudyError.all(problem._replace(where="[set] model") for problem in problems)
    return tuple(sizes)
