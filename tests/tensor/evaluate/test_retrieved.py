"""The judge of pairs against closed forms: equal captions are right together, ties are not lucky, chance is the bar."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from keel.evaluate import retrieved
from keel.evaluate.retrieved import Retrieved, found

pytestmark = pytest.mark.tensor
PAIRS, SCALE = 20, 3.0
Floats = NDArray[np.float64]


def judged(near: Floats, captions: list[int] | None = None, scale: float = SCALE) -> Retrieved:
    numbers = captions or list(range(len(near)))
    return found(near, scale * near, np.array(numbers), tuple(range(100, 100 + len(near))))


def by_hand(near: Floats, captions: list[int], scale: float = SCALE) -> float:
    """The definition, one probability at a time."""
    both = 0.0
    for table in (near, near.T):
        for row, mine in zip(table, captions):
            odds = [math.exp(scale * each) for each in row]
            right = sum(value for value, other in zip(odds, captions) if other == mine)
            both -= math.log(right / sum(odds))
    return both / 2 / len(captions)


def cosines(seed: int = 0, number: int = PAIRS) -> Floats:
    """Similarities of random unit vectors, not symmetric."""
    made = np.random.default_rng(seed).normal(size=(2, number, 6))
    image, text = made / np.linalg.norm(made, axis=2, keepdims=True)
    return np.asarray(image @ text.T)


def test_pairs_at_right_angles_have_a_closed_form() -> None:
    """All candidates but one at 0: p = e^t / (e^t + K - 1), and t = 100 serves best."""
    made = judged(np.eye(PAIRS))
    assert made.own_nats == pytest.approx(math.log(1 + (PAIRS - 1) * math.exp(-SCALE)), rel=1e-12)
    assert made.value == pytest.approx(0.0, abs=1e-12)
    assert made.bar == pytest.approx(math.log(PAIRS), rel=1e-12)
    assert made.told()["recall"]["caption_of_image"]["R@1"]["value"] == 1.0
    assert made.standard_error == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("captions", [list(range(PAIRS)), [place // 3 for place in range(PAIRS)], [0] * PAIRS])
def test_nats_are_those_of_the_definition(captions: list[int]) -> None:
    near = cosines()
    made = judged(near, captions)
    assert made.own_nats == pytest.approx(by_hand(near, captions), rel=1e-12)
    flat = judged(np.zeros((PAIRS, PAIRS)), captions)
    assert flat.value == pytest.approx(flat.bar, abs=1e-12)
    assert made.bar == flat.bar


def test_far_logits_do_not_overflow() -> None:
    made = judged(-np.eye(3), scale=2000.0)
    assert made.own_nats == pytest.approx(2000 + math.log(2), rel=1e-12)
    assert made.value == pytest.approx(made.bar, rel=0.05)


def blurred(seed: int = 0, number: int = 400) -> Floats:
    """Similarities of images with captions that are nearer to their own, by far not always the nearest."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(number, 16))
    text = image + 1.5 * rng.normal(size=(number, 16))
    both = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (image, text)]
    return np.asarray(both[0] @ both[1].T)


def test_how_sure_a_model_is_does_not_count() -> None:
    """Over-sure, its own nats are worse than chance; what it finds is the same at any temperature of its own."""
    near = blurred()
    sure, unsure = judged(near, scale=100.0), judged(near, scale=1.0)
    assert sure.own_nats > sure.bar > unsure.own_nats > sure.value
    assert sure.value == unsure.value
    best = min(by_hand(near, list(range(400)), scale) for scale in np.exp(np.linspace(0.5, 3.5, 31)))
    assert sure.value == pytest.approx(best, rel=0.01)


def test_no_half_sees_what_it_is_judged_by() -> None:
    """Where one half is told and the other is not, each is judged at a temperature that serves the other."""
    near = np.where(np.arange(40)[:, None] % 2 == 0, np.eye(40), 0.1 * cosines(number=40))
    told = retrieved.calibrated(near, np.arange(40))
    assert told[1::2].mean() > math.log(40)


def test_models_that_know_nothing_are_at_chance() -> None:
    made = [judged(cosines(seed, 200)) for seed in range(8)]
    assert [each.value for each in made] == pytest.approx([each.bar for each in made], rel=0.01)


def test_what_goes_with_an_equal_caption_is_right() -> None:
    """The first two captions are one; image 0 is nearest to the second of them."""
    near = np.array([[0.1, 0.9, 0.5], [0.9, 0.1, 0.5], [0.0, 0.0, 0.2]])
    one, other = judged(near, [0, 0, 1]), judged(near, [0, 1, 2])
    assert one.caption_of_image.recall[1].value == 1.0
    assert other.caption_of_image.recall[1].value == pytest.approx(1 / 3)
    assert one.candidates == 3
    assert one.bar == pytest.approx(math.log(3) - 2 * math.log(2) / 3)


def test_ties_are_not_lucky() -> None:
    """A collapsed model has one state for all, but for rounding: it finds nothing, in whatever order pairs stand."""
    noise = np.random.default_rng(0).normal(scale=1e-8, size=(PAIRS, PAIRS)) + 10e-8 * np.eye(PAIRS)
    made = judged(0.5 + noise)
    assert made.caption_of_image.recall[1].value == made.image_of_caption.recall[1].value == 0.0
    assert made.caption_of_image.median_rank == (PAIRS + 1) / 2
    assert (0.5 + noise).argmax(1).tolist() == list(range(PAIRS))  # what a plain argmax would have called perfect


def test_the_interval_and_the_error_are_over_captions_not_pairs() -> None:
    """Ten images of each of two captions are two things that were found or not: far less is known than of twenty."""
    near = cosines()
    twins, apart = judged(near, [0] * 10 + [1] * 10), judged(near)
    nats = np.array([1.0, 1.0, 3.0, 3.0])
    assert retrieved._error(nats, np.arange(4)) == pytest.approx(np.std(nats, ddof=1) / 2)
    assert retrieved._error(nats, np.array([0, 0, 1, 1])) == pytest.approx(np.std([1.0, 3.0], ddof=1) / math.sqrt(2))
    of = [twins.caption_of_image.recall[1], apart.caption_of_image.recall[1]]
    assert of[0].high - of[0].low > of[1].high - of[1].low


def test_examples_are_the_nearest_images_of_captions_that_differ() -> None:
    near = cosines(number=40)
    made = judged(near, [place // 2 for place in range(40)])
    assert len(made.examples) == retrieved.EXAMPLES
    assert len({each.number // 2 for each in made.examples}) == retrieved.EXAMPLES
    for each in made.examples:
        place = each.number - 100
        order = np.argsort(-near[:, place])[: retrieved.NEAREST]
        assert each.found == tuple((100 + int(at), bool(at // 2 == place // 2)) for at in order)
        best = max(near[at, place] for at in (place // 2 * 2, place // 2 * 2 + 1))
        assert each.rank == 1 + (near[:, place] > best).sum()
    other = judged(cosines(seed=1, number=40), [place // 2 for place in range(40)])
    assert [each.number for each in other.examples] == [each.number for each in made.examples]
