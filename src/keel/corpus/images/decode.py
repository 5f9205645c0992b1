"""Bytes of an image file in, RGB of 8 bits out; what cannot be decoded soundly is refused, what was changed is said."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from keel.corpus.images.bad import Bad

if TYPE_CHECKING:
    from PIL.Image import Image

# Formats that Pillow decodes itself; others start helper programs (EPS), or are too seldom data to be trusted.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
ENDINGS: Mapping[str, str] = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".gif": "GIF", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
    ".webp": "WEBP", ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM",
}  # fmt: skip
# A phone's JPEG may hold a second picture (a preview, a depth map): Pillow calls the whole MPO.
SAME: Mapping[str, str] = {"MPO": "JPEG"}
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a gibibyte of RGB
NAMED: Mapping[str, tuple[int, int, int]] = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128)}
ORIENTATION, TURNED = 0x0112, range(2, 9)
SIXTEEN = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
# Pillow opens whole numbers of 16 bits of these formats in a mode of 32.
WIDE = frozenset({"PNG", "PPM"})


class Decoded(NamedTuple):
    """An RGB image, what its file was, and what was done to it (`notes`). `alpha`: something shows through."""

    image: Image
    format: str
    mode: str
    alpha: bool
    notes: tuple[str, ...]


def colour_of(name: str) -> tuple[int, int, int]:
    """Red, green and blue of a background as [data] names it.

    Example:
        >>> colour_of("white"), colour_of("#e0e000")
        ((255, 255, 255), (224, 224, 0))
    """
    if name in NAMED:
        return NAMED[name]
    red, green, blue = bytes.fromhex(name.removeprefix("#"))
    return red, green, blue


def decode(data: bytes, background: tuple[int, int, int] = NAMED["white"], name: str = "", where: str = "") -> (
    Decoded | Bad
):  # fmt: skip
    """The first frame, upright, composited on `background`; the ending of `name` is held against the content.

    Example:
        >>> decode(b"").what
        'the file is empty'
    """
    found, said = _opened(data, background, name, where, whole=True)
    if found is None or isinstance(found, Bad):
        assert found is not None, "an image was not decoded"
        return found
    return found._replace(notes=(*found.notes, *(f"Pillow warns: {words}" for words in said)))


def glimpse(data: bytes, where: str = "") -> Bad | None:
    """What the header alone tells to be wrong: no image, too large; damage behind it is found by `decode`.

    Example:
        >>> glimpse(b"<html>").what
        'the file is no image that is known'
    """
    found, _ = _opened(data, NAMED["white"], "", where, whole=False)
    return found if isinstance(found, Bad) else None


def _opened(
    data: bytes, background: tuple[int, int, int], name: str, where: str, *, whole: bool
) -> tuple[Decoded | Bad | None, list[str]]:
    """The image, None where only its header is asked for, or what is wrong; and what the library warned of."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        return Bad("the file is empty", "it has no bytes", where), []
    found: Decoded | Bad | None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                found = _large(opened, where)
                if found is None and whole:
                    found = _decoded(opened, background, name, where)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            found = Bad("the image is too large to be trusted", str(error)[:200], where)
        except UnidentifiedImageError:
            found = Bad("the file is no image that is known", _start(data), where)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file may raise almost anything from within the library
            found = Bad("the image is truncated or damaged", f"{type(error).__name__}: {error}"[:200], where)
    return found, [str(item.message)[:160] for item in said]


def _large(opened: Image, where: str) -> Bad | None:
    width, height = opened.size
    if width * height <= MAX_PIXELS:
        return None
    why = f"{width} x {height} is {width * height / 1e6:.0f} megapixels, and the most is {MAX_PIXELS / 1e6:.0f}"
    return Bad("the image is too large to be trusted", why, where)


def _start(data: bytes) -> str:
    return f"it begins with {data[:8].hex(' ')}; known formats: {', '.join(FORMATS)}"


def _decoded(opened: Image, background: tuple[int, int, int], name: str, where: str) -> Decoded | Bad:
    from PIL import Image

    kind, mode, notes = SAME.get(opened.format or "", opened.format or ""), opened.mode, list[str]()
    notes += _misnamed(name, kind)
    if getattr(opened, "is_animated", False):
        notes.append("several frames: the first is taken")
    if _deep(opened):
        notes.append("16 bits a channel: read as 8")
    opened.load()
    turn = _orientation(opened, notes)
    plain = _eight_bits(opened, kind, notes)
    if plain is None:
        return Bad(
            f"mode {mode} has no known white", "its numbers are of 32 bits, and nothing says which is white", where
        )
    if mode not in ("RGB", "L", "1", "P", "LA", "PA", "RGBA", *SIXTEEN) and plain.mode == mode:
        notes.append(f"{mode} turned into RGB without a colour profile")
    image = plain.convert("RGB")
    alpha = False
    if plain.has_transparency_data:
        over = plain.convert("RGBA")
        mask = over.getchannel("A")
        alpha = mask.histogram()[255] < mask.width * mask.height
        image = Image.new("RGB", over.size, background)
        image.paste(over, mask=mask)
    return Decoded(_upright(image, turn), kind, mode, alpha, tuple(notes))


def _misnamed(name: str, kind: str) -> list[str]:
    """A file whose ending is of another format is read by its content, and said."""
    lower = name.lower()
    claimed = next((format for ending, format in ENDINGS.items() if lower.endswith(ending)), "")
    ending = lower[lower.rfind(".") :]
    return [f"named {ending}, and is {kind}"] if claimed and claimed != kind else []


def _deep(opened: Image) -> bool:
    """Whether channels of 16 bits are cut to 8 while the file is decoded."""
    return opened.mode not in SIXTEEN and any("16" in str(tile[3]) for tile in getattr(opened, "tile", ()))


def _eight_bits(image: Image, kind: str, notes: list[str]) -> Image | None:
    """Grey of 16 bits as grey of 8, v / 257 rounded; other modes as they are; None where white is unknown."""
    from PIL import Image

    if image.mode == "F" or (image.mode == "I" and kind not in WIDE):
        return None
    if image.mode not in SIXTEEN and image.mode != "I":
        return image
    values = np.asarray(image).astype(np.float32)
    if "16 bits a channel: read as 8" not in notes:
        notes.append("16 bits a channel: read as 8")
    return Image.fromarray(np.clip(np.rint(values / np.float32(257.0)), 0, 255).astype(np.uint8))


def _orientation(image: Image, notes: list[str]) -> int:
    """How EXIF says that the camera was held: 1 is upright."""
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception as error:  # the picture is sound where its EXIF is not
        notes.append(f"its EXIF cannot be read ({type(error).__name__}): taken as upright")
        return 1
    if turn in TURNED:
        notes.append("turned upright as its EXIF says")
        return int(turn)
    return 1


def _upright(image: Image, turn: int) -> Image:
    """Reference: EXIF 2.3 (CIPA DC-008), tag 0x0112."""
    from PIL.Image import Transpose

    ways = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    return image.transpose(ways[turn]) if turn in ways else image
