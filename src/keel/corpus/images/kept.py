"""Images of a store decoded once, as long as they fit: small ones are dearer to decode than to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keel.corpus.images.bad import Bad
from keel.corpus.images.decode import colour_of, decode
from keel.corpus.images.store import Store

if TYPE_CHECKING:
    from PIL.Image import Image

# In each process that makes views: 21,000 images of 32 x 32 pixels, or 85 of 512 x 512, which then hardly matter.
KEPT_BYTES = 64 << 20


class Kept:
    """Decoded images by number; those that come when 64 MB of pixels are there are decoded each time."""

    def __init__(self, store: Store, background: str) -> None:
        self.store, self.background = store, colour_of(background)
        self.images: dict[int, Image] = {}
        self.left_bytes = KEPT_BYTES

    def image(self, number: int) -> Image | Bad:
        """The image, upright and on its background; what cannot be decoded is given back."""
        if (kept := self.images.get(number)) is not None:
            return kept
        found = decode(self.store.data(number), self.background)
        if isinstance(found, Bad):
            return found
        size = 3 * found.image.width * found.image.height
        if size <= self.left_bytes:
            self.images[number], self.left_bytes = found.image, self.left_bytes - size
        return found.image
