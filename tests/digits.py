"""Handwritten digits of 8 x 8 pixels, as PNG files in a folder a class: images that small models learn in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pictures import encoded
from PIL import Image
from sklearn.datasets import load_digits

from keel.corpus.images import named, prepare
from keel.corpus.images.items import open_images
from keel.corpus.images.look import measure_images
from keel.corpus.images.store import Store
from keel.corpus.store import open_corpus
from keel.files import read_json, write_json
from keel.plan.spec import Spec, example_spec
from keel.study import Study

SIDE = 8
STUDY = {"data": {"train": "digits", "image": "file", "label": "folder"}}
# Digits fill their square and do not look alike from behind.
PLAIN = {"crop": "centre", "flip": False}


def write(root: Path, most: int = 1797) -> Path:
    """The first `most` digits under `root`/digits/<class>/<number>.png, looked at."""
    found: Any = load_digits()
    for number, (image, label) in enumerate(zip(found.images[:most], found.target[:most])):
        path = root / "digits" / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(Image.fromarray(np.uint8(np.minimum(image * 16, 255)))))
    study = Study.model_validate(STUDY)
    write_json(root / "evidence/images.json", "keel.images/1", measure_images(open_images(root, study.data), study))
    return root


def stored(root: Path) -> Store:
    """The store that a run of this study opens."""
    source = open_images(root, Study.model_validate(STUDY).data)
    folder = prepare.prepare(root, source, data(root))
    found = open_corpus(folder)
    assert isinstance(found, Store)
    return found


def data(root: Path) -> dict[str, Any]:
    """What a spec says of them."""
    return named.named(read_json(root / "evidence/images.json", "keel.images/1"))


SIZES: dict[str, dict[str, int]] = {
    "vit": {"width": 48, "layers": 3, "context": 16, "head_width": 12, "patch": 2},
    "vit-hybrid": {"width": 48, "layers": 2, "context": 16, "head_width": 12, "patch": 2},
    "resnet-basic": {"width": 16, "layers": 4, "context": 4, "head_width": 0, "patch": 16},
    "convnext": {"width": 16, "layers": 4, "context": 1, "head_width": 0, "patch": 32},
}


def spec_of(family: str, root: Path, images: int = 128, **changes: Any) -> Spec:
    """A run of `images` images a step."""
    size = {"vocabulary": 0, "classes": 10, **SIZES[family], **changes.pop("size", {})}
    plain: dict[str, Any] = {
        "objective": "classify", "options": PLAIN, "family": family, "size": size, "data": data(root),
        "batch_tokens": images * size["context"], "steps": 300, "warmup_steps": 20, "decay_start": 150,
        "lr_hidden": 3e-3, "lr_embedding": 3e-3, "beta2": 0.98, "weight_decay": 0.05,
    }  # fmt: skip
    return example_spec(**(plain | changes))


def json_of(path: Path) -> dict[str, Any]:
    """A file's JSON."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
