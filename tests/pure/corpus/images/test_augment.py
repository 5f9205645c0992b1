from __future__ import annotations

import numpy as np
import pytest
from helpers import study_error
from pictures import encoded, scene
from PIL import Image

from keel.corpus.images.augment import Settings, augment, check, evaluation
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
