from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np
import pytest
from helpers import study_error
from pictures import encoded, scene
from PIL import Image

from keel.corpus.images import augment as module
from keel.corpus.images import colour
from keel.corpus.images.augment import Settings, augment, check, evaluation, views
from keel.corpus.images.bad import Bad

PLAIN = Settings(size=16, crop="centre", flip=False, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
DATA = encoded(scene(3, 48))


def made(data: bytes, settings: Settings, seed: int = 0, epoch: int = 0, number: int = 0) -> np.ndarray:
    found = augment(data, settings, seed, epoch, number)
    assert isinstance(found, np.ndarray), found
    assert found.shape == (3, settings.size, settings.size)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    return found


def test_an_image_of_that_size_comes_back_as_it_is() -> None:
    image = scene(1, 16)
    expected = np.asarray(image).transpose(2, 0, 1) / np.float32(255)
    assert np.array_equal(made(encoded(image), PLAIN), expected)


def test_normalising_is_a_shift_and_a_scale() -> None:
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    plain, found = made(DATA, PLAIN), made(DATA, PLAIN._replace(mean=mean, std=std))
    expected = (plain - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert np.allclose(found, expected, atol=1e-6)


def test_the_middle_square_is_taken() -> None:
    values = np.zeros((16, 32, 3), np.uint8)
    values[:, 8:24] = 255
    assert made(encoded(Image.fromarray(values)), PLAIN).min() == 1.0
    margin = PLAIN._replace(size=8, resize=16)  # the shorter side to 16, then the middle 8
    values = np.zeros((16, 32, 3), np.uint8)
    values[4:12, 12:20] = 255
    assert made(encoded(Image.fromarray(values)), margin).min() == 1.0


def test_the_same_key_gives_the_same_bits_and_another_others() -> None:
    settings = Settings(size=16, jitter=0.4)
    first = made(DATA, settings, 1, 2, 3)
    assert np.array_equal(first, made(DATA, settings, 1, 2, 3))
    for key in ((0, 2, 3), (1, 0, 3), (1, 2, 0), (2, 1, 3), (3, 2, 1)):
        assert not np.array_equal(first, made(DATA, settings, *key))


def test_evaluation_has_no_randomness() -> None:
    settings = evaluation(Settings(size=16, jitter=0.4))
    assert np.array_equal(made(DATA, settings, 1, 2, 3), made(DATA, settings, 4, 5, 6))


def test_half_are_flipped_and_nothing_else_changes() -> None:
    settings = PLAIN._replace(flip=True)
    plain = made(DATA, PLAIN)
    flips = 0
    for number in range(400):
        found = made(DATA, settings, number=number)
        flipped = np.array_equal(found, plain[:, :, ::-1])
        assert flipped or np.array_equal(found, plain)
        flips += flipped
    assert 160 <= flips <= 240  # 4 standard deviations of a fair coin


def test_crops_have_the_drawn_area_and_stay_inside() -> None:
    """A ramp in x and one in y tell which box was taken: its corners are its values."""
    x, y = np.meshgrid(np.arange(128), np.arange(128))
    data = encoded(Image.fromarray(np.stack([x, y, 0 * x], -1).astype(np.uint8)))
    settings = PLAIN._replace(size=32, crop="random", least_area=0.25)
    areas, ratios = [], []
    for number in range(200):
        found = made(data, settings, number=number) * 255
        wide = (found[0, 16, -1] - found[0, 16, 0]) * 32 / 31
        high = (found[1, -1, 16] - found[1, 0, 16]) * 32 / 31
        areas.append(wide * high / 128**2)
        ratios.append(wide / high)
    assert 0.2 < min(areas) < 0.3
    assert max(areas) <= 1.02
    # Uniform in [1/4, 1] has the mean 5/8; sides that are cut to the image lower it a little.
    assert np.mean(areas) == pytest.approx(0.61, abs=0.04)
    assert 0.7 < min(ratios) < 0.85
    assert 1.2 < max(ratios) < 1.42


def test_jitter_is_off_by_default_and_bounded() -> None:
    assert Settings().jitter == 0.0
    grey = encoded(Image.new("RGB", (16, 16), (100, 100, 100)))
    values = [made(grey, PLAIN._replace(jitter=0.2), number=number) for number in range(200)]
    levels = np.array([value[0, 0, 0] * 255 for value in values])
    assert all(np.ptp(value) < 1e-5 for value in values), (
        "grey stays grey and flat: contrast and saturation change none"
    )
    assert 79.9 <= levels.min() < 85
    assert 115 < levels.max() <= 120.1


def test_what_does_not_decode_is_given_back() -> None:
    assert isinstance(augment(DATA[:60], PLAIN, 0, 0, 0), Bad)


def test_every_wrong_setting_is_told() -> None:
    wrong = Settings(size=0, crop="left", least_area=0.0, resize=-1, jitter=1.0, std=(1.0, 0.0, 1.0))  # type: ignore[arg-type]
    with study_error("size is 0", "crop is 'left'", "least_area is 0", "resize is -1", "jitter is 1", "std is"):
        check(wrong)
    with study_error("resize is 8"):
        check(Settings(size=16, resize=8))
    odds = Settings(least_area=0.5, most_area=0.4, jitter_odds=2, saturation=-1, hue=0.6, grey=2, blur=-0.1, solarise=2)
    with study_error("most_area is 0.4", "jitter_odds is 2", "saturation is -1", "hue is 0.6", "grey is 2",
                     "blur is -0.1", "solarise is 2"):  # fmt: skip
        check(odds)


# Made by keel at 0ac9f7d, before an image had views: runs of then go on with the bits of then.
FROZEN = {
    Settings(size=24): "3502549477ea0f2660b231b06dd083951e3b18f2820278045df8fa2792f54586",
    Settings(size=24, jitter=0.4, least_area=0.2): "cc944a2307dde8ff33b559f701b93208c57e10e49b33644d6884f4e538947c00",
    evaluation(Settings(size=20, resize=28)): "1f6083d63df2175bd80f929beb9f5ebdf8f1d27d5b754e21be87e5d09a2e9f1d",
}


@pytest.mark.parametrize("settings", FROZEN)
def test_the_first_view_has_the_bits_it_always_had(settings: Settings) -> None:
    digest = hashlib.sha256()
    for seed, epoch, number in ((0, 0, 0), (7, 2, 5), (1, 9, 40)):
        found = views(DATA, (settings, settings), seed, epoch, number)
        assert not isinstance(found, module.Bad)
        digest.update(found[0].tobytes())
    assert digest.hexdigest() == FROZEN[settings]


def test_each_view_draws_by_itself_from_one_decoded_image(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, small = Settings(size=16, jitter=0.4), Settings(size=8, most_area=0.5)
    decoded, decode = [], module.decode
    monkeypatch.setattr(module, "decode", lambda *given: decoded.append(1) or decode(*given))
    found = views(DATA, (drawn, drawn, small), 1, 2, 3)
    assert len(decoded) == 1
    assert not isinstance(found, module.Bad)
    assert [view.shape for view in found] == [(3, 16, 16), (3, 16, 16), (3, 8, 8)]
    assert not np.array_equal(found[0], found[1])
    # Nothing of another view decides what one is.
    again = views(DATA, (small, drawn, small), 1, 2, 3)
    assert all(np.array_equal(*pair) for pair in zip(found[1:], again[1:]))
    keys = [(1, 2, 3, view) for view in range(3)] + [(0, 2, 3, 1), (1, 0, 3, 1), (1, 2, 0, 1), (1, 3, 3, 0)]
    assert len({module._draws(*key).tobytes() for key in keys}) == len(keys)


RED = encoded(Image.new("RGB", (16, 16), (200, 60, 60)))


def share(settings: Settings, holds: Callable[[np.ndarray], bool]) -> float:
    return float(np.mean([holds(made(RED, settings, number=number)) for number in range(400)]))


@pytest.mark.parametrize(
    ("changes", "holds", "odds"),
    [
        ({"grey": 0.2}, lambda v: bool(np.ptp(v[:, 0, 0]) < 1e-6), 0.2),
        ({"solarise": 0.3}, lambda v: bool(abs(v[0, 0, 0] - 55 / 255) < 1e-6), 0.3),
        (
            {"jitter": 0.4, "hue": 0.1, "jitter_odds": 0.8},
            lambda v: not np.allclose(v[:, 0, 0] * 255, (200, 60, 60)),
            0.8,
        ),
    ],
)
def test_each_change_has_its_odds(changes: dict[str, float], holds: Callable[[np.ndarray], bool], odds: float) -> None:
    error = math.sqrt(odds * (1 - odds) / 400)
    assert abs(share(PLAIN._replace(**changes), holds) - odds) < 4 * error


def test_saturation_is_a_share_of_the_jitter() -> None:
    grey = [made(RED, PLAIN._replace(jitter=0.4, saturation=0.0), number=number) for number in range(50)]
    # Brightness and contrast leave the ratio of the distances to grey alone.
    for value in grey:
        red, green, _ = value[:, 0, 0]
        level = 0.299 * red + 0.701 * green
        assert (red - level) / (level - green) == pytest.approx(0.701 / 0.299, rel=1e-3)
    plain = [made(RED, PLAIN._replace(jitter=0.4), number=number) for number in range(50)]
    assert not any(np.allclose(*pair, atol=1e-3) for pair in zip(grey[:5], plain[:5]))


def test_a_turn_of_hue_keeps_grey_and_is_a_circle() -> None:
    values = np.asarray(scene(5, 16)).transpose(2, 0, 1).astype(np.float32) / 510 + 0.25
    level = np.tensordot([0.299, 0.587, 0.114], values, 1)
    turn = colour.turned(values, 0.1)
    assert np.abs(np.tensordot([0.299, 0.587, 0.114], turn, 1) - level).max() < 2e-3
    assert np.abs(turn - values).max() > 0.02
    assert np.abs(colour.turned(turn, -0.1) - values).max() < 1e-5
    assert np.abs(colour.turned(values, 1.0) - values).max() < 1e-5


def test_a_blur_spreads_a_point_by_its_deviation_and_keeps_the_sum() -> None:
    """At 224 pixels: the spread's square is the mean of sigma^2 over [.1, 2], 1.40; at 112 a quarter of it."""
    for side, expected in ((224, 1.403), (112, 0.351)):
        values = np.zeros((side, side, 3), np.uint8)
        # A line: bytes would round away the tails of a point.
        values[:, side // 2] = 255
        data, settings = encoded(Image.fromarray(values)), PLAIN._replace(size=side, blur=1.0)
        lines = [made(data, settings, number=number)[0, side // 2] for number in range(60)]
        places = np.arange(side) - side // 2
        assert np.mean([line.sum() for line in lines]) == pytest.approx(1.0, abs=0.02)
        assert np.mean([(line * places**2).sum() for line in lines]) == pytest.approx(expected, rel=0.3)
