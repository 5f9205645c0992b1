"""Losses that write an image's caption, alone or beside a contrast: how big their parts are, what they cost. No torch.

Legend: n patches of an image, q queries of captioning, T positions of text, d width of the image's states, e of text.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from keel.errors import Problem, StudyError
from keel.model.shapes import SHAPES, Size, Use
from keel.model.shapes.pooler import pooler_size
from keel.objective import pixels, towers
from keel.objective.fact import Cite, Facts, Model
from keel.objective.fact import Use as Task
from keel.objective.facts_contrastive import ALIGNED, LATENT, NO_CAPTION, caption_roles
from keel.objective.pixels import PIXELS
from keel.objective.towers import PAPER_LAYERS

PAPER = "Yu et al. 2022, arXiv:2205.01917"
CAPPA = "Tschannen et al. 2023, arXiv:2306.07915"
TEXT, POOLER = "captioner", "pooler"
MOST_QUERIES = 256
_WRITES: Mapping[str, Any] = {"caption_queries": 0, "tied": True, "text_context": 77, "text_layers": 0,
                              "too_long": "refuse"}  # fmt: skip
_PIXELS: Mapping[str, Any] = {**PIXELS, "flip": False, "least_area": 0.9}
CAPTIONING: Mapping[str, Any] = {**_WRITES, **_PIXELS}
COCA: Mapping[str, Any] = {"lambda_con": 1.0, "lambda_cap": 2.0, "duplicates": "positives", **_WRITES, **_PIXELS}


def queries_of(at: Mapping[str, Any], image: Size) -> int:
    """Vectors of an image that its caption is written from: as many as it has patches, 256 at most.

    The paper has 256 for its images of 256 patches (288 pixels, patches of 18). Reference: Yu et al. 2022,
    arXiv:2205.01917, sections 3.2 and 4.1.

    Example:
        >>> image = Size(width=64, layers=2, vocabulary=0, context=36, head_width=16, patch=6, embedding_width=64)
        >>> queries_of(COCA, image), queries_of({"caption_queries": 8}, image)
        (36, 8)
    """
    asked: int = at["caption_queries"]
    return asked or min(MOST_QUERIES, image.context)


def decoder_size(at: Mapping[str, Any], image: Size, vocabulary: int) -> Size:
    """The decoder beside an image tower: as wide as the shared space, with heads of the same width.

    Layers of each half: those asked for, else as many as the image tower has and 12 at most, as CoCa-Base and
    CoCa-Large have; the largest has 18. Reference: Yu et al. 2022, arXiv:2205.01917, table 1.

    Raises:
        StudyError: no decoder has that size.

    Example:
        >>> image = Size(width=768, layers=12, vocabulary=0, context=256, head_width=64, patch=18, embedding_width=768)
        >>> made = decoder_size(COCA, image, 64_000)
        >>> made.layers, made.decoder_layers, made.queries
        (12, 12, 256)
    """
    layers = at["text_layers"] or min(image.layers, PAPER_LAYERS)
    size = Size(
        width=image.embedding_width, layers=layers, decoder_layers=layers, vocabulary=vocabulary,
        context=at["text_context"], head_width=image.head_width, queries=queries_of(at, image),
    )  # fmt: skip
    if problems := SHAPES[TEXT].problems(size):
        fix = "set embedding_width to a multiple of head_width: it is the width of the decoder too"
        raise StudyError.all(Problem(f"the decoder's {p.what}", p.why, fix, "embedding_width") for p in problems)
    return size


def head_of(at: Mapping[str, Any], aligned: bool) -> str:
    """The decoder's head.

    Example:
        >>> head_of(COCA, True), head_of({"tied": False}, False)
        ('aligned', 'own-tokens')
    """
    return ("" if at["tied"] else "own-") + ("aligned" if aligned else "tokens")


def captioners(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """The image tower's patches, what asks them, and a caption that fills its context.

    Shorter captions are padded to the longest of a micro-batch: what they cost less is not counted.
    """
    return _models({**CAPTIONING, **options}, size, aligned=False)


def contrastive_captioners(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """The same, with one query more whose vector meets the caption's, and a temperature between them.

    Features are computed once more than is counted: the engine needs those of a whole step before any gradient.
    """
    first, *rest = _models({**COCA, **options}, size, aligned=True)
    one = Model("joint", pooler_size(size, 1), ((1.0, Use(size.context + 1)),), family=POOLER)
    return (first._replace(free_params=1), *rest, one)


def _models(at: Mapping[str, Any], size: Size, aligned: bool) -> tuple[Model, ...]:
    text, pooler = decoder_size(at, size, size.vocabulary or 1), pooler_size(size, queries_of(at, size))
    rows = text.context - 1
    return (
        Model("body", size, ((1.0, Use(size.context, 0, 0)),)),
        Model("body", pooler, ((1.0, Use(size.context + 1)),), family=POOLER),
        Model(head_of(at, aligned), text, ((1.0, Use(rows, 0, rows)),), family=TEXT),
    )


def problems(at: Mapping[str, Any]) -> list[Problem]:
    """Options out of their range."""
    asked, weights = at["caption_queries"], [at[name] for name in ("lambda_con", "lambda_cap") if name in at]
    found = towers.problems({"duplicates": "positives", **at}) + pixels.problems(at)
    if asked < 0:
        found.append(Problem(f"'caption_queries' is {asked}", "it counts vectors of an image",
                             "write 1 or more, or 0 for as many as patches", "caption_queries"))  # fmt: skip
    for name in ("lambda_con", "lambda_cap"):
        if name in at and not (isfinite(at[name]) and at[name] >= 0):
            found.append(Problem(f"'{name}' is {at[name]!r}", "it weighs a loss", "write a number of 0 or more", name))
    if weights and not any(weights):
        found.append(Problem("'lambda_con' and 'lambda_cap' are 0", "nothing would be learned",
                             "write 1 and 2, as the paper does", "lambda_cap"))  # fmt: skip
    return found


WRITES: Mapping[Task, Cite] = {
    "image-to-text": Cite("writes the caption", PAPER),
    "visual-question-answering": Cite("after fine-tuning", PAPER),
}
CAPTIONS: Mapping[str, Facts] = {
    "captioning": Facts(
        needs=frozenset({"image-text"}),
        unlocks={
            **WRITES,
            "image-classification": Cite("a linear layer on its image states, or fine-tuning", CAPPA),
            "image-feature-extraction": Cite("states of the image", CAPPA),
        },
        precludes={
            "image-text-retrieval": Cite("has no space that images and texts share", PAPER),
            "text-to-image": Cite("gives no image", LATENT),
        },
        judge="caption_bits_per_byte", families=("clip-vision",), roles=caption_roles, reads="image-text",
        models=captioners,
    ),
    "coca": Facts(
        needs=frozenset({"image-text"}), unlocks={**ALIGNED, **WRITES},
        precludes={"text-to-image": NO_CAPTION["text-to-image"]}, judge="caption_bits_per_byte",
        families=("clip-vision",), roles=caption_roles, reads="image-text", models=contrastive_captioners,
        sweeps={"lambda_cap": (0.5, 1.0, 4.0)},
    ),
}  # fmt: skip
