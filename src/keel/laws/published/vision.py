"""Published laws with images: Liang (diffusion transformers), Cherti (image and text side by side)."""

from __future__ import annotations

from typing import Any

from keel.laws.law import Law
from keel.laws.published.recipe import falling
from keel.laws.published.stated import stated

_DIT = "Liang et al. 2024, arXiv:2410.08184: text-to-image diffusion transformers, best size; checked once at 1.5e21"
_DIT_BOX = {"flop": (1e17, 6e18)}
_GMAC = "GMAC of one forward pass (224 pixels, both towers) x samples seen"


def error(c: Any, gmac: Any) -> Any:
    """k C^-a."""
    return c.k * gmac**-c.a


def _cherti(task: str, measured: str, k: float, a: float) -> Law:
    return stated(
        f"cherti-{task}", error, "k C^-a", {"gmac": _GMAC}, {"k": k, "a": a}, unit=f"1 - {measured}, in 0-1",
        origin="Cherti et al. 2023, arXiv:2212.07143: LAION, least error in each of five bins of compute; another data "
        "set has another exponent",
        valid={"gmac": (1.8e10, 6.7e12)},
    )  # fmt: skip


# Zhai et al. 2022 (arXiv:2106.04560) give a + b (C + d)^-c for ViT on data that is not public: form only, left out.
VISION: tuple[Law, ...] = (
    stated("dit-loss", falling, "k C^-a", {"flop": "6 N D"}, {"k": 2.3943, "a": 0.0273}, unit="velocity loss",
           origin=_DIT, valid=_DIT_BOX),
    stated("dit-fid", falling, "k C^-a", {"flop": "6 N D"}, {"k": 2.2566e6, "a": 0.234},
           unit="FID on CLIP ViT-L/14 features", origin=_DIT, valid=_DIT_BOX),
    _cherti("imagenet", "zero-shot ImageNet top-1", 5.858, 0.1114),
    _cherti("coco-image-retrieval", "MS-COCO text-to-image recall@5", 2.750, 0.0794),
    _cherti("flickr-image-retrieval", "Flickr30K text-to-image recall@5", 15.51, 0.1892),
)  # fmt: skip
