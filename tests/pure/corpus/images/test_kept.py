"""Decoded images that are kept change nothing, and take no more room than they may."""

from __future__ import annotations

import numpy as np
import pytest

from keel.corpus import scene_pictures, scenes
from keel.corpus.images import decode, kept, store
from keel.corpus.images.augment import Settings, views, views_of
from keel.corpus.images.bad import Bad
from keel.corpus.images.items import open_images
from keel.corpus.images.kept import Kept
from keel.corpus.images.look import measure_images
from keel.corpus.images.store import Store
from keel.study import Study

SETTINGS = Settings(size=24, crop="random", flip=True, jitter=0.4)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("kept")
    scene_pictures.write(folder / "scenes", 6, seed=1, options=scenes.Options(side=36))
    study = Study.model_validate({"data": {"train": "scenes", "image": "file"}})
    source = open_images(folder, study.data)
    return store.write(folder / "store", open_images(folder, study.data), measure_images(source, study))


def test_a_kept_image_gives_the_views_of_a_fresh_one(images: Store) -> None:
    seen = Kept(images, "white")
    for epoch in (0, 1, 2):
        image = seen.image(3)
        assert not isinstance(image, Bad)
        fresh = views(images.data(3), (SETTINGS, SETTINGS), 7, epoch, 3)
        assert not isinstance(fresh, Bad)
        for one, other in zip(views_of(image, (SETTINGS, SETTINGS), 7, epoch, 3), fresh):
            np.testing.assert_array_equal(one, other)


def test_it_is_decoded_once_and_what_has_no_room_each_time(images: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = list[bytes]()

    def counted(data: bytes, *given: object) -> object:
        decoded.append(data)
        return decode.decode(data, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(kept, "decode", counted)
    monkeypatch.setattr(kept, "KEPT_BYTES", 2 * 3 * 36 * 36)
    seen = Kept(images, "white")
    for number in (0, 1, 2, 0, 1, 2):
        seen.image(number)
    assert len(decoded) == 4
    assert seen.left_bytes == 0


def test_what_cannot_be_decoded_is_told_each_time(images: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "data", lambda self, number: b"no image")
    seen = Kept(images, "white")
    assert isinstance(seen.image(0), Bad)
    assert isinstance(seen.image(0), Bad)
    assert not seen.images
