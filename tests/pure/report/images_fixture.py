"""A study of captioned scenes as far as `keel look` and the files of runs, for tests of the report."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

from keel.corpus.images.items import open_images
from keel.corpus.images.look import measure_images
from keel.corpus.scene_pictures import picture, write
from keel.corpus.scenes import Options
from keel.files import write_json
from keel.study import load

ONE = Options(most_objects=1, side=36)
STUDY = """[data]
train = "scenes"
image = "file"
{field}
[[use_case]]
name = "see"
task = "{task}"
"""


def classes(root: Path, number: int = 40) -> Path:
    """Scenes in a folder a shape, looked at."""
    write(root / "scenes", number, 5, ONE, "shape")
    return _looked(root, 'label = "folder"', "image-classification")


def pairs(root: Path, number: int = 30) -> Path:
    """Scenes with a caption each, looked at."""
    write(root / "scenes", number, 5, ONE)
    return _looked(root, 'text = "twin"', "image-text-retrieval")


def _looked(root: Path, field: str, task: str) -> Path:
    (root / "study.toml").write_text(STUDY.format(field=field, task=task))
    study = load(root)
    write_json(root / "evidence/images.json", "keel.images/1", measure_images(open_images(root, study.data), study))
    return root


def png(number: int = 0) -> str:
    """A scene as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(picture(5, number, ONE)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def run(root: Path, name: str, judge: str, params: float, **result: Any) -> Path:
    """A finished run of so many parameters."""
    folder = root / "runs" / name
    write_json(folder / "result.json", "keel.result/1", {
        "id": name, "kind": "single", "family": "vit", "objective": "classify", "judge": judge, judge: 1.25,
        "params": {"total": params}, "tokens": 1000 * params, "flop": 6e3 * params**2, "ok": True, "gate": None,
        **result,
    })  # fmt: skip
    return folder


def retrieved(run_folder: Path, rank: float, right: int, caption: str = "a small red circle on white") -> None:
    """What a run retrieved for one caption: the right image at place `right`, or (-1) nowhere."""
    found = [{"image": place, "right": place == right, "png": png(place)} for place in range(5)]
    rows = [{"caption": caption, "rank": rank, "found": found}]
    write_json(run_folder / "retrieved.json", "keel.retrieved/1", {"candidates": 400, "rows": rows})
