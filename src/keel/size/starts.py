"""Settings of released models, to start a sweep from where no law of the recipe is validated. Facts, each cited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Start(NamedTuple):
    """Peak learning rate and batch of a released model; `batch` counts `unit`s a step."""

    model: str
    rate: float
    batch: float
    unit: str
    optimiser: str
    source: str


STARTS: Mapping[str, tuple[Start, ...]] = {
    "encoder": (
        Start("BERT-base", 1e-4, 256 * 512, "tokens", "Adam", "Devlin et al. 2018, arXiv:1810.04805, app. A.2"),
        Start("RoBERTa-base", 6e-4, 8192 * 512, "tokens", "Adam", "Liu et al. 2019, arXiv:1907.11692, table 9"),
        Start("ELECTRA-base", 2e-4, 256 * 512, "tokens", "Adam", "Clark et al. 2020, arXiv:2003.10555, table 6"),
    ),
    "encoder-decoder": (
        Start("T5-base", 1e-2, 128 * 512, "tokens", "Adafactor, 1/sqrt(max(step, 1e4)), relative to the weights",
              "Raffel et al. 2020, arXiv:1910.10683, sec. 3.1.2"),
    ),
    "vision": (
        Start("MAE ViT-B", 1.5e-4 * 16, 4096, "images", "AdamW", "He et al. 2021, arXiv:2111.06377, table 8"),
        Start("DeiT-B", 5e-4 * 2, 1024, "images", "AdamW", "Touvron et al. 2020, arXiv:2012.12877, table 9"),
    ),
    "vision-language": (
        Start("CLIP ViT-B/32", 5e-4, 32768, "pairs", "Adam", "Radford et al. 2021, arXiv:2103.00020, tables 18, 20"),
        Start("CLIP ViT-L/14", 4e-4, 32768, "pairs", "Adam", "Radford et al. 2021, arXiv:2103.00020, tables 18, 20"),
    ),
    "diffusion": (
        Start("DiT-XL/2", 1e-4, 256, "images", "AdamW, constant", "Peebles & Xie 2022, arXiv:2212.09748, sec. 4"),
    ),
}  # fmt: skip
