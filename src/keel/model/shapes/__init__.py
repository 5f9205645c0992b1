"""Any size: size -> shape -> exact parameters, FLOP and memory. Arithmetic only, no torch.

`SHAPES` is read, not registered into: a text family is one entry of features in `features.py` (`FEATURES`), one that
sees images a class in `vision_patches.py` or `vision_stages.py` (`VISION`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.model.shapes.arithmetic import FamilyShapes
from keel.model.shapes.captioner import CaptionerShapes
from keel.model.shapes.clip_text import ClipTextShapes
from keel.model.shapes.cross import CrossShapes
from keel.model.shapes.features import FEATURES, LLAMA, Features, Kind
from keel.model.shapes.pixel_decoder import PixelDecoderShapes
from keel.model.shapes.pooler import PoolerShapes
from keel.model.shapes.projector import ProjectorShapes
from keel.model.shapes.size import (
    BYTES,
    HEAD_ROWS,
    Params,
    Precision,
    Shape,
    Shapes,
    Size,
    Use,
    feed_forward_width,
    head_width,
)
from keel.model.shapes.vision import VisionShapes
from keel.model.shapes.vision_patches import ClipVisionShapes, HybridShapes, PatchShapes
from keel.model.shapes.vision_stages import BottleneckShapes, ConvNextShapes, ResNetShapes

__all__ = [
    "BYTES", "FEATURES", "HEAD_ROWS", "SHAPES", "VISION", "FamilyShapes", "Features", "Kind", "LlamaShapes", "Params",
    "Precision", "Shape", "Shapes", "Size", "Use", "VisionShapes", "facts_of", "feed_forward_width", "head_width",
]  # fmt: skip


class LlamaShapes(FamilyShapes):
    """Llama-shaped decoders: RMSNorm, rotary positions, gated feed-forward, no biases, tied table.

    body = L (4 d^2 + 3 d f + 2 d) + d; embedding = V d; head = 0 when tied, else V d.

    Example:
        >>> family = LlamaShapes()
        >>> size = Size(width=64, layers=2, vocabulary=4096, context=128, head_width=8)
        >>> family.params(family.shape(size))
        Params(body=98368, embedding=262144, head=0)
    """

    def __init__(self) -> None:
        super().__init__(LLAMA)


VISION: Mapping[str, VisionShapes] = {
    "vit": PatchShapes(),
    "vit-hybrid": HybridShapes(),
    "resnet-basic": ResNetShapes(),
    "resnet": BottleneckShapes(),
    "convnext": ConvNextShapes(),
    "clip-vision": ClipVisionShapes(),
}
SHAPES: Mapping[str, Shapes] = {
    **{name: LlamaShapes() if features is LLAMA else FamilyShapes(features) for name, features in FEATURES.items()},
    **VISION,
    "captioner": CaptionerShapes(),
    "clip-text": ClipTextShapes(),
    "cross": CrossShapes(),
    "pixel-decoder": PixelDecoderShapes(),
    "pooler": PoolerShapes(),
    "projector": ProjectorShapes(),
}


def facts_of(family: str, size: Mapping[str, Any]) -> tuple[Shape, Params, float]:
    """Shape, parameters and FLOP a token of a size as it stands in spec.json."""
    shapes = SHAPES[family]
    shape = shapes.shape(Size(**size))
    return shape, shapes.params(shape), shapes.flop_per_token(shape)
