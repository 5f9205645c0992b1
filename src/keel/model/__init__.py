"""Any size. `load` gives a family with its torch half: one of its own file, else the library's by features."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from keel.model.shapes import FEATURES, VISION, Shape

# Families with a file of their own; every other name is the library's model as it is.
OWN: Mapping[str, str] = {
    "llama": "keel.model.llama", "clip-text": "keel.model.clip_text", "scale": "keel.model.scale",
    "projection": "keel.model.projection", "projector": "keel.model.projector",
    "pixel-decoder": "keel.model.pixel_decoder", "pooler": "keel.model.pooler",
    "captioner": "keel.model.captioner", "cross": "keel.model.cross", "pair-heads": "keel.model.pair_heads",
}  # fmt: skip
FAMILIES = (*FEATURES, *VISION)


def config(name: str, shape: Shape, ids: Mapping[str, int | None], head: str) -> Any:
    """The library's config of a shape under a head."""
    if name in VISION:
        return import_module("keel.model.vision").config(name, shape, head)
    return import_module("keel.model.families").config(name, shape, ids)


def load(name: str) -> Any:
    """The family called `name`: shape, params, flop, build, export."""
    if name in OWN:
        return import_module(OWN[name]).FAMILY
    if name in VISION:
        return import_module("keel.model.vision").Vision(name)
    return import_module("keel.model.text").Text(name)
