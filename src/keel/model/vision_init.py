"""Initial weights of models that see images, from one generator in the order of their names."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

STD, CUT = 0.02, 2.0
BASE_WIDTH = 768  # of the model that .02 was chosen for
# The part of a normal distribution within two deviations has .8796 of its deviation.
WITHIN = math.sqrt(1 - 2 * CUT * math.exp(-(CUT**2) / 2) / math.sqrt(2 * math.pi) / math.erf(CUT / math.sqrt(2)))
LAYER_SCALE = 1e-6
BATCH_NORMED = "convolution.weight"  # a convolution that a batch norm and a ReLU follow
SCALE = "layer_scale_parameter"
VECTORS = ("cls_token", "class_embedding", "position_embeddings", "position_embedding.weight")


@torch.no_grad()
def initialise(library: Any, seed: int) -> None:
    """Overwrite all weights.

    Matrices: normal, cut at two deviations, of deviation .02 sqrt(768 / d) where all layers have one width d: the
    paper's own at 768. Narrower rungs learn slowly with .02 (own digits of 8 x 8, d 48: .87 right against .95).
    Positions, CLS and networks of stages: .02. Convolutions before a batch norm:
    N(0, 2 / fan-out). Norms 1, biases 0, the last norm of a ResNet's block 0, so that it begins as the identity; layer
    scale 1e-6; the classifier 0, so that the first loss is ln C.

    Reference: Touvron et al. 2021, arXiv:2012.12877, section 6; He et al. 2015, arXiv:1502.01852; Goyal et al. 2017,
    arXiv:1706.02677, section 5.1; Liu et al. 2022, arXiv:2201.03545, appendix A.1.
    """
    generator = torch.Generator().manual_seed(seed)
    matrices = STD * math.sqrt(BASE_WIDTH / getattr(library.config, "hidden_size", BASE_WIDTH))
    last = {block.layer[-1].normalization.weight for block in library.modules() if hasattr(block, "shortcut")}
    for name, weight in library.named_parameters():
        if name.startswith("classifier.") or weight in last:
            weight.zero_()
        elif name.endswith(SCALE):
            weight.fill_(LAYER_SCALE)
        elif name.endswith(BATCH_NORMED):
            fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
            weight.normal_(0.0, math.sqrt(2 / fan_out), generator=generator)
        elif weight.dim() == 1 and not name.endswith(VECTORS):
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            cut_normal(weight, generator, STD if name.endswith(VECTORS) else matrices)


def cut_normal(weight: Tensor, generator: torch.Generator, std: float = STD) -> Tensor:
    """Normal of deviation `std` after it is cut at two deviations of what is cut, not at +-2, where nothing lies."""
    drawn = std / WITHIN
    return nn.init.trunc_normal_(weight, 0.0, drawn, -CUT * drawn, CUT * drawn, generator=generator)
