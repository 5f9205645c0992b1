"""Real images for the benchmarks, written as the folders that a study names; nothing of them is kept here.

    pip install --no-deps --target pip animal-mnist==0.4
    npm pack emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0 cldr-annotations-full@48.2.0
    for each in *.tgz; do mkdir -p "${each%.tgz}" && tar xzf "$each" -C "${each%.tgz}"; done
    apt-get download tuxpaint-stamps-default && dpkg -x tuxpaint-stamps-default_*.deb tux

Licences: animal-mnist MIT; emoji images Apache-2.0 (Google) and CC-BY-4.0 (Twitter), names Unicode-3.0; stamps GPL-2+.
"""

from __future__ import annotations

import gzip
import importlib
import json
import pickle
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COMMANDS = __doc__.split("\n\n")[1] if __doc__ else ""
ANIMALS = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")
# All that a pickle of a numpy array needs; older ones name the module without an underscore.
ADMITTED = {
    ("numpy._core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"),
    ("numpy", "dtype"),
}  # fmt: skip
TONES = {"1F3FB": "light", "1F3FC": "medium-light", "1F3FD": "medium", "1F3FE": "medium-dark", "1F3FF": "dark"}


class Arrays(pickle.Unpickler):
    """Numpy arrays and nothing else.

    Raises:
        pickle.UnpicklingError: the file asks for anything else.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name} is no array")
        return getattr(importlib.import_module(module.replace("numpy.core", "numpy._core")), name)


def array(path: Path) -> np.ndarray:
    """The array of a gzipped pickle."""
    with gzip.open(path) as file:
        found = Arrays(file).load()
    assert isinstance(found, np.ndarray), f"{path} holds no array"
    return found


def animals(package: Path, folder: Path) -> int:
    """10,000 silhouettes of 28 x 28 in a folder of each class; the number written."""
    found = [array(path) for path in sorted(package.rglob("*.gz"))]
    images = next(each for each in found if each.ndim > 1).reshape(-1, 28, 28).astype(np.uint8)
    labels = next(each for each in found if each.ndim == 1)
    for name in ANIMALS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (pixels, label) in enumerate(zip(images, labels)):
        name = ANIMALS[int(label)] if not isinstance(label, str) else str(label)
        Image.fromarray(pixels).save(folder / name / f"{number:05d}.png")
    return len(images)


def emoji(sheets: Path, names: Path, style: str, folder: Path) -> int:
    """Emoji of one style as files with rows {image, text, group, category}: pairs.jsonl; the number written.

    `group` is the emoji without a skin tone; `text` its English name and keywords.
    """
    rows = list(_emoji(sheets, names, style))
    folder.mkdir(parents=True, exist_ok=True)
    for source, row in rows:
        shutil.copyfile(source, folder / str(row["image"]))
    lines = "".join(json.dumps(row) + "\n" for _, row in rows)
    (folder / "pairs.jsonl").write_text(lines, encoding="utf-8")
    return len(rows)


def _emoji(sheets: Path, names: Path, style: str) -> Iterator[tuple[Path, dict[str, str]]]:
    place = next(sheets.rglob(f"img/{style}/64"))
    said = _names(next(names.rglob("annotations/en/annotations.json")))
    for item in json.loads(next(sheets.rglob("emoji.json")).read_text(encoding="utf-8")):
        plain = "".join(chr(int(code, 16)) for code in item["unified"].split("-"))
        found = said.get(plain) or said.get(plain.replace("\ufe0f", ""))
        tones = {code: each for code, each in (item.get("skin_variations") or {}).items() if code in TONES}
        for code, each in {"": item, **tones}.items():
            path = place / each["image"]
            if found and path.exists():
                tone = f", {TONES[code]} skin tone" if code else ""
                yield path, {"image": path.name, "text": found + tone, "group": item["unified"],
                             "category": item["category"]}  # fmt: skip


def _names(path: Path) -> Mapping[str, str]:
    """Each emoji's name, then the keywords that are not in it."""
    rows = json.loads(path.read_text(encoding="utf-8"))["annotations"]["annotations"]
    found = {}
    for sign, row in rows.items():
        name = row["tts"][0]
        more = [word for word in row.get("default", []) if word not in name]
        found[sign] = ": ".join([name, ", ".join(more)]) if more else name
    return found


def stamps(package: Path, folder: Path) -> int:
    """Pictures of Tux Paint with the first line of their twin as caption; those without one are left out."""
    number, root = 0, next(package.rglob("stamps"))
    for path in sorted(root.rglob("*.png")):
        twin = path.with_suffix(".txt")
        lines = twin.read_text(encoding="utf-8", errors="replace").splitlines() if twin.exists() else []
        if not lines or not lines[0].strip():
            continue
        place = folder / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        place.with_suffix(".txt").write_text(lines[0].strip() + "\n", encoding="utf-8")
        number += 1
    return number
