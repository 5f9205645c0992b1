"""Facts of losses that compare views of an image and need no label."""

from __future__ import annotations

from collections.abc import Mapping

from keel.objective.fact import Cite, Facts, Use
from keel.objective.facts_images import NO_TEXT
from keel.objective.views import dino_models, simclr_models

SIMCLR = "Chen et al. 2020, arXiv:2002.05709"
DINO = "Caron et al. 2021, arXiv:2104.14294"

SEEN: Mapping[Use, Cite] = {
    "image-feature-extraction": Cite("states of an image that its views share", SIMCLR),
    "image-classification": Cite("a linear layer on its states, or fine-tuning", SIMCLR),
}
_SIMCLR = Facts(
    needs=frozenset({"images"}), unlocks=SEEN, precludes=NO_TEXT, judge="probe_nats", families=("vit", "convnext"),
    reads="images", models=simclr_models,
)  # fmt: skip
VIEWS: Mapping[str, Facts] = {
    "dino": _SIMCLR._replace(
        unlocks={
            **SEEN, "image-feature-extraction": Cite("states whose nearest neighbours are of one kind", DINO),
            "image-segmentation": Cite("its attention outlines objects; after fine-tuning", DINO),
        },
        families=("vit", "vit-hybrid", "resnet", "resnet-basic", "convnext"), models=dino_models,
    ),
    "simclr": _SIMCLR,
}  # fmt: skip
