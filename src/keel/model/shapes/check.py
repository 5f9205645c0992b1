"""What makes a size no model of a family, said for people."""

from __future__ import annotations

from collections.abc import Iterator

from keel.errors import Problem
from keel.model.shapes.features import Features
from keel.model.shapes.parts import sparse_from
from keel.model.shapes.size import OPTIONAL, Size


def problems(features: Features, size: Size) -> list[Problem]:
    """All that is wrong with `size`, not the first thing alone."""
    found = list(_counts(size))
    return found or [*_widths(features, size), *_options(features, size)]


def _counts(size: Size) -> Iterator[Problem]:
    """Every count is positive; the optional ones may be 0."""
    for name, value in vars(size).items():
        least = 0 if name in OPTIONAL else 1
        if value < least:
            yield Problem(f"{name} is {value}", f"it counts something and is at least {least}", f"raise {name}", name)


def _widths(features: Features, size: Size) -> Iterator[Problem]:
    d, head = size.width, size.head_width
    if d % head:
        yield Problem("width is not a multiple of head_width", f"{d} / {head} leaves {d % head}",
                      f"set width to {head * max(1, round(d / head))} or head_width to a divisor", "width")  # fmt: skip
    if features.rotary and head % 2:
        yield Problem("head_width is odd", "rotary positions turn pairs of values", "make it even", "head_width")
    if features.sinusoidal and d < 4:
        yield Problem(f"width is {d}", "sinusoidal positions need two frequencies at least", "set width to 4 or more",
                      "width")  # fmt: skip
    if features.feed_forward(d) < 1:
        yield Problem("width is too small for a feed-forward layer", f"its width would be {features.feed_forward(d)}",
                      "raise width", "width")  # fmt: skip
    if features.block and size.context > sparse_from(features) and size.context % features.block:
        yield Problem("context is not a multiple of the block of sparse attention",
                      f"{size.context} is no multiple of {features.block}; up to {sparse_from(features)} any will do",
                      f"set context to {features.block * round(size.context / features.block)}", "context")  # fmt: skip


def _options(features: Features, size: Size) -> Iterator[Problem]:
    """Optional fields that this family has no place for."""
    if size.decoder_layers and features.kind != "encoder-decoder":
        yield Problem("decoder_layers is set", "this family has one stack", "leave it out", "decoder_layers")
    if size.embedding_width and features.embedding_cap is None:
        yield Problem("embedding_width is set", "this family's token table is as wide as the model", "leave it out",
                      "embedding_width")  # fmt: skip
    if size.feed_forward and features.feed_forward_fixed and size.feed_forward != features.feed_forward(size.width):
        yield Problem(f"feed_forward is {size.feed_forward}",
                      f"the library's model of this family has {features.feed_forward(size.width)} at this width",
                      "leave it out", "feed_forward")  # fmt: skip
    for name in (name for name in ("patch", "classes") if getattr(size, name)):
        yield Problem(
            f"{name} is set", "this family reads text", "leave it out or choose a family that sees images", name
        )
    if size.queries:
        yield Problem("queries is set", "this family asks no image", "leave it out", "queries")
    if size.token_types and features.token_types is None:
        yield Problem("token_types is set", "this family has no table of token types", "leave it out", "token_types")
    elif 0 < size.token_types < features.least_token_types:
        yield Problem(f"token_types is {size.token_types}", "the library's model of this family has no table for one",
                      f"leave it out or set {features.least_token_types} or more", "token_types")  # fmt: skip
