"""What masked autoencoding hides, how big its decoder is, what it costs, and its facts. No torch.

Legend: n patches of an image, m of them seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm
from typing import Any

from keel.errors import Problem, StudyError
from keel.model.shapes import SHAPES, Size, Use
from keel.model.shapes.pixel_decoder import PLACES
from keel.objective import pixels
from keel.objective.checks import one_of
from keel.objective.fact import Cite, Facts, Judge, Model
from keel.objective.fact import Use as Task
from keel.objective.facts_images import CLASSIFIES, NO_TEXT
from keel.objective.pixels import PIXELS

PAPER = "He et al. 2021, arXiv:2111.06377"
DECODER = "pixel-decoder"
MOST_WIDTH, MOST_LAYERS = 512, 8
JUDGES: Mapping[str, Judge] = {"probe": "probe_nats", "pixels": "pixel_error"}
MAE: Mapping[str, Any] = {
    "rate": 0.75, "norm_pix": True, "decoder_width": 0, "decoder_layers": 0, "judged": "pixels", **PIXELS,
}  # fmt: skip


def seen(patches: int, rate: float) -> int:
    """Patches that the encoder sees: the nearest whole number to a share 1 - rate, and one at least of either kind.

    Raises:
        StudyError: an image of one patch, of which nothing is left where it is hidden.

    Example:
        >>> seen(196, 0.75), seen(49, 0.75), seen(4, 0.9)
        (49, 12, 1)
    """
    if patches < 2:
        raise StudyError("an image is one patch", why="where it is hidden nothing is left to tell it by",
                         fix="set model.patch smaller", where="model.patch")  # fmt: skip
    return min(patches - 1, max(1, round((1 - rate) * patches)))


def decoder_size(options: Mapping[str, Any], size: Size) -> Size:
    """The decoder beside an encoder: half as wide in whole heads, a third as deep, at most 512 and 8.

    So it is the paper's 512 x 8 beside ViT-L (1024 x 24), for which it was chosen. The paper has the same beside every
    encoder, of which none is smaller than 768 x 12; smaller ones are not in it, and the rule below L is ours.
    Heads are as wide as the encoder's. Reference: He et al. 2021, arXiv:2111.06377, section 4.1 and table 1.

    Raises:
        StudyError: there is no such decoder.

    Example:
        >>> large = Size(width=1024, layers=24, vocabulary=0, context=196, head_width=64, patch=16)
        >>> decoder_size({}, large).width, decoder_size({}, large).layers
        (512, 8)
    """
    at, step = {**MAE, **options}, lcm(size.head_width, PLACES)
    half = max(1, -(-size.width // (2 * step))) * step
    made = Size(
        width=at["decoder_width"] or min(half, max(step, MOST_WIDTH // step * step)),
        layers=at["decoder_layers"] or min(MOST_LAYERS, max(1, round(size.layers / 3))), vocabulary=0,
        context=size.context, head_width=size.head_width, patch=size.patch, embedding_width=size.width,
    )  # fmt: skip
    found = SHAPES[DECODER].problems(made)
    if size.width % PLACES:
        found.append(Problem(f"width is {size.width}", "sines and cosines of two places fill it in fours",
                             f"set it to a multiple of {PLACES}", "width"))  # fmt: skip
    if found:
        raise StudyError.all(found)
    return made


def models(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """The encoder on what is seen, and the decoder on all; the encoder alone is given."""
    use = Use(seen(size.context, float(options.get("rate", MAE["rate"]))), 0, 0)
    decoder = decoder_size(options, size)
    return Model("body", size, ((1.0, use),)), Model("body", decoder, ((1.0, use),), family=DECODER, given=False)


def problems(at: Mapping[str, Any]) -> list[Problem]:
    """Options out of their range."""
    found = [] if 0 < at["rate"] < 1 else [
        Problem("'rate' is wrong", f"found {at['rate']!r}", "write a share between 0 and 1, such as .75", "rate")
    ]  # fmt: skip
    found += [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}", "write a whole number, 0 for the rule", name)
        for name in ("decoder_width", "decoder_layers") if at[name] < 0
    ]  # fmt: skip
    return found + one_of(at, "judged", tuple(JUDGES)) + pixels.problems(at)


def _judged(options: Mapping[str, Any]) -> Facts:
    """As one of the judges that there are; another is refused with the options."""
    return _FACTS._replace(judge=JUDGES.get(str(options.get("judged")), _FACTS.judge), of=None)


UNLOCKS: Mapping[Task, Cite] = {
    **CLASSIFIES,
    "image-classification": Cite("after fine-tuning; its raw states are poor", f"{PAPER}, section 4.3"),
}
_FACTS = Facts(
    needs=frozenset({"images"}), unlocks=UNLOCKS, precludes=NO_TEXT, judge=JUDGES["pixels"], families=("vit",),
    reads="images", models=models, of=_judged,
)  # fmt: skip
MASKED_IMAGES: Mapping[str, Facts] = {"mae": _FACTS}
