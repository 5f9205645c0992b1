"""The released base that a study names: where it lies, and whether its evidence is of it. Light: a plan reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keel.catalog.rows import Model
from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.study import Study

BASE, TOKENIZER = "evidence/base.json", "evidence/base-tokenizer.json"
SCHEMA = "keel.base/1"


def named(study: Study, known: Catalogue | None = None) -> bool:
    """Whether the study names a folder of weights to start from; a model's id names no folder."""
    name = study.start.start_from
    return name not in ("auto", "scratch") and model_of(known or Catalogue(), name) is None


def model_of(known: Catalogue, name: str) -> Model | None:
    """The catalogue's model of that id or hub id."""
    return known.models.get(name) or next((model for model in known.models.values() if model.hub_id == name), None)


def check(study_folder: Path, study: Study, base: dict[str, Any] | None) -> None:
    """Evidence is of the base that the study names.

    Raises:
        StudyError: it is of another folder.
    """
    if base is not None and base["folder"] != str(folder_of(study_folder, study).resolve()):
        raise StudyError("evidence/base.json is of another base", why=f"it was measured in {base['folder']}",
                         fix="run `keel look` again", where=BASE)  # fmt: skip


def show(base: dict[str, Any]) -> str:
    """The base in the lines of `keel look`."""
    lossy = "" if base["kept"] == 1 else f"; it gives back {100 * base['kept']:.0f} % of the texts as they were"
    return (
        f"base       {base['name']}: {base['family']}, {base['params'] / 1e6:.3g}M parameters without a head, "
        f"{base['bytes_per_token']:.2f} bytes a token of its {base['tokenizer']['vocabulary']}{lossy}"
    )


def folder_of(study_folder: Path, study: Study) -> Path:
    """The folder of the base.

    Raises:
        StudyError: it is not there.
    """
    path = study_folder / Path(study.start.start_from).expanduser()
    if not path.is_dir():
        raise StudyError(
            f"[start] from = '{study.start.start_from}' is no folder here", where="study.toml",
            why="weights are read from a folder; nothing is downloaded unasked",
            fix="download the release and name its folder, or write from = \"auto\"",
        )  # fmt: skip
    return path
