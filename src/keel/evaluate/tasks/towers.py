"""A folder of a model that sees images -> its image tower, and what it has for texts.

Legend: n images, m texts, T positions, H pixels of a side, e width of the shared space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import transformers
from torch import Tensor
from torch.nn.functional import normalize

from keel.evaluate.tasks import Unfit
from keel.evaluate.tasks.subject import library_of, reading
from keel.model import coca, masked_pair, pair, stem
from keel.model.shapes import folder
from keel.model.vision import VisionTrunk

FP32 = {"body": "fp32", "head": "fp32"}
# By `model_type`: the class of the body, and what it is made without.
BARE: Mapping[str, Any] = {"add_pooling_layer": False}
BODIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "vit": ("ViTModel", BARE), "resnet": ("ResNetModel", {}), "convnext": ("ConvNextModel", {}),
    "clip_vision_model": ("CLIPVisionModel", {}),
}  # fmt: skip


class Both(Protocol):
    """Features of length 1 of both sides."""

    def image(self, pixel_values: Tensor) -> Tensor:
        """(n, 3, H, H) -> (n, e)."""

    def text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Ids and mask (m, T) -> (m, e)."""


class Writes(Protocol):
    """A model that writes captions."""

    def captions(self, pixel_values: Tensor, start: int, end: int) -> list[list[int]]:
        """(n, 3, H, H) -> ids of a caption for each image, without `start` and `end`."""


class Towers(NamedTuple):
    """`family` as the folder calls it; `context`: positions of the text tower, None where they have no end."""

    trunk: VisionTrunk
    family: str
    both: Both | None = None
    context: int | None = None
    writes: Writes | None = None


class Joined:
    """The library's CLIPModel, asked as two towers."""

    def __init__(self, library: Any) -> None:
        self.library = library

    def image(self, pixel_values: Tensor) -> Tensor:
        """Projected and of length 1."""
        return normalize(self.library.get_image_features(pixel_values=pixel_values).pooler_output, dim=-1)

    def text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Projected and of length 1."""
        found = self.library.get_text_features(input_ids=input_ids, attention_mask=attention_mask)
        return normalize(found.pooler_output, dim=-1)


class Masked:
    """What MaskVLM exported, asked as two towers that do not read each other."""

    def __init__(self, model: masked_pair.MaskedPair) -> None:
        self.model = model

    def image(self, pixel_values: Tensor) -> Tensor:
        """Projected and of length 1."""
        return normalize(self.model.image.joint(self.model.image(pixel_values).pooled), dim=-1)

    def text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Projected and of length 1."""
        read = self.model.text(input_ids=input_ids, attention_mask=attention_mask)
        return normalize(self.model.projection(read[:, 0]), dim=-1)


def _own(path: Path) -> Towers:
    """ViT as the library has none: the head, if any, stays on, and its body is asked."""
    named = (folder.config_of(path).get("architectures") or [""])[0]
    kind = stem.OwnViT if named == stem.OwnViT.__name__ else stem.OwnViTForClasses
    return Towers(VisionTrunk(library_of(path, kind), FP32), "keel-vit")


def _joined(path: Path) -> Towers:
    made = library_of(path, transformers.CLIPModel)
    trunk = VisionTrunk(made.vision_model, FP32)
    return Towers(trunk, "clip", Joined(made), made.config.text_config.max_position_embeddings)


def _pair(path: Path) -> Towers:
    with reading(path):
        made = pair.Pair(path)
    return Towers(VisionTrunk(made.images, FP32), "pair", made, _context(path / pair.TEXT))


def _masked(path: Path) -> Towers:
    with reading(path):
        made = masked_pair.MaskedPair(path)
    return Towers(made.image, "masked-pair", Masked(made), _context(path / masked_pair.TEXT))


def _coca(path: Path) -> Towers:
    with reading(path):
        made = coca.load(path)
    image: Any = made.parts["model"]
    decoder: Any = made.parts["text"]
    both = made if "contrast_pooler" in made.parts else None
    return Towers(image, "keel-coca", both, decoder.shape.context, made)


def _context(path: Path) -> int | None:
    """The most positions of a text tower that stands in a folder of its own."""
    config = folder.config_of(path)
    if config.get("model_type") in folder.TYPES:
        return folder.read(path).context()
    found = config.get("max_position_embeddings")
    return found if isinstance(found, int) else None


# Of folders without one config, by the file that only they have; of the others, by `model_type`.
MARKED: Mapping[str, Callable[[Path], Towers]] = {pair.SHARED: _pair, masked_pair.SIZES: _masked}
KINDS: Mapping[str, Callable[[Path], Towers]] = {"clip": _joined, "keel-coca": _coca, "keel-vit": _own}


def towers(path: Path) -> Towers:
    """The towers in a folder, in fp32.

    Raises:
        Unfit: no model that sees images and is known here.
        StudyError: weights that cannot be read, or that would be made afresh.
    """
    for mark, made in MARKED.items():
        if (path / mark).is_file():
            return made(path)
    kind = str(folder.config_of(path).get("model_type"))
    if kind in KINDS:
        return KINDS[kind](path)
    if kind not in BODIES:
        raise Unfit(f"a model of type '{kind}' is shown no images", why=f"known: {', '.join([*BODIES, *KINDS])}",
                    fix="judge it yourself", where=str(path))  # fmt: skip
    folder.weights_of(path)
    name, bare = BODIES[kind]
    return Towers(VisionTrunk(library_of(path, getattr(transformers, name), **bare), FP32), kind)
