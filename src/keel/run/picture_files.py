"""What stands beside the weights of a model that sees images: how pixels are prepared, and what its classes are called.

The library's processor for CLIP does what the judge does: the shorter side to `resize`, the middle square, (v - m) / s.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keel.corpus.images.augment import Settings, evaluation
from keel.files import write_bytes

BICUBIC = 3


def write(target: Path, settings: Settings, classes: Sequence[str]) -> None:
    """preprocessor_config.json, and the names of the classes in config.json."""
    _write(target / "preprocessor_config.json", processor(settings))
    if classes:
        path = target / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config |= {"id2label": {str(number): name for number, name in enumerate(classes)},
                   "label2id": {name: number for number, name in enumerate(classes)}}  # fmt: skip
        _write(path, config)


def processor(settings: Settings) -> dict[str, Any]:
    """The preparation of a judged image in the library's words.

    Example:
        >>> processor(Settings(size=32))["crop_size"]
        {'height': 32, 'width': 32}
    """
    at = evaluation(settings)
    return {
        "image_processor_type": "CLIPImageProcessor", "do_convert_rgb": True, "do_resize": True,
        "size": {"shortest_edge": at.resize or at.size}, "resample": BICUBIC, "do_center_crop": True,
        "crop_size": {"height": at.size, "width": at.size}, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": list(at.mean), "image_std": list(at.std),
        "background": at.background,  # ours: what shows through; the library would drop what is transparent
    }  # fmt: skip


def _write(path: Path, value: dict[str, Any]) -> None:
    write_bytes(path, json.dumps(value, indent=2, sort_keys=True).encode() + b"\n")
