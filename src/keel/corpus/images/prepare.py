"""The store that a run's `data` names, made from the study's images where it is not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.corpus.images import look
from keel.corpus.images.caption_tokens import FILE
from keel.corpus.images.items import ImageSource
from keel.corpus.images.named import identity_of
from keel.corpus.images.store import TOKENIZER, open_store, write
from keel.corpus.tokenizer import truncate
from keel.errors import StudyError
from keel.files import digest, read_json, sha256_file, write_text

EVIDENCE = "evidence/images.json"


def prepare(study_folder: Path, source: ImageSource, data: Mapping[str, Any]) -> Path:
    """The folder of the store.

    Raises:
        StudyError: the images, the split or the captions' tokenizer are not those that were planned with.
    """
    seen = read_json(study_folder / EVIDENCE, look.SCHEMA)
    if data.get("images_sha256") != identity_of(seen):
        raise StudyError("the plan is of other images", why="evidence/images.json has changed since",
                         fix="run `keel plan` again: finished runs keep their identity", where=EVIDENCE)  # fmt: skip
    wanted = {name: data[name] for name in ("images_sha256", "vocabulary", "tokenizer_sha256") if name in data}
    folder = study_folder / "runs" / f".images-{digest(wanted)[:8]}"
    if (folder / "index.json").exists():
        open_store(folder)
        return folder
    if "tokenizer_sha256" in data:
        write_text(folder / TOKENIZER, _tokenizer_json(study_folder / FILE, data))
    write(folder, source, seen)
    return folder


def _tokenizer_json(path: Path, data: Mapping[str, Any]) -> str:
    if not path.exists() or sha256_file(path) != data["tokenizer_sha256"]:
        raise StudyError("the tokenizer of the captions was edited", why="its sha256 is not the planned one",
                         fix="run `keel look` and `keel plan` again", where=str(path))  # fmt: skip
    return truncate(path.read_text(encoding="utf-8"), int(data["vocabulary"]))
