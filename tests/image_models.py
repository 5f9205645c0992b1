"""Tiny models of images in folders as runs leave them; a CLIP whose towers know three colours; plain pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pictures import encoded
from PIL import Image

from keel import model
from keel.corpus.images.augment import Settings
from keel.corpus.tokenizer import load, train, with_special
from keel.corpus.vocabulary import Vocabulary, vocabulary_of
from keel.files import write_json
from keel.model import clip, pair
from keel.model.scale import BEGINS, Scale
from keel.model.shapes import Size
from keel.run import picture_files
from keel.run.parts import ids_of

SIDE, CONTEXT = 8, 16
STAGED = {"resnet": 32, "resnet-basic": 32, "convnext": 32}  # no smaller image has a state left
FP32 = {"body": "fp32", "head": "fp32"}
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SAID = "a photo of a {}."
TOKENIZER = train([SAID.format(name) for name in COLOURS] * 30, 280)
SETTINGS = Settings(size=SIDE, background="#204060")


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """A PNG of one colour."""
    return encoded(Image.new("RGB", size, colour))


def size_of(family: str, classes: int = 0) -> Size:
    """The smallest of a family."""
    if family in STAGED:
        return Size(width=8, layers=4, vocabulary=0, context=1, head_width=0, patch=32, classes=classes)
    wide = 8 if family == "clip-vision" else 0
    return Size(
        width=8, layers=2, vocabulary=0, context=4, head_width=4, patch=4, classes=classes, embedding_width=wide
    )


def trunk_of(family: str, head: str = "body", classes: int = 0, seed: int = 1) -> Any:
    """A trunk whose weights are far from those of a fresh one, so that states differ."""
    kind = model.load(family)
    made = kind.build(kind.shape(size_of(family, classes)), FP32, seed, None, head)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return made


def saved(family: str, folder: Path, head: str = "body", classes: int = 0) -> Any:
    """A model of images alone in `folder`, and its trunk."""
    made = trunk_of(family, head, classes)
    model.load(family).export(made, folder)
    settings = SETTINGS._replace(size=STAGED.get(family, SIDE))
    picture_files.write(folder, settings, [str(number) for number in range(classes)])
    return made


def vocabulary() -> Vocabulary:
    """Of captions: theirs, and a start."""
    return vocabulary_of(TOKENIZER).with_special(("start",))


def towers() -> tuple[Any, Any]:
    """Fresh towers of images and of texts with one width."""
    known, kind = vocabulary(), model.load("clip-text")
    size = Size(width=8, layers=1, vocabulary=known.size, context=CONTEXT, head_width=4)
    return trunk_of("clip-vision", "joint"), kind.build(kind.shape(size), FP32, 2, ids_of(known), "joint")


def saved_pair(folder: Path, scale: str = "softmax", knowing: bool = False) -> Any:
    """CLIP in one folder, or (of a scale with a bias) the towers apart; `knowing`: they tell the three colours."""
    image, text = towers()
    made = Scale(BEGINS[scale])
    if knowing:
        know(image.library, text.library)
    (clip.export if made.logit_bias is None else pair.export)(image, text, made, folder)
    picture_files.write(folder, SETTINGS, ())
    (folder / "tokenizer.json").write_text(with_special(TOKENIZER, vocabulary().special), encoding="utf-8")
    return image, text


@torch.no_grad()
def know(image: Any, text: Any) -> None:
    """Both towers add what they see to an empty state and nothing else: mean red, green, blue; the colours' names."""
    for library in (image, text):
        for name, weight in library.named_parameters():
            owner = name.rpartition(".")[0]
            ones = "norm" in owner and name.endswith("weight")
            weight.fill_(1.0 if ones else 0.0)
        for name, layer in library.named_modules():
            if name.endswith(("v_proj", "out_proj", "projection")):
                layer.weight.copy_(torch.eye(*layer.weight.shape))
    patches = next(weight for name, weight in image.named_parameters() if "patch_embedding" in name)
    for channel in range(3):
        patches[channel, channel] = 1 / patches.shape[-1] ** 2
    table = next(weight for name, weight in text.named_parameters() if "token_embedding" in name)
    tokenizer = load(TOKENIZER)
    told = {name: set(tokenizer.encode(SAID.format(name)).ids) for name in COLOURS}
    for place, (name, ids) in enumerate(told.items()):
        for token in ids - set.union(*(other for each, other in told.items() if each != name)):
            table[token, :3] = -1.0
            table[token, place] = 2.0


def run_of(folder: Path, name: str, family: str, params: int, **options: Any) -> dict[str, Any]:
    """What a run leaves beside its model, and its experiment in a plan."""
    run = folder / "runs" / name
    write_json(run / "result.json", "keel.result/1", {"params": {"total": params}, "tokens": 100, "spec_sha256": name})
    write_json(run / "spec.json", "keel.spec/1", {"family": family, "size": {"context": 4}, "options": options})
    spec = {"objective": "clip", "options": options, "family": family, "start": {"kind": "scratch"}}
    return {"id": name, "kind": "branch", "trunk": None, "spec": spec, "factors": {}, "baseline": None}


def noisy(seed: int, colour: tuple[int, int, int], size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """A PNG near one colour, unlike that of another seed."""
    rng = np.random.default_rng(seed)
    values = np.clip(np.array(colour) + rng.integers(-40, 41, (size[1], size[0], 3)), 0, 255)
    return encoded(Image.fromarray(values.astype(np.uint8)))
