"""Facts of losses that bring images and their captions into one space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.objective.fact import Cite, Facts, Use
from keel.objective.released_text import path_of
from keel.objective.towers import scaled, shifted

CLIP = "Radford et al. 2021, arXiv:2103.00020"
SIGLIP = "Zhai et al. 2023, arXiv:2303.15343"
COCA = "Yu et al. 2022, arXiv:2205.01917"
LATENT = "Rombach et al. 2022, arXiv:2112.10752"


def caption_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """A start and an end token around every caption; a released text tower has its own."""
    return ("separator",) if path_of(options) else ("start", "separator")


ALIGNED: Mapping[Use, Cite] = {
    "zero-shot-image-classification": Cite("labels as texts in the same space", CLIP),
    "image-text-retrieval": Cite("one space for images and texts", CLIP),
    "image-classification": Cite("a linear layer on its image states, or fine-tuning", CLIP),
    "image-feature-extraction": Cite("states of the image", CLIP),
}
NO_CAPTION: Mapping[Use, Cite] = {
    "image-to-text": Cite("has no decoder: add a captioner", COCA),
    "image-text-to-text": Cite("has no decoder: add a captioner", COCA),
    "text-to-image": Cite("gives no image", LATENT),
}
_CLIP = Facts(
    needs=frozenset({"image-text"}), unlocks=ALIGNED, precludes=NO_CAPTION, judge="retrieval_nats",
    families=("clip-vision",), roles=caption_roles, reads="image-text", tokens=path_of, models=scaled,
)  # fmt: skip
CONTRASTIVE: Mapping[str, Facts] = {
    "clip": _CLIP,
    "siglip": _CLIP._replace(
        unlocks={**ALIGNED, "image-text-retrieval": Cite("one space, each pair judged by itself", SIGLIP)},
        models=shifted,
    ),
}
