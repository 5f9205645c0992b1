"""What the losses of encoders train, where not one model with a head on tokens, and what a sample puts through it.

Legend: T context, V vocabulary, d width, e table width, n masked tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keel.errors import Problem, StudyError
from keel.model.shapes import FEATURES, SHAPES, Size, Use
from keel.model.shapes.parts import head_products
from keel.objective.fact import Model
from keel.objective.work import Work, between, every_position, masked

DRAW = 2  # FLOP a product: drawing tokens takes the head's forward pass once more
BORDERS = 3  # a pair's start token and its two separators

RTD: Mapping[str, Any] = {
    "rate": 0.15, "unit": "token", "count": "exact", "ngram": 3, "mask": 1.0, "random": 0.0, "masks": 0, "weight": 50.0,
    "sharing": "tied", "generator_width": 0.25, "generator_depth": 1.0, "optimisers": 1, "enhanced": False,
}  # fmt: skip
RTD_V3: Mapping[str, Any] = {
    **RTD, "weight": 10.0, "sharing": "gdes", "generator_width": 1.0, "generator_depth": 0.5, "optimisers": 2,
    "enhanced": True,
}  # fmt: skip


def generator_size(at: Mapping[str, Any], family: str, size: Size) -> Size:
    """The generator beside a discriminator of `size`; where tables are shared, with as wide a table.

    Raises:
        StudyError: the family has no model of that size.

    Example:
        >>> size = Size(width=768, layers=12, vocabulary=30522, context=512, head_width=64)
        >>> generator_size({**RTD, "generator_width": 1 / 3}, "electra", size).json()["width"]
        256
    """
    width = size.head_width * max(1, round(at["generator_width"] * (size.width // size.head_width)))
    table = 0
    if at["sharing"] != "none":
        wanted = SHAPES[family].shape(size).table_width
        table = 0 if wanted == width else wanted
    small = replace(
        size, width=width, layers=max(1, round(at["generator_depth"] * size.layers)), embedding_width=table,
        feed_forward=round(size.feed_forward * width / size.width),
    )  # fmt: skip
    problems = SHAPES[family].problems(small)
    if problems:
        fix = "set generator_width to 1, or sharing to 'none'"
        raise StudyError.all(Problem(f"the generator's {p.what}", p.why, fix, "options") for p in problems)
    return small


def rtd_models(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """ELECTRA's two: see `detectors`."""
    return detectors({**RTD, **options}, family, size)


def rtd_v3_models(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """DeBERTa-v3's two: see `detectors`."""
    return detectors({**RTD_V3, **options}, family, size)


def detectors(at: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """A discriminator judged at every position, and a generator whose head draws and predicts the masked tokens."""
    small, shapes = generator_size(at, family, size), SHAPES[family]
    work = masked(at, size.context)
    shape = shapes.shape(small)
    draws = sum(odds * DRAW * head_products(FEATURES[family], shape, use.head)["tokens"] for odds, use in work)
    generator = Model("enhanced" if at["enhanced"] else "tokens", small, work, draws, given=False)
    return Model("replaced", size, every_position(at, size.context)), generator


def judged_pairs(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """One model with a head on pairs beside that on tokens, and a pair that fills the context."""
    return (Model("sentences", size, pair_work(options, size.context)),)


def pair_work(options: Mapping[str, Any], context: int) -> Work:
    """One stack on two texts that fill the context, the head on a share `rate` of their tokens."""
    rows = float(options.get("rate", 0.15)) * (context - BORDERS)
    if options.get("count", "exact") == "exact":
        return ((1.0, Use(context, 0, max(1, round(rows)))),)
    return tuple((odds, Use(context, 0, number)) for odds, number in between(rows))


def line_work(options: Mapping[str, Any], context: int) -> Work:
    """Two lines, each as long as it may be: an even context leaves one position over."""
    return pair_work(options, BORDERS + (context - BORDERS) // 2 * 2)
