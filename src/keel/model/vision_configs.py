"""Shape -> the fields of the library's config, for families that see images. No torch is needed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from keel.model.shapes import VISION, Shape
from keel.model.shapes.vision_stages import StageShapes

Fields = dict[str, Any]


class VisionBuild(NamedTuple):
    """The library's config class, how a shape fills it, what differs from its defaults, and the class for each head.

    A class with a dot is ours: the library has no such model, and its loader refuses the export by its type.
    """

    config: str
    fields: Callable[[Shape], Fields]
    classes: Mapping[str, str]
    fixed: Mapping[str, Any] = {}


def _vit(shape: Shape) -> Fields:
    return {
        "hidden_size": shape.width, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "intermediate_size": shape.feed_forward, "image_size": shape.image, "patch_size": shape.patch,
    }  # fmt: skip


def _clip(shape: Shape) -> Fields:
    return _vit(shape) | {"projection_dim": shape.embedding_width}


def _widths(family: str, shape: Shape) -> list[int]:
    shapes = VISION[family]
    assert isinstance(shapes, StageShapes)
    return list(shapes.widths(shape))


def _resnet_basic(shape: Shape) -> Fields:
    return {"embedding_size": shape.width, "depths": list(shape.depths), "hidden_sizes": _widths("resnet-basic", shape)}


def _resnet(shape: Shape) -> Fields:
    return {"embedding_size": shape.width, "depths": list(shape.depths), "hidden_sizes": _widths("resnet", shape)}


def _convnext(shape: Shape) -> Fields:
    return {"depths": list(shape.depths), "hidden_sizes": _widths("convnext", shape), "image_size": shape.image}


OURS = "keel.model.stem."
# The library's own epsilon is 1e-12 for BERT's sake; the models' own code has 1e-6.
EPSILON = {"layer_norm_eps": 1e-6}
VIT_CLASSES = {"classes": "ViTForImageClassification", "mean-classes": f"{OURS}OwnViTForClasses", "body": "ViTModel"}
OWN_CLASSES = {
    "classes": f"{OURS}OwnViTForClasses", "mean-classes": f"{OURS}OwnViTForClasses", "body": f"{OURS}OwnViT",
}  # fmt: skip
RESNET_CLASSES = {"classes": "ResNetForImageClassification", "body": "ResNetModel"}
CLIP_CLASSES = {"joint": "CLIPVisionModelWithProjection", "body": "CLIPVisionModel"}

VISION_BUILDS: Mapping[str, VisionBuild] = {
    "vit": VisionBuild("ViTConfig", _vit, VIT_CLASSES, EPSILON),
    "vit-hybrid": VisionBuild(f"{OURS}OwnViTConfig", _vit, OWN_CLASSES, {**EPSILON, "stem": "convolutions"}),
    "resnet-basic": VisionBuild("ResNetConfig", _resnet_basic, RESNET_CLASSES, {"layer_type": "basic"}),
    "resnet": VisionBuild("ResNetConfig", _resnet, RESNET_CLASSES, {"layer_type": "bottleneck"}),
    "convnext": VisionBuild(
        "ConvNextConfig", _convnext, {"classes": "ConvNextForImageClassification", "body": "ConvNextModel"}, EPSILON
    ),
    "clip-vision": VisionBuild("CLIPVisionConfig", _clip, CLIP_CLASSES),
}
