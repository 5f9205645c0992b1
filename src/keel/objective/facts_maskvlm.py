"""What joint masking of images and captions hides, how big its parts are, what it costs, and its facts. No torch.

Legend: n patches of an image, T positions of the text tower, d width of the image tower, e that of the text's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keel.errors import Problem
from keel.model.shapes import Size
from keel.model.shapes import Use as Through
from keel.model.shapes.arithmetic import FLOP_A_PRODUCT
from keel.model.shapes.cross import pair_head_params
from keel.model.shapes.vision_patches import CLS, COLOURS
from keel.objective import corrupt, pixels, towers
from keel.objective.checks import problems_of
from keel.objective.fact import Cite, Facts, Model, Use
from keel.objective.facts_contrastive import ALIGNED, NO_CAPTION
from keel.objective.pixels import PIXELS
from keel.objective.towers import TOWERS

PAPER = "Kwon et al. 2022, arXiv:2208.02131"
TEXT, CROSS = "bert", "cross"
CROSS_SHARE = 4  # one cross layer for so many of the image tower
WEIGHTS = ("mim_weight", "mlm_weight", "itc_weight", "itm_weight")
MASKVLM: Mapping[str, Any] = {
    **TOWERS, "image_rate": 0.6, "text_rate": 0.3, "mask": 0.8, "random": 0.1, "cross_layers": 0, "group": 8,
    **dict.fromkeys(WEIGHTS, 1.0), **PIXELS, "flip": False, "least_area": 0.9,
}  # fmt: skip
PASSES_MATCHED = 3  # a pair, its image with another text, its text with another image


def hidden_patches(patches: int, rate: float) -> int:
    """The nearest whole number to a share of an image's patches, one at least and not all.

    Example:
        >>> hidden_patches(196, 0.6), hidden_patches(2, 0.6)
        (118, 1)
    """
    return min(patches - 1, max(1, round(rate * patches)))


def text_size(at: Mapping[str, Any], image: Size, vocabulary: int) -> Size:
    """The text encoder: as wide as the shared space, heads as wide as the image tower's, depth as CLIP's text tower."""
    return towers.text_size(at, image, vocabulary)


def cross_sizes(at: Mapping[str, Any], image: Size, text: Size) -> tuple[Size, Size]:
    """Of the layers in which the image reads the text, and the text the image.

    Example:
        >>> image = Size(width=768, layers=12, vocabulary=0, context=196, head_width=64, patch=16, embedding_width=512)
        >>> seen, _ = cross_sizes(MASKVLM, image, text_size(MASKVLM, image, 300))
        >>> seen.layers, seen.width, seen.embedding_width
        (3, 768, 512)
    """
    layers = at["cross_layers"] or max(1, round(image.layers / CROSS_SHARE))
    plain = {"layers": layers, "vocabulary": 0, "head_width": image.head_width}
    return (
        Size(width=image.width, context=image.context + CLS, embedding_width=text.width, **plain),
        Size(width=text.width, context=text.context, embedding_width=image.width, **plain),
    )


def heads_size(image: Size, text: Size) -> Size:
    """Of the heads on pixels and on matches."""
    return replace(image, embedding_width=text.width)


def models(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """All that a run gives: two towers, the layers between them, heads; a pair with a caption that fills its context.

    Each tower sees its side whole and masked. Layers between them: the masked image, and the masked text, each with the
    other whole; and three whole pairs. A pair that no other of its group differs from has none: that is not counted.
    Where patches are hidden the layer on pixels also learns what stands there.
    """
    at = {**MASKVLM, **options}
    text = text_size(at, size, size.vocabulary or 1)
    seeing, reading = cross_sizes(at, size, text)
    n, t, d, e = size.context + CLS, text.context, size.width, text.width
    masked = max(1, round(at["text_rate"] * (t - towers.BORDERS)))
    values, hidden = COLOURS * size.patch**2, hidden_patches(size.context, at["image_rate"])
    heads = FLOP_A_PRODUCT * (hidden * d * values + PASSES_MATCHED * 2 * (d + e))
    learned = 2 * size.context * values * d
    image = Model(
        "joint", size, ((1.0, Through(size.context, 0, 1)), (1.0, Through(size.context, 0, 0))),
        more=float(heads + learned), free_params=pair_head_params(d, e, size.patch) + 1,
    )  # fmt: skip
    words = Model("tokens", text, ((1.0, Through(t)), (1.0, Through(t, 0, masked))), family=TEXT,
                  more=float(FLOP_A_PRODUCT * e * e), free_params=e * e)  # fmt: skip
    times = 1.0 + PASSES_MATCHED
    return (
        image, words, Model("body", seeing, ((times, Through(n, t)),), family=CROSS),
        Model("body", reading, ((times, Through(t, n)),), family=CROSS),
    )  # fmt: skip


def problems(at: Mapping[str, Any]) -> list[Problem]:
    """Options out of their range."""
    found = [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}", "write a share between 0 and 1, such as .3", name)
        for name in ("image_rate", "text_rate") if not 0 < at[name] < 1
    ]  # fmt: skip
    found += [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}", "write a number of 0 or more; 0 leaves the term out", name)
        for name in WEIGHTS if not 0 <= at[name] < float("inf")
    ]  # fmt: skip
    if at["group"] < 2:
        why = f"found {at['group']}: a pair needs another one to be told from"
        found.append(Problem("'group' is wrong", why, "write a whole number of 2 or more", "group"))
    if at["cross_layers"] < 0:
        why, fix = f"found {at['cross_layers']}", "write a whole number, 0 for the rule"
        found.append(Problem("'cross_layers' is wrong", why, fix, "cross_layers"))
    return found + problems_of(corrupt.check, at["mask"], at["random"]) + towers.problems(at) + pixels.problems(at)


def roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """A mask, padding, and a start and an end around every caption."""
    return ("mask", "pad", "start", "separator")


UNLOCKS: Mapping[Use, Cite] = {
    **{use: Cite(cite.why, PAPER) for use, cite in ALIGNED.items()},
    "visual-question-answering": Cite("reads image and question together, after fine-tuning", f"{PAPER}, section 4"),
    "fill-mask": Cite("fills a caption that it sees the image of", PAPER),
}


def _grouped(options: Mapping[str, Any]) -> Facts:
    """With the group that the options say; one that cannot be is refused with them."""
    group = options.get("group", MASKVLM["group"])
    return _FACTS._replace(group=group if isinstance(group, int) and group > 1 else MASKVLM["group"], of=None)


_FACTS = Facts(
    needs=frozenset({"image-text"}), unlocks=UNLOCKS, precludes=NO_CAPTION, judge="masked_caption_bits_per_byte",
    families=("clip-vision",), roles=roles, group=MASKVLM["group"], reads="image-text", models=models, of=_grouped,
)  # fmt: skip
MASKED_PAIRS: Mapping[str, Facts] = {"maskvlm": _FACTS}
