"""One pass over the images of a study: every one hashed, a fair sample decoded (all of them where they are few)."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from keel.corpus.images.bad import Bad, Tally
from keel.corpus.images.captions import SAMPLE, Captions
from keel.corpus.images.decode import Decoded, colour_of, decode
from keel.corpus.images.hashes import Print, print_of
from keel.corpus.images.items import ImageSource, Item, told
from keel.corpus.readers import Document
from keel.corpus.split import MOST_UNITS, Units
from keel.progress import Progress

SAMPLE_IMAGES, SAMPLE_PIXELS = SAMPLE, 20e9


@dataclass
class Sample:
    """Images that were decoded, by their place among those that count."""

    places: array[int] = field(default_factory=lambda: array("q"))
    widths: array[int] = field(default_factory=lambda: array("q"))
    heights: array[int] = field(default_factory=lambda: array("q"))
    alphas: array[int] = field(default_factory=lambda: array("b"))
    prints: list[Print] = field(default_factory=list)
    kinds: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, ...]] = field(default_factory=list)
    moments: list[np.ndarray] = field(default_factory=list)
    captions: list[str | None] = field(default_factory=list)
    pixels: float = 0.0

    def add(self, place: int, found: Decoded, caption: str | None) -> None:
        """Note what was decoded."""
        width, height = found.image.size
        self.places.append(place)
        self.widths.append(width)
        self.heights.append(height)
        self.alphas.append(found.alpha)
        self.prints.append(print_of(found.image))
        self.kinds.append((found.format, found.mode))
        self.notes.append(found.notes)
        self.moments.append(moments(found))
        self.captions.append(caption)
        self.pixels += width * height

    def kept(self, keep: np.ndarray) -> Sample:
        """The sample of those that `keep` marks."""
        sample = Sample(pixels=0.0)
        for name in ("places", "widths", "heights", "alphas"):
            values = getattr(self, name)
            setattr(sample, name, array(values.typecode, [value for value, kept in zip(values, keep) if kept]))
        for name in ("prints", "kinds", "notes", "moments", "captions"):
            setattr(sample, name, [value for value, kept in zip(getattr(self, name), keep) if kept])
        sample.pixels = float(np.dot(np.asarray(sample.widths, float), np.asarray(sample.heights, float)))
        return sample


@dataclass
class Survey:
    """What was seen of the images that count: those that decode, and in a study of pairs have a caption."""

    images: int = 0
    bytes: int = 0
    decoded: int = 0
    keep: float = 1.0
    sizes: array[int] = field(default_factory=lambda: array("q"))
    units: Units = field(default_factory=Units)
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    wholes: array[int] = field(default_factory=lambda: array("Q"))
    labels: dict[str, int] = field(default_factory=dict)
    classes: Counter[str] = field(default_factory=Counter)
    codes: array[int] = field(default_factory=lambda: array("i"))
    unlabelled: int = 0
    first_unlabelled: list[str] = field(default_factory=list)
    captions: Captions = field(default_factory=Captions)
    broken: Tally = field(default_factory=Tally)
    sample: Sample = field(default_factory=Sample)
    identity: str = ""

    @property
    def scale(self) -> float:
        """How many times more images there are than `units` hold."""
        return self.images / max(1, len(self.sizes))


def moments(found: Decoded) -> np.ndarray:
    """Means of v and of v^2 by channel, v in [0, 1], shape (2, 3); exact, from the histogram.

    Example:
        >>> from PIL import Image
        >>> moments(Decoded(Image.new("RGB", (2, 2), (255, 0, 51)), "", "", False, ()))[0].round(3).tolist()
        [1.0, 0.0, 0.2]
    """
    counts = np.asarray(found.image.histogram(), dtype=np.float64).reshape(3, 256)
    values = np.arange(256) / 255.0
    return np.asarray(np.stack([counts @ values, counts @ values**2]) / counts[0].sum())


def survey(source: ImageSource) -> Survey:
    """Look at every image once; above 20,000 images or 20 gigapixels a fair sample of them is decoded."""
    seen, rng = Survey(), np.random.Generator(np.random.Philox(key=[0, 1]))
    total = sum(path.stat().st_size for path in source.found.files)
    progress, background, read = Progress("survey", total), colour_of(source.data.background), 0
    identity = hashlib.sha256()
    for item in source.items():
        data = item.read()
        if isinstance(data, Bad):
            seen.broken.add(data)
            continue
        read += len(data)
        digest = hashlib.sha256(data).digest()
        identity.update(told(item.key, digest.hex(), item.label, item.caption, item.group))
        found = decode(data, background, item.name, item.where) if rng.random() < seen.keep or not data else None
        _count(source, seen, item, digest, len(data), found)
        _thin(seen, rng)
        progress.update(read, f"{seen.images:,} images")
    progress.close(f"{seen.images:,} images")
    seen.identity = identity.hexdigest()
    seen.captions.sample = [caption for caption in seen.sample.captions if caption]
    return seen


def _count(
    source: ImageSource, seen: Survey, item: Item, digest: bytes, size: int, found: Decoded | Bad | None
) -> None:
    if isinstance(found, Bad):
        seen.broken.add(found)
        return
    if source.data.kind == "image-text" and not seen.captions.add(item.caption, item.where):
        return
    place = seen.images
    seen.images, seen.bytes = seen.images + 1, seen.bytes + size
    if item.label is None:
        seen.unlabelled += 1
        if len(seen.first_unlabelled) < 5:
            seen.first_unlabelled.append(item.where)
    else:
        seen.classes[item.label] += 1
    if place < MOST_UNITS:
        seen.sizes.append(size)
        # The split counts images, not bytes: each weighs the same.
        seen.units.add(Document(item.key, "", item.group, None), 1, timed=False)
        seen.hashes.append(int.from_bytes(digest[:8], "big"))
        caption = (item.caption or "").encode(errors="surrogatepass")
        seen.wholes.append(int.from_bytes(hashlib.sha256(digest + caption).digest()[:8], "big"))
        code = -1 if item.label is None else seen.labels.setdefault(item.label, len(seen.labels))
        seen.codes.append(code)
        if found is not None:
            seen.decoded += 1
            seen.sample.add(place, found, item.caption)


def _thin(seen: Survey, rng: np.random.Generator) -> None:
    """Keep the sample within its bounds by halving it, and the odds of later images with it: still fair."""
    while len(seen.sample.places) > 1 and (
        len(seen.sample.places) > SAMPLE_IMAGES or seen.sample.pixels > SAMPLE_PIXELS
    ):
        seen.sample = seen.sample.kept(rng.random(len(seen.sample.places)) < 0.5)
        seen.keep /= 2
