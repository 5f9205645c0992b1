"""The ladder: log-spaced sizes, each one trunk with decay branches, the top rung held out and forecast first.

Every size below the top is trained up to the same compute, 1/factor of the top rung's, so the points lie along an
iso-FLOP front and fan out to fewer tokens from there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keel.errors import Problem
from keel.model.shapes import Size, head_width
from keel.objective.cost import flop_per_token, params, special_tokens
from keel.plan.defaults import Defaults, defaults_of
from keel.plan.losses import Loss
from keel.plan.recipe import Choices, batch_tokens_of, context_of, layers_of

STEPS_OF_WIDTH = (1.0, 1.5, 2.0, 3.0, 4.0)
POINT_RATIO, MAX_POINTS = 1.6, 4
MIN_WIDTH, MAX_WIDTH = 16, 4096


class Rung(NamedTuple):
    """One size and its token counts."""

    size: Size
    tokens: tuple[int, ...]
    held_out: bool


class Frame(NamedTuple):
    """What all rungs share, and their sizes, the smallest first; `tokens` are the tokenizer's, 0 where there is none.

    `context`: positions of a sample.
    """

    loss: str
    options: Mapping[str, Any]
    family: str
    sizes: tuple[Size, ...]
    context: int
    tokens: int

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths, smallest first."""
        return tuple(size.width for size in self.sizes)

    @property
    def layers(self) -> tuple[int, ...]:
        """The depths, smallest first."""
        return tuple(size.layers for size in self.sizes)

    @property
    def defaults(self) -> Defaults:
        """What this loss is trained with unless said otherwise."""
        return defaults_of(self.loss, self.options)

    def flop_per_token(self, size: Size) -> float:
        """Training FLOP a token of this loss on a size."""
        return flop_per_token(self.loss, self.options, self.family, size)

    def params(self, size: Size) -> int:
        """Parameters of what a run of this loss gives at a size."""
        return params(self.loss, self.options, self.family, size).total


def widths_from(smallest: int) -> tuple[int, ...]:
    """Five widths, 1 to 4 times the smallest, in multiples of 8.

    Example:
        >>> widths_from(16)
        (16, 24, 32, 48, 64)
    """
    return tuple(8 * round(smallest * step / 8) for step in STEPS_OF_WIDTH)


def frame(choices: Mapping[str, Any], widths: Sequence[int], tokens: int, loss: Loss) -> Frame:
    """Depth, context and head width of a ladder of these widths; the model has rows for the loss's special tokens."""
    top = max(widths)
    layers, context = choices.get("model.layers"), int(choices.get("model.context", context_of(top)))
    vocabulary = tokens + len(special_tokens(loss.name, loss.options, context))
    sizes = tuple(
        Size(width=width, layers=int(layers) if layers else layers_of(width), vocabulary=vocabulary, context=context,
             head_width=head_width(tuple(widths)))
        for width in widths
    )  # fmt: skip
    return Frame(loss.name, loss.options, loss.family, sizes, context, tokens)


def top_tokens(frame_: Frame, unique_tokens: float) -> float:
    """Tokens of the top rung: so many a parameter (5 of a decoder), at most so many epochs (text: four).

    Reference: Muennighoff et al. 2023, arXiv:2305.16264, section 6: up to four epochs are nearly as good as fresh data.
    """
    row, total = frame_.defaults, frame_.params(frame_.sizes[-1])
    return min(row.tokens_per_param * total, row.top_epochs * unique_tokens)


def rungs(
    frame_: Frame, top: float, factor: float, batch_tokens: int, given: Mapping[int, Sequence[int]],
    unique_tokens: float = math.inf,
) -> list[Rung]:  # fmt: skip
    """Token counts of every size: geometric from a common least to what 1/factor of the top's compute allows."""
    sizes = frame_.sizes
    flop = [frame_.flop_per_token(size) for size in sizes]
    row = frame_.defaults
    most = [min(flop[-1] * top / factor / each, row.most_epochs * unique_tokens) for each in flop[:-1]]
    least = max(0.65 * most[-1], min(fewest_tokens(frame_), most[-1])) if most else top
    ladder = [
        Rung(size, _whole(given.get(size.width) or _points(least, high), batch_tokens), held_out=False)
        for size, high in zip(sizes, most)
    ]
    return [*ladder, Rung(sizes[-1], _whole(given.get(sizes[-1].width) or (top,), batch_tokens), held_out=True)]


def fewest_tokens(frame_: Frame) -> float:
    """What a run of this loss must see before it says anything of longer ones; 0 where nothing is known."""
    return max(frame_.defaults.least_tokens, frame_.defaults.least_samples * frame_.context)


def short_runs(frame_: Frame, found: Sequence[Rung], batch_tokens: int) -> list[Problem]:
    """Said where the top is too short for the rungs below it to be as long as the loss wants."""
    least, wanted = min(rung.tokens[0] for rung in found), fewest_tokens(frame_)
    if least > wanted - batch_tokens:
        return []
    top = math.ceil(found[-1].tokens[-1] * wanted / least / batch_tokens) * batch_tokens
    return [Problem(
        f"runs of the ladder are short for the loss {frame_.loss}: {least // batch_tokens} steps at least",
        f"{round(wanted / batch_tokens)} are wanted, since shorter ones may not have begun to learn "
        f"({frame_.defaults.factor_source})",
        f"bring more data, make patches larger (model.patch) or set ladder.top_tokens = {top}" if frame_.sizes[0].patch
        else f"bring more data, or set ladder.top_tokens = {top}", "[set] ladder.top_tokens",
    )]  # fmt: skip


def _points(low: float, high: float) -> tuple[float, ...]:
    number = max(2, min(MAX_POINTS, 1 + round(math.log(high / low) / math.log(POINT_RATIO))))
    return tuple(low * (high / low) ** (place / (number - 1)) for place in range(number))


def _whole(tokens: Sequence[float], batch_tokens: int) -> tuple[int, ...]:
    """Whole optimiser steps, each count once."""
    return tuple(sorted({max(1, round(value / batch_tokens)) * batch_tokens for value in tokens}))


def choose_batch(choices: Choices, top: float, frame_: Frame) -> int:
    """The batch of the ladder, in whole windows."""
    row, context = frame_.defaults, frame_.context
    chosen = choices.pick(
        "train.batch_tokens", batch_tokens_of(top, context, row), unit="tokens", formula=row.batch_formula,
        inputs={"D": top}, source=row.batch_source, valid=row.batch_valid,
        outside="" if row.batch_range[0] <= top <= row.batch_range[1] else f"D is {top:.3g}",
    )  # fmt: skip
    return int(chosen)
