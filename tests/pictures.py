"""Pictures made on the spot: shapes of a colour on a ground, their files, and files that are wrong in one way each."""

from __future__ import annotations

import io
import random
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from keel.corpus.images.items import ImageSource, open_images
from keel.corpus.images.look import measure_images
from keel.study import Data, Study


def scene(seed: int, size: int = 32) -> Image.Image:
    """Discs and boxes of random colours, unlike those of another seed."""
    rng = random.Random(seed)
    image = Image.new("RGB", (size, size), tuple(rng.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y, r = rng.randrange(size), rng.randrange(size), rng.randrange(size // 8, size // 3)
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x - r, y - r, x + r, y + r), fill=tuple(rng.randrange(256) for _ in range(3)))
    return image


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """The bytes of a file of that format."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def folder_of(root: Path, classes: dict[str, int], captions: bool = False) -> Path:
    """A folder per class, each with so many PNG files; captions as twins."""
    number = 0
    for name, count in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            path = root / name / f"{number:03d}.png"
            path.write_bytes(encoded(scene(number)))
            if captions:
                path.with_suffix(".txt").write_text(f"scene number {number} of the {name}\n")
            number += 1
    return root


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, with hardly any content."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def sixteen(size: int = 8) -> Image.Image:
    """Grey of 16 bits: 0 at the first pixel, white at the last."""
    return Image.fromarray(np.linspace(0, 65535, size * size).round().astype(np.uint16).reshape(size, size))


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    """A tar of members by name, whatever the name."""
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def opened(root: Path, train: str = "data", **data: Any) -> ImageSource:
    """The images of `root`/`train`."""
    return open_images(root, Data.model_validate({"train": train, "image": "file"} | data))


def looked(root: Path, train: str = "data", **data: Any) -> dict[str, Any]:
    """What `keel look` measures of them."""
    study = Study.model_validate({"data": {"train": train, "image": "file"} | data})
    return measure_images(open_images(root, study.data), study)


def whats(found: dict[str, Any]) -> str:
    """Everything that is said aloud, in one text."""
    return "\n".join(f"{item['what']}: {item['why']}" for item in found["problems"])
