"""What makes a size no model of a family that sees images, said for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from keel.errors import Problem, StudyError
from keel.model.shapes.size import Size


def side(size: Size) -> int:
    """Side of the image in pixels: patch x sqrt(context).

    Example:
        >>> side(Size(width=768, layers=12, vocabulary=0, context=196, head_width=64, patch=16, classes=1000))
        224
    """
    return size.patch * math.isqrt(size.context)


def shared(size: Size, *, least_layers: int, without: Sequence[str]) -> Iterator[Problem]:
    """What every family asks: counts, a square image, and no field that it has no place for."""
    least = {"width": 1, "layers": least_layers, "context": 1, "patch": 1}
    for name, value in vars(size).items():
        if value < least.get(name, 0):
            yield Problem(f"{name} is {value}", f"it is at least {least.get(name, 0)} here", f"raise {name}", name)
    if size.context > 0 and math.isqrt(size.context) ** 2 != size.context:
        near = max(1, round(math.sqrt(size.context)))
        yield Problem(f"context is {size.context}", "it counts the patches of a square image and is no square number",
                      f"set context to {near * near}: {near} x {near} patches", "context")  # fmt: skip
    for name in without:
        if getattr(size, name):
            yield Problem(f"{name} is set", "this family has no place for it", "set it to 0 or leave it out", name)


def patches_of(image: int, patch: int) -> int:
    """Patches of a square image.

    Raises:
        StudyError: the side is no multiple of the patch: pixels would be dropped at two edges.

    Example:
        >>> patches_of(224, 16), patches_of(8, 2)
        (196, 16)
    """
    if image < 1 or patch < 1 or image % patch:
        low = max(1, image // max(1, patch)) * max(1, patch)
        raise StudyError(f"an image of {image} pixels has no whole number of patches of {patch}",
                         why="the pixels left over at two edges would be dropped",
                         fix=f"resize images to {low} or {low + max(1, patch)} pixels, or change the patch",
                         where="image")  # fmt: skip
    return (image // patch) ** 2
