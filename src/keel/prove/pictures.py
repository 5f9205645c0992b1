"""Images of the world: scenes of one thing each, in folders by shape, made when a loss that sees images is proven."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from keel.corpus import scene_pictures, scenes
from keel.corpus.images import store
from keel.corpus.images.items import open_images
from keel.corpus.images.look import measure_images
from keel.corpus.images.store import Store
from keel.study import Study

IMAGES, SEED, CLASSES = 96, 0, 4
PATCH, PATCHES = 6, 16
SCENES = scenes.Options(most_objects=1, side=36)


def corpus(folder: Path) -> Store:
    """The store under `folder`/images, written once."""
    place = folder / "images"
    if (place / "index.json").exists():
        return store.open_store(place)
    study = Study.model_validate({"data": {"train": "scenes", "image": "file", "label": "folder"}})
    with contextlib.redirect_stderr(io.StringIO()):
        scene_pictures.write(folder / "scenes", IMAGES, SEED, SCENES, "shape")
        seen = measure_images(open_images(folder, study.data), study)
        return store.write(place, open_images(folder, study.data), seen)
