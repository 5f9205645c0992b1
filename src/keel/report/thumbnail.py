"""Small pictures as text that stands in the page: made from image files, or taken over once they are proven to be so.

A page that loads nothing can hold a picture only as a data URI; another kind than PNG or JPEG is refused.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import TYPE_CHECKING

from keel.report.markup import esc

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE_PX, QUALITY = 96, 82
SHOWN_PX = 72
MOST_CHARACTERS = 64_000
PATTERN = re.compile(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/]+={0,2})")
STARTS = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}


def uri_of(image: Image) -> str:
    """An RGB image, at most 96 pixels a side, as the shorter of a PNG and a JPEG.

    Example:
        >>> from PIL import Image
        >>> uri_of(Image.new("RGB", (400, 200)))[:22]
        'data:image/png;base64,'
    """
    from PIL.Image import Resampling

    small = image.copy()
    small.thumbnail((SIDE_PX, SIDE_PX), Resampling.LANCZOS)
    made = {}
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": QUALITY})):
        buffer = io.BytesIO()
        small.save(buffer, kind, **options)
        made[kind] = buffer.getvalue()
    kind = min(made, key=lambda name: len(made[name]))
    return f"data:image/{kind};base64,{base64.b64encode(made[kind]).decode()}"


def is_picture(uri: object) -> bool:
    """Whether a text is a small PNG or JPEG by its name and by its first bytes, and nothing besides.

    Example:
        >>> is_picture("data:image/svg+xml;base64,PHN2Zz4="), is_picture("data:image/png;base64,iVBORw0KGgo=")
        (False, True)
    """
    found = PATTERN.fullmatch(uri) if isinstance(uri, str) and len(uri) <= MOST_CHARACTERS else None
    if found is None:
        return False
    try:
        return base64.b64decode(found[2], validate=True).startswith(STARTS[found[1]])
    except binascii.Error:
        return False


def picture(uri: str, alt: str, side_px: int = SHOWN_PX) -> str:
    """Markup of a picture of our own, or of one that `is_picture`."""
    assert is_picture(uri), "no text from outside becomes an address"
    return f'<img src="{uri}" alt="{esc(alt)}" width="{side_px}" height="{side_px}">'
