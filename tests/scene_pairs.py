"""A study of generated scenes with their captions: looked at, stored, and a spec that trains on them in a moment."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, NamedTuple

from helpers import FAKE_MACHINE

from keel.corpus import scene_pictures, scenes
from keel.corpus.images import named, prepare
from keel.corpus.images.items import open_images
from keel.corpus.images.look import SCHEMA, measured
from keel.corpus.images.store import Store
from keel.corpus.store import open_corpus
from keel.files import read_json, write_json, write_text
from keel.objective.base import Objective, Sample
from keel.plan.spec import Spec, example_spec
from keel.run import heldout
from keel.run.finish import finish
from keel.run.pictures import Want
from keel.run.train import Place, Trained, train
from keel.study import Study

SIDE, PATCH, PATCHES = 36, 12, 9
SCENES = scenes.Options(most_objects=1, side=SIDE)
STUDY = '[data]\ntrain = "scenes"\nimage = "file"\ntext = "twin"\n'
TREE = {"data": {"train": "scenes", "image": "file", "text": "twin"}}
ROOM = 12  # no caption of these has more than ten tokens
PAIRS, STEPS, NUMBER = 16, 40, 300
FAST: dict[str, Any] = {"steps": STEPS, "warmup_steps": 4, "decay_start": 32, "lr_hidden": 4e-3, "lr_embedding": 2e-2}


class Made(NamedTuple):
    """A run to its end."""

    spec: Spec
    folder: Path
    trained: Trained
    result: dict[str, Any]


def write(root: Path, number: int, seed: int = 0) -> Path:
    """Scenes of one thing each under `root`, and their evidence, as `keel look` leaves it."""
    study = Study.model_validate(TREE)
    with contextlib.redirect_stderr(io.StringIO()):
        scene_pictures.write(root / "scenes", number, seed, SCENES)
        found, tokenizer_json = measured(open_images(root, study.data), study)
    assert tokenizer_json is not None
    write_text(root / "study.toml", STUDY)
    write_text(root / "evidence/tokenizer.json", tokenizer_json)
    write_json(root / "evidence/images.json", SCHEMA, found)
    write_json(root / "evidence/machine.json", "keel.machine/1", FAKE_MACHINE)
    return root


def seen(root: Path) -> dict[str, Any]:
    """images.json."""
    return read_json(root / "evidence/images.json", SCHEMA)


def data(root: Path) -> dict[str, Any]:
    """What a spec says of them, at the largest vocabulary."""
    found = seen(root)
    of = found["tokenizer"]
    return named.named(found) | {"vocabulary": of["vocabulary"], "tokenizer_sha256": of["sha256"]}


def stored(root: Path) -> Store:
    """The store that a run of this study opens."""
    with contextlib.redirect_stderr(io.StringIO()):
        found = open_corpus(prepare.prepare(root, open_images(root, Study.model_validate(TREE).data), data(root)))
    assert isinstance(found, Store)
    return found


def spec_of(root: Path, pairs: int, *, width: int = 16, layers: int = 1, **changes: Any) -> Spec:
    """A run of `pairs` pairs a step."""
    size = {"width": width, "layers": layers, "vocabulary": data(root)["vocabulary"] + 1, "context": PATCHES,
            "head_width": 8, "embedding_width": width, "patch": PATCH}  # fmt: skip
    plain = {"objective": "clip", "options": {"text_context": ROOM}, "family": "clip-vision", "size": size,
             "data": data(root), "batch_tokens": pairs * PATCHES}  # fmt: skip
    return example_spec(**(plain | changes))


def finished(root: Path, store: Store, loss: str, folder: Path) -> Made:
    """A short run of a loss, judged and exported."""
    spec = spec_of(root, PAIRS, objective=loss, **FAST)
    trained = train(spec, Place(folder=folder), store, STEPS, set(), lambda _: None, lambda: False)
    return Made(spec, folder, trained, finish(spec, folder, store, trained))


def questions(loss: Objective, store: Store, most: int = 0) -> list[Sample]:
    """The held-out pairs as a judge reads them, the first `most` by digest where it is given."""
    return list(heldout.samples_of(loss, store, Want(PATCHES, SIDE), most))
