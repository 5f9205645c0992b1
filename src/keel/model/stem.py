"""ViT as the library has none: behind a convolutional stem, or with the mean of its patches as the image's state.

Both change what the weights compute, so the export carries a type of its own: the library's loader refuses it by name
instead of building a model that computes something else; `OwnViTForClasses.from_pretrained` reads it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import ViTConfig, ViTForImageClassification, ViTModel

from keel.model.shapes.vision_patches import COLOURS, stem_channels


@strict
class OwnViTConfig(ViTConfig):  # type: ignore[no-untyped-call]
    """`stem`: "patches" or "convolutions"; `pool`: "cls" or "mean"."""

    model_type = "keel-vit"

    stem: str = "patches"
    pool: str = "cls"


class ConvStem(nn.Module):
    """Pixels (B, 3, H, H) -> (B, n, d): convolutions 3 x 3 of stride 2 with batch norm and ReLU, then 1 x 1.

    Reference: Xiao et al. 2021, arXiv:2106.14881, section 4.
    """

    def __init__(self, config: OwnViTConfig) -> None:
        super().__init__()
        channels = [COLOURS, *stem_channels(config.hidden_size, int(config.patch_size))]  # type: ignore[arg-type]
        self.steps = nn.ModuleList(_Step(*pair) for pair in pairwise(channels))
        self.projection = nn.Conv2d(channels[-1], config.hidden_size, 1)
        self.image_size = (config.image_size, config.image_size)
        self.num_patches = (config.image_size // config.patch_size) ** 2  # type: ignore[operator]

    def forward(self, pixel_values: Tensor) -> Tensor:
        """A state for each patch."""
        for step in self.steps:
            pixel_values = step(pixel_values)
        made: Tensor = self.projection(pixel_values)
        return made.flatten(2).transpose(1, 2)


class _Step(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.normalization = nn.BatchNorm2d(outputs)

    def forward(self, map_bchh: Tensor) -> Tensor:
        made: Tensor = self.normalization(self.convolution(map_bchh))
        return made.relu()


class OwnViT(ViTModel):  # type: ignore[no-untyped-call]
    """Without a head."""

    config_class = OwnViTConfig
    config: OwnViTConfig

    def __init__(self, config: OwnViTConfig, add_pooling_layer: bool = False) -> None:
        super().__init__(config, add_pooling_layer=add_pooling_layer)
        _with_stem(self, self, config)


class OwnViTForClasses(ViTForImageClassification):  # type: ignore[no-untyped-call]
    """With a classifier on the state that `pool` says."""

    config_class = OwnViTConfig
    config: OwnViTConfig

    def __init__(self, config: OwnViTConfig) -> None:
        super().__init__(config)
        _with_stem(self, self.vit, config)

    def forward(self, pixel_values: Tensor, **inputs: Any) -> Any:
        """Logits of the classes."""
        from transformers.modeling_outputs import ImageClassifierOutput

        hidden = self.vit(pixel_values, **inputs).last_hidden_state
        pooled = hidden[:, 1:].mean(1) if self.config.pool == "mean" else hidden[:, 0]
        return ImageClassifierOutput(logits=self.classifier(pooled))


def _with_stem(module: Any, body: Any, config: OwnViTConfig) -> None:
    if config.stem == "convolutions":
        body.embeddings.patch_embeddings = ConvStem(config)
        module.post_init()


def load(folder: str, head: str) -> nn.Module:
    """What `export` wrote of these, bit for bit."""
    kind = OwnViT if head == "body" else OwnViTForClasses
    module: nn.Module = kind.from_pretrained(folder, dtype=torch.float32)
    return module
