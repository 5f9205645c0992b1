"""The two towers of a loss on images with captions, without torch: how big the text's is, and what a pair costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.errors import Problem, StudyError
from keel.model.shapes import SHAPES, Size, Use
from keel.objective.checks import one_of
from keel.objective.fact import Model
from keel.objective.pixels import PIXELS
from keel.objective.released_text import RELEASE, model_of
from keel.objective.released_text import problems as problems_of_release

TEXT = "clip-text"
BORDERS = 2  # a start and an end token around every caption
PAPER_LAYERS = 12
TOWERS: Mapping[str, Any] = {
    "duplicates": "positives", "text_context": 77, "text_layers": 0, "too_long": "refuse",
}  # fmt: skip
# A caption may name sides and colours, so images are not flipped. CLIP's one change is a crop of a resized image, of
# which no share is given; open_clip's is of .9 or more.
PAIRS: Mapping[str, Any] = {**TOWERS, **RELEASE, **PIXELS, "flip": False, "least_area": 0.9}
DUPLICATES = ("positives", "negatives")
TOO_LONG = ("refuse", "shorten")


def text_size(at: Mapping[str, Any], image: Size, vocabulary: int) -> Size:
    """The text tower beside an image tower: as wide as the space that they share, with heads of the same width.

    Layers: those asked for, else as many as the image tower has and 12 at most: widths grow with CLIP's models, the
    text's depth does not. Reference: Radford et al. 2021, arXiv:2103.00020, section 2.4 and table 20 (ViT-B/32: 768
    and 512 wide, both 12 deep, heads of 64; ViT-L/14: 1024 and 768 wide, 24 and 12 deep).

    Raises:
        StudyError: no text tower has that size.

    Example:
        >>> image = Size(width=1024, layers=24, vocabulary=0, context=256, head_width=64, patch=14, embedding_width=768)
        >>> text_size(TOWERS, image, 49_408).json()
        {'width': 768, 'layers': 12, 'vocabulary': 49408, 'context': 77, 'head_width': 64}
    """
    layers = at["text_layers"] or min(image.layers, PAPER_LAYERS)
    size = Size(
        width=image.embedding_width, layers=layers, vocabulary=vocabulary, context=at["text_context"],
        head_width=image.head_width,
    )  # fmt: skip
    if problems := SHAPES[TEXT].problems(size):
        fix = "set embedding_width to a multiple of head_width: it is the width of the text tower too"
        raise StudyError.all(Problem(f"the text tower's {p.what}", p.why, fix, "embedding_width") for p in problems)
    return size


def towers(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """A whole image and a caption that fills its context, each with one state that meets a projection.

    Shorter captions are padded to the longest of a micro-batch: what they cost less is not counted. The token table has
    the rows that `size` says; they cost nothing, and a size that says none counts one.
    """
    at = {**TOWERS, **RELEASE, **options}
    image = Model("joint", size, ((1.0, Use(size.context, 0, 1)),))
    if at["text_from"]:
        return image, model_of(at, size)
    text = text_size(at, size, size.vocabulary or 1)
    return image, Model("joint", text, ((1.0, Use(text.context, 0, 1)),), family=TEXT)


def scaled(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """The towers, and a temperature between them."""
    image, text = towers(options, family, size)
    return image._replace(free_params=1), text


def shifted(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """The towers, a temperature and a bias between them."""
    image, text = towers(options, family, size)
    return image._replace(free_params=2), text


def problems(at: Mapping[str, Any]) -> list[Problem]:
    """Options of the towers out of their range."""
    least = {"text_context": BORDERS + 1, "text_layers": 0}
    found = [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}", f"write a whole number of {low} or more", name)
        for name, low in least.items() if at[name] < low
    ]  # fmt: skip
    found += one_of(at, "duplicates", DUPLICATES) + one_of(at, "too_long", TOO_LONG)
    return found + (problems_of_release(at) if "text_from" in at else [])
