"""timm's and open_clip's published results: new values for the checkpoints that the catalogue's results name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from keel.catalog.refresh.candidate import Candidate
from keel.catalog.refresh.payload import cells_of, lines
from keel.catalog.store import Catalogue
from keel.catalog.tables import RESULTS

TIMM = "https://raw.githubusercontent.com/huggingface/pytorch-image-models/main/results/results-imagenet.csv"
OPEN_CLIP = "https://raw.githubusercontent.com/mlfoundations/open_clip/main/docs/openclip_results.csv"
CHECKPOINT = re.compile(r"\(([\w./-]+)\)$")


def timm(data: bytes, name: str, known: Catalogue, day: str) -> tuple[list[Candidate], list[str]]:
    """Columns model, img_size, top1; a checkpoint measured at another size is its own setting."""
    rows = lines(data, name, "model", "img_size", "top1")
    named = _named(known, "ImageNet-1k", "pytorch-image-models")
    found = [
        _candidate(like, row["top1"], re.sub(r"@\d+", f"@{row['img_size']}", like["setting"]), name, day)
        for row in rows for like in named.get(row["model"], ())
    ]  # fmt: skip
    return found, _passed(len(rows), {row["model"] for row in rows} - named.keys(), named)


def open_clip(data: bytes, name: str, known: Catalogue, day: str) -> tuple[list[Candidate], list[str]]:
    """Columns name, pretrained, ImageNet 1k (a share): the zero-shot top-1 accuracy."""
    rows = lines(data, name, "name", "pretrained", "ImageNet 1k")
    named = _named(known, "ImageNet-1k zero-shot", "open_clip")
    made, seen = [], set()
    for row in rows:
        tag = f"{row['name']}/{row['pretrained']}"
        seen.add(tag)
        percent = f"{100 * float(row['ImageNet 1k']):.6g}" if row["ImageNet 1k"] else ""
        made += [_candidate(like, percent, like["setting"], name, day) for like in named.get(tag, ()) if percent]
    return made, _passed(len(rows), seen - named.keys(), named)


def _named(known: Catalogue, dataset: str, source: str) -> Mapping[str, list[dict[str, str]]]:
    """Checkpoint -> the results that name it."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in cells_of(known, RESULTS).values():
        tag = CHECKPOINT.search(row["setting"])
        if row["dataset"] == dataset and source in row["source"] and tag:
            found.setdefault(tag[1], []).append(row)
    return found


def _candidate(like: Mapping[str, str], value: str, setting: str, name: str, day: str) -> Candidate:
    cells = dict(like) | {
        "value": value,
        "setting": setting,
        "source": f"{like['source'].split(' +')[0]}, {name}",
        "as_of": day,
    }
    return Candidate(f"{like['model_id']} on {like['dataset']}, {setting}", cells)


def _passed(rows: int, unknown: set[str], named: Mapping[str, object]) -> list[str]:
    return (
        [f"{len(unknown)} of {rows} rows are of checkpoints that no result of the catalogue names"] if unknown else []
    )
