"""How a spec names the images that a run reads: by digests alone, from images.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.files import digest


def identity_of(seen: Mapping[str, Any]) -> str:
    """The digest of what a store holds: the images, the split, and what [data] says of them; `seen` is images.json."""
    return digest([seen["data_sha256"], seen["split"], seen["data"]])


def named(seen: Mapping[str, Any]) -> dict[str, Any]:
    """What a spec's `data` says of images; `seen` is images.json. Captions add `vocabulary` and `tokenizer_sha256`.

    Example:
        >>> sorted(named({"data_sha256": "1a", "split": {}, "data": {}}))
        ['data_sha256', 'images_sha256']
    """
    return {"data_sha256": seen["data_sha256"], "images_sha256": identity_of(seen)}
