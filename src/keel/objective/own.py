"""The user's own loss, module:Name, and other things that lie beside a study: where they are found, and digests, which
are part of a run's identity."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keel import objective
from keel.errors import StudyError
from keel.files import digest, sha256_file


def find_in(folder: Path) -> None:
    """Let a module that lies in a study's folder be found before any other of its name."""
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.insert(0, place)


def beside(name: str) -> Path:
    """A folder as a study names it: by its whole path, or from the folder in which its own modules are found.

    Example:
        >>> beside("/models/minilm").as_posix(), beside("no-such-folder").as_posix()
        ('/models/minilm', 'no-such-folder')
    """
    places = [Path(place) / name for place in sys.path if place]
    return next((place for place in places if place.is_dir()), Path(name))


def code_sha256(loss: str, options: Mapping[str, Any]) -> str:
    """Digest of the files of the user's own losses, this one and those that it holds; "" where all are keel's.

    Raises:
        StudyError: one cannot be loaded, or lies in no file.

    Example:
        >>> code_sha256("mlm", {})
        ''
    """
    names = sorted({name for name in (loss, *_held(options)) if name not in objective.OBJECTIVES})
    return digest([_file_sha256(name) for name in names]) if names else ""


def check_code(loss: str, options: Mapping[str, Any], planned: str, where: str) -> None:
    """The code is the one that was planned with; nothing to hold it against where no plan recorded any.

    Raises:
        StudyError: it was edited since.
    """
    if planned and code_sha256(loss, options) != planned:
        raise StudyError(f"the code of '{loss}' has changed", why="its file is not the one that was planned with",
                         fix="run `keel plan` again: earlier runs keep their identity", where=where)  # fmt: skip


def _held(options: Mapping[str, Any]) -> Iterator[str]:
    """Losses that a mixture or a distillation holds, however deep."""
    for name, value in options.items():
        if name == "loss" and isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _held(value)


def _file_sha256(name: str) -> str:
    file = getattr(sys.modules[objective.kind(name).__module__], "__file__", None)
    if file is None:
        raise StudyError(f"loss '{name}' lies in no file", why="its code is part of what a run is", where="train.loss",
                         fix="write it into a file beside study.toml")  # fmt: skip
    return sha256_file(Path(file))
