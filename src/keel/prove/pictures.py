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
from keel.corpus.tokenizer import train
from keel.files import write_text
from keel.study import Study

IMAGES, SEED, CLASSES = 96, 0, 4
PATCH, PATCHES = 6, 16
SCENES = scenes.Options(most_objects=1, side=36)


def corpus(folder: Path, vocabulary: int = 0) -> Store:
    """The store under `folder`, written once: images with labels, and with captions where there is a `vocabulary`."""
    place = folder / ("captioned" if vocabulary else "images")
    if (place / "index.json").exists():
        return store.open_store(place)
    captions = {"text": "twin"} if vocabulary else {}
    study = Study.model_validate({"data": {"train": "scenes", "image": "file", "label": "folder"} | captions})
    with contextlib.redirect_stderr(io.StringIO()):
        scene_pictures.write(folder / "scenes", IMAGES, SEED, SCENES, "shape")
        seen = measure_images(open_images(folder, study.data), study)
        if vocabulary:
            texts = [item.caption or "" for item in open_images(folder, study.data).items()]
            write_text(place / store.TOKENIZER, train(texts, vocabulary))
        return store.write(place, open_images(folder, study.data), seen)
