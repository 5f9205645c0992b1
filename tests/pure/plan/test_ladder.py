"""The ladder: log-spaced sizes along one compute front, the top rung a stated factor beyond."""

from __future__ import annotations

import itertools
import math

import pytest

from keel.answer import Number
from keel.model.shapes import SHAPES, Size
from keel.plan import ladder, recipe
from keel.plan.ladder import Frame, frame, rungs, widths_from
from keel.plan.losses import Loss
from keel.plan.recipe import Choices, batch_tokens_of, context_of, layers_of


def flop_of(size: Size) -> float:
    shapes = SHAPES["llama"]
    return shapes.flop_per_token(shapes.shape(size))


@pytest.fixture
def five() -> Frame:
    return frame({}, (16, 24, 32, 48, 64), 1024, Loss("clm", {}, "llama"))


@pytest.mark.parametrize("smallest", [16, 24, 40, 64, 200])
def test_widths_span_four_times_in_steps_of_eight(smallest: int) -> None:
    widths = widths_from(smallest)
    assert len(widths) == 5
    assert all(width % 8 == 0 for width in widths)
    assert sorted(set(widths)) == list(widths)
    assert widths[-1] == 4 * widths[0]


@pytest.mark.parametrize("factor", [2.0, 4.0, 9.0, 30.0])
@pytest.mark.parametrize("top", [3e5, 2e6, 1e8])
def test_the_top_rung_is_the_factor_beyond_the_largest_below(five: Frame, factor: float, top: float) -> None:
    batch = 512
    made = rungs(five, top, factor, batch, {})
    largest = max(flop_of(rung.size) * rung.tokens[-1] for rung in made[:-1])
    top_flop = flop_of(made[-1].size) * made[-1].tokens[-1]
    slack = batch / min(rung.tokens[-1] for rung in made)
    assert factor * (1 - slack) <= top_flop / largest <= factor * (1 + slack)


def test_only_the_top_is_held_out(five: Frame) -> None:
    made = rungs(five, 1e6, 9.0, 512, {})
    assert [rung.held_out for rung in made] == [False] * 4 + [True]
    assert [rung.size.width for rung in made] == [16, 24, 32, 48, 64]
    assert len(made[-1].tokens) == 1


def test_token_counts_are_whole_steps_ascending_from_a_common_least(five: Frame) -> None:
    made = rungs(five, 5e6, 9.0, 640, {})[:-1]
    for rung in made:
        assert all(tokens % 640 == 0 for tokens in rung.tokens)
        assert list(rung.tokens) == sorted(set(rung.tokens))
        assert 2 <= len(rung.tokens) <= ladder.MAX_POINTS
    assert len({rung.tokens[0] for rung in made}) == 1
    fronts = [flop_of(rung.size) * rung.tokens[-1] for rung in made]
    assert max(fronts) / min(fronts) == pytest.approx(1.0, rel=0.01)


def test_points_are_log_spaced(five: Frame) -> None:
    tokens = rungs(five, 1e9, 9.0, 512, {})[0].tokens
    steps = [math.log(b / a) for a, b in itertools.pairwise(tokens)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=0.01)


def test_given_token_counts_are_taken_as_they_are(five: Frame) -> None:
    made = rungs(five, 1e6, 9.0, 512, {24: [51200, 25600], 64: [102400]})
    assert made[1].tokens == (25600, 51200)
    assert made[-1].tokens == (102400,)


def test_the_top_has_five_tokens_a_parameter_or_four_epochs(five: Frame) -> None:
    total = SHAPES["llama"].params(SHAPES["llama"].shape(five.sizes[-1])).total
    assert ladder.top_tokens(five, 1e12) == 5 * total
    assert ladder.top_tokens(five, 1000.0) == 4000


def test_all_rungs_share_context_head_and_vocabulary(five: Frame) -> None:
    sizes = five.sizes
    assert {(size.context, size.head_width, size.vocabulary) for size in sizes} == {(128, 8, 1024)}
    assert frame({"model.context": 256, "model.layers": 4}, (16, 32), 512, Loss("clm", {}, "llama")).sizes[0] == Size(
        width=16, layers=4, vocabulary=512, context=256, head_width=8
    )


def test_depth_context_and_batch_grow_and_never_shrink() -> None:
    assert [layers_of(width) for width in (16, 191, 192, 256, 768)] == [2, 2, 3, 4, 12]
    assert [context_of(width) for width in (16, 96, 97, 192, 193, 4096)] == [128, 128, 256, 256, 512, 1024]
    batches = [batch_tokens_of(10.0**power, 128) for power in range(3, 12)]
    assert batches == sorted(batches)
    assert batches[0] == 4 * 128
    assert batch_tokens_of(1.6e6, 128) == 512


def test_a_pick_is_recorded_as_ours_or_yours() -> None:
    choices = Choices({"train.seed": 3})
    assert choices.pick("train.seed", 0, source="default", formula="constant") == 3
    assert choices.pick("train.weight_decay", 0.1, source="a paper") == 0.1
    yours, ours = choices.numbers
    assert (yours.value, yours.source, yours.formula, yours.yours) == (3, "yours", "", True)
    assert (ours.value, ours.source, ours.yours) == (0.1, "a paper", False)
    assert all(isinstance(number, Number) for number in choices.numbers)


def test_outside_says_how_far() -> None:
    assert recipe.outside(100, 16, 128) == ""
    assert recipe.outside(256, 16, 128) == "2x above"
    assert recipe.outside(8, 16, 128) == "2x below"
