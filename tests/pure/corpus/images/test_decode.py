from __future__ import annotations

import numpy as np
import pytest
from pictures import encoded, png_header, scene, sixteen
from PIL import Image

from keel.corpus.images.bad import Bad
from keel.corpus.images.decode import Decoded, decode


def good(data: bytes, **given: object) -> Decoded:
    found = decode(data, **given)  # type: ignore[arg-type]
    assert isinstance(found, Decoded), found
    assert found.image.mode == "RGB"
    return found


def bad(data: bytes) -> Bad:
    found = decode(data, where="here")
    assert isinstance(found, Bad), found
    assert found.where == "here"
    return found


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_back_every_pixel(format: str) -> None:
    image = scene(1)
    found = good(encoded(image, format))
    assert found.image.tobytes() == image.tobytes()
    assert (found.format, found.notes, found.alpha) == (format, (), False)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_what_is_cut_short_is_refused(format: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    data = encoded(noise, format)
    assert bad(data[: int(share * len(data))]).what in (
        "the image is truncated or damaged", "the file is no image that is known")  # fmt: skip


def test_zero_bytes_and_text_are_refused() -> None:
    assert bad(b"").what == "the file is empty"
    assert "68 65 6c 6c" in bad(b"hello, no image").why


@pytest.mark.parametrize(("width", "height", "pixels"), [(30_000, 20_000, "600000000"), (12_000, 10_000, "120000000")])
def test_a_bomb_is_refused_by_its_header(width: int, height: int, pixels: str) -> None:
    found = bad(png_header(width, height))
    assert found.what == "the image is too large to be trusted"
    assert pixels in found.why


def test_cmyk_is_turned_and_said() -> None:
    found = good(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))
    assert found.image.getpixel((0, 0)) == (255, 0, 0)
    assert found.mode == "CMYK"
    assert "without a colour profile" in found.notes[0]


def test_palette_grey_and_one_bit() -> None:
    red = Image.new("RGB", (8, 8), (250, 0, 0))
    assert good(encoded(red.quantize(4))).image.getpixel((3, 3)) == (250, 0, 0)
    assert good(encoded(Image.new("L", (8, 8), 77))).image.getpixel((3, 3)) == (77, 77, 77)
    assert good(encoded(Image.new("1", (8, 8), 1))).image.getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_keep_their_range(format: str) -> None:
    found = good(encoded(sixteen(), format))
    grey = np.asarray(found.image)[..., 0].ravel()
    # 65535 / 257 = 255: not clipped at 255, as a plain conversion would.
    assert grey.tolist() == np.rint(np.linspace(0, 255, 64)).astype(int).tolist()
    assert "16 bits a channel: read as 8" in found.notes


def test_numbers_without_a_white_are_refused() -> None:
    assert "no known white" in bad(encoded(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF")).what
    assert "no known white" in bad(encoded(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF")).what


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_the_background(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (10, 10, 10, 255))
    image.putpixel((0, 0), (200, 0, 0, 0))
    found = good(encoded(image.convert(mode)), background=(1, 2, 3))
    assert found.alpha
    assert found.image.getpixel((0, 0)) == (1, 2, 3)
    assert found.image.getpixel((1, 1)) == (10, 10, 10)
    assert not good(encoded(Image.new("RGBA", (4, 4), (9, 9, 9, 255)))).alpha


def test_transparency_of_a_palette_and_of_a_colour() -> None:
    image = Image.new("RGB", (4, 4), (10, 20, 30))
    assert good(encoded(image, transparency=(10, 20, 30)), background=(7, 8, 9)).image.getpixel((0, 0)) == (7, 8, 9)
    palette = image.convert("P")
    data = encoded(palette, transparency=palette.getpixel((0, 0)))
    assert good(data, background=(7, 8, 9)).image.getpixel((0, 0)) == (7, 8, 9)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first(format: str) -> None:
    first, second = Image.new("RGB", (16, 16), (255, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 255))
    options = {"lossless": True} if format == "WEBP" else {}
    found = good(encoded(first, format, save_all=True, append_images=[second], **options))
    assert found.image.getpixel((8, 8)) == (255, 0, 0)
    assert "several frames: the first is taken" in found.notes


def test_exif_turns_upright_for_every_orientation() -> None:
    upright = np.zeros((6, 9, 3), np.uint8)
    upright[0, 0], upright[0, -1] = 255, (255, 0, 0)
    # How each orientation stores an upright picture (EXIF tag 0x0112), as array operations.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1], 7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }  # fmt: skip
    for turn, values in stored.items():
        exif = Image.Exif()
        exif[0x0112] = turn
        found = good(encoded(Image.fromarray(np.ascontiguousarray(values)), "PNG", exif=exif))
        assert np.array_equal(np.asarray(found.image), upright), turn
        assert found.notes == (("turned upright as its EXIF says",) if turn > 1 else ())


def test_a_wrong_ending_is_said_and_read_by_content() -> None:
    found = good(encoded(scene(2), "PNG"), name="a/photo.JPG")
    assert found.format == "PNG"
    assert found.notes == ("named .jpg, and is PNG",)
    assert good(encoded(scene(2), "JPEG"), name="photo.jpeg").notes == ()


def test_damage_anywhere_never_raises() -> None:
    rng = np.random.default_rng(3)
    for format in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        data = np.frombuffer(encoded(scene(4), format), np.uint8)
        for _ in range(25):
            broken = data.copy()
            at = rng.integers(0, len(broken), 6)
            broken[at] = rng.integers(0, 256, 6)
            assert isinstance(decode(broken.tobytes()), (Bad, Decoded))
