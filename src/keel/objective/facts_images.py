"""Facts of the losses that see images, and how many of their pooled states meet a head. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.model.shapes import SHAPES, Size
from keel.objective.fact import Cite, Facts, Model, Use

VIT = "Dosovitskiy et al. 2021, arXiv:2010.11929, section 4"
DETR = "Carion et al. 2020, arXiv:2005.12872"
MAE = "He et al. 2021, arXiv:2111.06377, section 5"
CLIP = "Radford et al. 2021, arXiv:2103.00020, section 1"
COCA = "Yu et al. 2022, arXiv:2205.01917"
LATENT = "Rombach et al. 2022, arXiv:2112.10752"
POOLS: Mapping[str, str] = {"own": "classes", "mean": "mean-classes"}

CLASSIFIES: Mapping[Use, Cite] = {
    "image-classification": Cite("tells its own classes apart, and others after fine-tuning", VIT),
    "image-feature-extraction": Cite("states of the patches and of the image", VIT),
    "object-detection": Cite("as the backbone of a detector, after fine-tuning", DETR),
    "image-segmentation": Cite("as the backbone of a segmenter, after fine-tuning", MAE),
}
NO_TEXT: Mapping[Use, Cite] = {
    "image-text-retrieval": Cite("has never seen text", CLIP),
    "zero-shot-image-classification": Cite("has never seen text, so that other classes cannot be named", CLIP),
    "image-to-text": Cite("has no decoder of text", COCA),
    "image-text-to-text": Cite("has no decoder of text", COCA),
    "visual-question-answering": Cite("has never seen text", CLIP),
    "text-to-image": Cite("gives no image", LATENT),
}


def classifiers(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """One model that sees whole images, the head on the state that `pool` says."""
    shapes = SHAPES[family]
    return (Model(POOLS[str(options.get("pool", "own"))], size, ((1.0, shapes.full_use(shapes.shape(size))),)),)


IMAGES: Mapping[str, Facts] = {
    "classify": Facts(
        needs=frozenset({"images"}), unlocks=CLASSIFIES, precludes=NO_TEXT, judge="class_nats",
        families=("vit", "vit-hybrid", "resnet", "resnet-basic", "convnext"), reads="images", models=classifiers,
        rivals=("vit-hybrid", "resnet-basic", "convnext"),
    ),
}  # fmt: skip
