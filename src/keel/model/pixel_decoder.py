"""The decoder of masked autoencoding with its torch half: layers of the library's ViT over all patches of an image.

Legend: B images, n patches, m of them seen, e width of the encoder, d its own, P side of a patch in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ViTMAEConfig
from transformers.models.vit_mae.modeling_vit_mae import ViTMAELayer

from keel.model import sincos
from keel.model.head import DTYPES
from keel.model.shapes import SHAPES, Precision, Shape
from keel.model.shapes.vision_patches import COLOURS
from keel.model.vision_init import BASE_WIDTH, STD, cut_normal

EPSILON = 1e-6  # as the encoder's norms have


class PixelDecoder(nn.Module):
    """States (B, 1 + m, e) of CLS and what was seen, and places (B, n), the seen ones first -> pixels (B, n, 3 P^2).

    Where a patch was hidden, one learned vector stands; positions are sines and cosines, and nothing learns them.
    """

    positions: Tensor

    def __init__(self, shape: Shape, precision: Precision) -> None:
        super().__init__()
        config: Any = ViTMAEConfig(
            hidden_size=shape.width, num_attention_heads=shape.heads, intermediate_size=shape.feed_forward,
            layer_norm_eps=EPSILON, image_size=shape.image, patch_size=shape.patch,
        )  # fmt: skip
        config._attn_implementation = "sdpa"
        self.body_dtype = DTYPES[precision["body"]]
        self.onto = nn.Linear(shape.embedding_width, shape.width)
        self.hidden = nn.Parameter(torch.zeros(shape.width))
        self.layers = nn.ModuleList(ViTMAELayer(config) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, eps=EPSILON)
        self.pixels = nn.Linear(shape.width, COLOURS * shape.patch**2)
        table = sincos.table(math.isqrt(shape.context), shape.width)
        self.register_buffer("positions", table, persistent=False)

    def forward(self, states: Tensor, order: Tensor) -> Tensor:
        """Every patch at its own place, in fp32 at least."""
        mixed = self.body_dtype != torch.float32
        with torch.autocast(states.device.type, dtype=self.body_dtype, enabled=mixed):
            found = self._pixels(states, order)
        return found.float() if mixed else found

    def _pixels(self, states: Tensor, order: Tensor) -> Tensor:
        seen = self.onto(states)
        cls, seen = seen[:, :1], seen[:, 1:]
        missing = order.shape[1] - seen.shape[1]
        rows = torch.cat([seen, self.hidden.to(seen.dtype).expand(len(seen), missing, -1)], dim=1)
        back = order.argsort(1)[..., None].expand(-1, -1, rows.shape[-1])
        made = torch.cat([cls, rows.gather(1, back)], dim=1) + self.positions
        for layer in self.layers:
            made = layer(made)
        found: Tensor = self.pixels(self.norm(made))
        return found[:, 1:]


class PixelDecoders:
    """Its family: shape, parameters and FLOP (no torch), and build. It is not exported."""

    def __init__(self) -> None:
        self.name, shapes = "pixel-decoder", SHAPES["pixel-decoder"]
        self.shape, self.params, self.flop_per_token = shapes.shape, shapes.params, shapes.flop_per_token

    def build(
        self, shape: Shape, precision: Precision, seed: int, ids: Mapping[str, int | None] | None = None,
        head: str = "body",
    ) -> PixelDecoder:  # fmt: skip
        """Fresh weights from `seed`: matrices as those of every model of images, biases 0, norms 1."""
        made = PixelDecoder(shape, precision)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in made.named_parameters():
                if name == "hidden":
                    weight.normal_(0.0, STD, generator=generator)
                elif weight.dim() == 1:
                    weight.fill_(0.0 if name.endswith("bias") else 1.0)
                else:
                    cut_normal(weight, generator, STD * math.sqrt(BASE_WIDTH / weight.shape[1]))
        return made


FAMILY = PixelDecoders()
