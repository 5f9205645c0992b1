"""runs/ID/retrieved.json: some captions with the images that a model finds for them, small enough for a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from keel.corpus.images.bad import Bad
from keel.corpus.images.captions import readable
from keel.corpus.images.decode import colour_of, decode
from keel.corpus.images.store import Store
from keel.evaluate.retrieved import Example, Retrieved
from keel.files import write_json

FILE, SCHEMA = "retrieved.json", "keel.retrieved/1"
MOST_PIXELS = 96


def write(folder: Path, store: Store, found: Retrieved) -> None:
    """The judge's examples with their captions and images."""
    rows = [_row(store, each) for each in found.examples]
    write_json(folder / FILE, SCHEMA, {"candidates": found.candidates, "rows": rows})


def _row(store: Store, of: Example) -> dict[str, Any]:
    images = [{"image": number, "right": right, "png": thumbnail(store, number)} for number, right in of.found]
    return {"caption": readable(store[of.number].caption or ""), "rank": of.rank, "found": images}


def thumbnail(store: Store, number: int) -> str:
    """An image as a PNG of at most 96 pixels a side, in a data URI."""
    background = colour_of(str(store.index["data"]["background"]))
    found = decode(store.data(number), background, str(number), str(number))
    assert not isinstance(found, Bad), "a stored image decodes"
    small = found.image.convert("RGB")
    small.thumbnail((MOST_PIXELS, MOST_PIXELS))
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
