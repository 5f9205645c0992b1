"""The text tower beside an image tower: its size, what a pair costs, and what is said of both losses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers import study_error

from keel.choose.kinds import KINDS
from keel.model.shapes import SHAPES, Size
from keel.objective.cost import flop_per_token, special_tokens
from keel.objective.facts import FACTS
from keel.objective.towers import TOWERS, text_size

B32 = Size(width=768, layers=12, vocabulary=0, context=49, head_width=64, patch=32, embedding_width=512)
L14 = Size(width=1024, layers=24, vocabulary=0, context=256, head_width=64, patch=14, embedding_width=768)
# Parameters of the released models, openai/CLIP: 151,277,313 and 427,616,513 with the temperature.
RELEASED = ((B32, 512, 8, 151_277_313), (L14, 768, 12, 427_616_513))


@pytest.mark.parametrize(("image", "width", "heads", "total"), RELEASED)
def test_towers_of_released_models_follow_from_the_image_tower(
    image: Size, width: int, heads: int, total: int
) -> None:  # fmt: skip
    size = text_size(TOWERS, image, 49_408)
    shape = SHAPES["clip-text"].shape(size)
    assert (size.width, size.layers, shape.heads, size.context) == (width, 12, heads, 77)
    seen = SHAPES["clip-vision"]
    assert seen.params(seen.shape(image)).total + SHAPES["clip-text"].params(shape).total + 1 == total


def test_a_narrow_rung_has_as_shallow_a_text_tower_and_may_be_told_another() -> None:
    rung = replace(B32, width=64, layers=2, head_width=16, embedding_width=32)
    assert text_size(TOWERS, rung, 300).layers == 2
    assert text_size({**TOWERS, "text_layers": 5}, rung, 300).layers == 5


def test_a_pair_costs_both_towers() -> None:
    """By hand: image d 768, 12 layers, 50 rows; text d 512, 12 layers, 77 rows; a projection on one row of each."""
    image = 49 * 3 * 32 * 32 * 768, 12 * (50 * 12 * 768**2 + 2 * 50 * 50 * 768) + 768 * 512
    text = 12 * (77 * 12 * 512**2 + 2 * 77 * 77 * 512) + 512 * 512
    by_hand = 4 * image[0] + 6 * (image[1] + text)
    for loss in ("clip", "siglip"):
        assert flop_per_token(loss, {}, "clip-vision", B32) * 49 == pytest.approx(by_hand, rel=1e-12)
    shorter = flop_per_token("clip", {"text_context": 20}, "clip-vision", B32)
    assert shorter < flop_per_token("clip", {}, "clip-vision", B32)


def test_a_space_without_whole_heads_is_refused() -> None:
    with study_error("the text tower's width is not a multiple of head_width", "embedding_width"):
        text_size(TOWERS, replace(B32, embedding_width=500), 300)


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_a_loss_says_of_itself_what_its_kind_says(loss: str) -> None:
    kind, facts = KINDS["contrastive"], FACTS[loss]
    assert loss in kind.losses
    assert facts.unlocks.keys() == kind.strong.keys()
    assert facts.precludes == kind.precludes
    assert facts.needs == {"image-text"}
    assert special_tokens(loss, {}, 77) == ("start",)
