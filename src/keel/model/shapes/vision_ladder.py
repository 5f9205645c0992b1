"""One width -> a whole model of a family that sees images, by the depths that were published: the rungs of a ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from keel.errors import StudyError, nearest
from keel.model.shapes import head_width as common_head_width
from keel.model.shapes.size import Size
from keel.model.shapes.vision_check import patches_of


class Rule(NamedTuple):
    """Published (width, blocks), in order of width; between two the straight line, below the first its blocks.

    `fewer`: blocks that another part of the model stands for. `heads`: does anything attend?
    """

    source: str
    depths: tuple[tuple[int, int], ...]
    fewer: int = 0
    heads: bool = False


VIT = Rule(
    "Dosovitskiy et al. 2021, arXiv:2010.11929, table 1; Touvron et al. 2021, arXiv:2012.12877, table 1; "
    "Zhai et al. 2022, arXiv:2106.04560, table 2",
    ((192, 12), (384, 12), (768, 12), (1024, 24), (1280, 32), (1408, 40), (1664, 48)), heads=True,
)  # fmt: skip
RULES: Mapping[str, Rule] = {
    "vit": VIT,
    "vit-hybrid": VIT._replace(source=f"{VIT.source}; one block fewer: Xiao et al. 2021, arXiv:2106.14881", fewer=1),
    "clip-vision": VIT,
    # Wider at the depth of ResNet-34 and 50, as the wider models of Kolesnikov et al. 2020, arXiv:1912.11370.
    "resnet-basic": Rule("He et al. 2016, arXiv:1512.03385, table 1", ((64, 16),)),
    "resnet": Rule("He et al. 2016, arXiv:1512.03385, table 1", ((64, 16),)),
    "convnext": Rule(
        "Liu et al. 2022, arXiv:2201.03545, section 3.1; Woo et al. 2023, arXiv:2301.00808, appendix A.1",
        ((40, 12), (64, 12), (80, 14), (96, 18), (128, 36), (256, 36), (352, 36)),
    ),
}


def at(
    family: str, width: int, *, image: int, patch: int, classes: int, head_width: int = 0, embedding_width: int = 0
) -> Size:  # fmt: skip
    """The size of `family` at `width` for images of `image` pixels a side; `head_width` 0 is the family's own rule.

    Raises:
        StudyError: no such family, or an image that patches do not fill.

    Example:
        >>> at("vit", 384, image=224, patch=16, classes=1000).json()
        {'width': 384, 'layers': 12, 'vocabulary': 0, 'context': 196, 'head_width': 64, 'patch': 16, 'classes': 1000}
        >>> at("convnext", 96, image=224, patch=16, classes=10).layers
        18
    """
    if family not in RULES:
        raise StudyError(f"no ladder for the family '{family}'", why="it is none that sees images",
                         fix=nearest(family, RULES), where="family")  # fmt: skip
    rule = RULES[family]
    head = (head_width or common_head_width((width,))) if rule.heads else 0
    return Size(
        width=width, layers=depth(rule.depths, width) - rule.fewer, vocabulary=0, context=patches_of(image, patch),
        head_width=head, patch=patch, classes=classes, embedding_width=embedding_width,
    )  # fmt: skip


def depth(published: Sequence[tuple[int, int]], width: int) -> int:
    """Blocks at `width`: on the straight line between published neighbours, the nearest published outside them.

    Example:
        >>> [depth(VIT.depths, width) for width in (64, 768, 896, 1024, 4096)]
        [12, 12, 18, 24, 48]
    """
    for (low, few), (high, many) in pairwise(published):
        if low <= width <= high:
            return round(few + (many - few) * (width - low) / (high - low))
    return published[0][1] if width < published[0][0] else published[-1][1]


def outside(family: str, width: int) -> float:
    """How many times wider or narrower than every published width: 1 inside them.

    Example:
        >>> outside("vit", 96), outside("vit", 384), outside("convnext", 704)
        (2.0, 1.0, 2.0)
    """
    widths = [known for known, _ in RULES[family].depths]
    return max(1.0, widths[0] / width, width / widths[-1])


SOVIT = "Alabdulmohsin et al. 2023, arXiv:2305.13035, section 4.1: width C^.22, depth C^.45, feed-forward C^.6"


def shape_optimised(size: Size) -> Size:
    """Depth and feed-forward of a ViT of this width by SoViT's exponents, from SoViT-400m (1152, 27, 4304).

    L = 27 (d / 1152)^(.45 / .22), f = 4304 (d / 1152)^(.6 / .22). Fitted on JFT-3B with patches of 14 pixels. It gives
    16 and 2,065 at 880, where the paper's smaller model has 18 and 2,320; below about 700 it is no model.

    Example:
        >>> wide = shape_optimised(at("vit", 1152, image=224, patch=14, classes=0, head_width=72))
        >>> wide.layers, wide.feed_forward
        (27, 4304)
    """
    ratio = size.width / 1152
    changed = {"layers": max(1, round(27 * ratio ** (0.45 / 0.22))),
               "feed_forward": max(1, round(4304 * ratio ** (0.6 / 0.22)))}  # fmt: skip
    return Size(**{**vars(size), **changed})
