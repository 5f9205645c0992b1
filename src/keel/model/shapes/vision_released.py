"""Released models of images as sizes of their family, with the number of parameters that was published, in millions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from keel.model.shapes.size import Size

PIXELS = 224


class ReleasedVision(NamedTuple):
    """A published model: its family, its size, the head under which it is counted, its published count in millions."""

    family: str
    size: Size
    params_m: float
    head: str = "classes"


def _size(width: int, layers: int, head_width: int = 0, patch: int = 16, classes: int = 1000, **more: int) -> Size:
    return Size(width=width, layers=layers, vocabulary=0, context=(PIXELS // patch) ** 2, head_width=head_width,
                patch=patch, classes=classes, **more)  # fmt: skip


VISION_RELEASED: Mapping[str, ReleasedVision] = {
    "ViT-Ti/16": ReleasedVision("vit", _size(192, 12, 64), 5.72),
    "ViT-S/16": ReleasedVision("vit", _size(384, 12, 64), 22.05),
    "ViT-B/16": ReleasedVision("vit", _size(768, 12, 64), 86.57),
    "ViT-B/32": ReleasedVision("vit", _size(768, 12, 64, 32), 88.22),
    "ViT-L/16": ReleasedVision("vit", _size(1024, 24, 64), 304.33),
    "ViT-H/14": ReleasedVision("vit", _size(1280, 32, 80, 14), 632.05),
    "ResNet-18": ReleasedVision("resnet-basic", _size(64, 8), 11.69),
    "ResNet-34": ReleasedVision("resnet-basic", _size(64, 16), 21.80),
    "ResNet-50": ReleasedVision("resnet", _size(64, 16), 25.56),
    "ResNet-101": ReleasedVision("resnet", _size(64, 33), 44.55),
    "ResNet-152": ReleasedVision("resnet", _size(64, 50), 60.19),
    "ConvNeXt-T": ReleasedVision("convnext", _size(96, 18), 28.59),
    "ConvNeXt-S": ReleasedVision("convnext", _size(96, 36), 50.22),
    "ConvNeXt-B": ReleasedVision("convnext", _size(128, 36), 88.59),
    "ConvNeXt-L": ReleasedVision("convnext", _size(192, 36), 197.77),
    "CLIP B/32, image tower": ReleasedVision(
        "clip-vision", _size(768, 12, 64, 32, 0, embedding_width=512), 87.85, "joint"
    ),
}  # fmt: skip
